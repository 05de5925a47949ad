"""What stands for generated text in a page of the site: `{command}` and `{messages}`."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tools.docs.messages import PHRASE, ROOT, UNKNOWN, WARNING, matching
from tools.docs.options import markdown


class CommandDirective(SphinxDirective):
    """Stands for the reference of the command that it names."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What the command says of itself."""
        return self.parse_text_to_nodes(markdown(self.arguments[0]))


class MessagesDirective(SphinxDirective):
    """Stands for the sentences of the files that its lines name, as a list."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The list."""
        for glob in self.content:
            for path in ROOT.glob(glob):
                self.env.note_dependency(str(path))
        found = dict.fromkeys((each.kind, each.parts) for each in matching(self.content))
        if not found:
            raise self.error(f"no messages in {', '.join(self.content)}")
        shown = nodes.bullet_list(classes=["messages"])
        shown += [nodes.list_item("", _paragraph(*each)) for each in found]
        return [shown]


def _paragraph(kind: str, parts: tuple[str, ...]) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    if kind == WARNING:
        paragraph += nodes.strong("", "Warning: ")
    if kind == PHRASE:
        paragraph += nodes.Text(f"{UNKNOWN} ")
    for index, part in enumerate(parts):
        paragraph += nodes.emphasis("", part) if index % 2 else nodes.Text(part)
    return paragraph


def _readable(app: Any, what: str, name: str, object_: Any, options: Any, *signature: str) -> Any:
    """A signature that can be parsed, and so has a line for each parameter."""
    return tuple(each and each.replace("<factory>", "...") for each in signature)


def _with_dashes(app: Any, document: nodes.document) -> None:
    """A dash between a parameter and what is said of it, where Sphinx writes two hyphens."""
    for text in list(document.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx."""
    app.connect("autodoc-process-signature", _readable)
    app.connect("doctree-read", _with_dashes)
    app.add_directive("command", CommandDirective)
    app.add_directive("messages", MessagesDirective)
    return {"parallel_read_safe": True}
