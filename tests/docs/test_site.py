"""What the site is made with: the menu, the reference of options, the list of messages, the check of links."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import svgd_onnx
from tools.docs import links, messages, options, toctree

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ERRORS = (DOCS / "reference" / "errors.md").read_text()


def test_a_section_of_links_becomes_a_part_of_the_menu() -> None:
    text = (
        "# Title\n- [no](no.md)\n## First\n- [a](a.md): words\n- [b](../b.md)\n## Second\nwords\n"
    )
    listed = toctree.parts(text, "docs")
    assert listed == {"First": {"docs/a": "a", "b": "b"}}
    menu = toctree.toctrees(listed, ["docs/a", "b", "docs/c"])
    assert ":caption: First\n\na </docs/a>\nb </b>\n" in menu
    assert ":caption: More\n\n/docs/c\n" in menu


@pytest.mark.parametrize("name", options.commands())
def test_the_reference_has_every_option_of_a_command(name: str) -> None:
    page = (DOCS / "reference" / "options.md").read_text()
    assert f"```{{command}} {name}\n" in page
    written = options.markdown(name)
    for parameters in options.groups(options.commands()[name]).values():
        for each in parameters:
            assert options.flags(each)[0] in written


@pytest.mark.parametrize("name", options.commands())
def test_the_pages_say_something_of_every_option(name: str) -> None:
    written = "\n".join(path.read_text() for path in DOCS.glob("*.md"))
    flags = [
        options.flags(each)
        for parameters in options.groups(options.commands()[name]).values()
        for each in parameters
        if each.param_type_name == "option"
    ]
    missing = [
        names for names in flags if not any(re.search(rf"{name}\b", written) for name in names)
    ]
    assert not missing, f"no page of docs/ has {missing}"


def test_the_reference_has_every_python_name() -> None:
    page = (DOCS / "reference" / "python.md").read_text()
    said = set(re.findall(r":: svgd_onnx\.(\w+)", page))
    assert set(svgd_onnx.__all__) - {"__version__"} <= said


def _listed() -> list[str]:
    blocks = re.findall(r"```\{messages\}\n(.*?)```", ERRORS, re.DOTALL)
    return [glob for block in blocks for glob in block.split()]


def test_every_message_stands_in_one_part_of_its_page() -> None:
    files = {message.file for message in messages.messages()}
    globs = _listed()
    assert all(list(ROOT.glob(glob)) for glob in globs)
    found = Counter(path.relative_to(ROOT).as_posix() for glob in globs for path in ROOT.glob(glob))
    missing = sorted(files - found.keys())
    assert not missing, f"add {missing} to a part of docs/reference/errors.md"
    assert not [file for file in files if found[file] > 1]


def test_every_part_of_that_page_has_a_cause_and_a_cure() -> None:
    often, *parts = re.split(r"^## ", ERRORS, flags=re.MULTILINE)[1:]
    for part in parts:
        assert "**Cause.**" in part and "**Cure.**" in part, part.partition("\n")[0]
    for quoted in re.findall(r"^\| `([^`]+)`", often, re.MULTILINE):
        assert any(quoted in message.text for message in messages.messages()), quoted


def test_sentences_are_read_off_the_source() -> None:
    texts = {message.text for message in messages.messages()}
    assert "--json and --quiet do not go together: leave one out." in texts
    assert "Unknown --<name> '<value>': choose from <choices>." in texts
    assert "'<folder>' has no --checkpoint '<name>': choose from <names>." in texts
    assert "onnxruntime is not installed: run <install>." in texts
    assert not [text for text in texts if not re.search(r"[a-z]{2}", text)]


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#there">x</a><a href="b.html#gone">x</a><a href="c.html">x</a>'
        '<a href="https://example.org/">x</a><a href="https:///nowhere">x</a><a href="#top">x</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    assert list(links.broken(tmp_path)) == [
        "a.html: b.html#gone: there is no such place in it",
        "a.html: c.html: there is no such file",
        "a.html: https:///nowhere: is no address",
    ]


def test_every_extra_that_is_named_is_one() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (table,) = re.findall(
        r"^\[project.optional-dependencies\]\n(.*?)^\[", text, re.DOTALL | re.MULTILINE
    )
    extras = re.findall(r"^([\w-]+) = ", table, re.MULTILINE)
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("svgd_onnx/**/*.py")]
    for path in (*texts, *ROOT.glob("tools/**/*.py"), ROOT / "Makefile"):
        for named in re.findall(r"(?:svgd-onnx|['\"]\.)\[([a-z,-]+)\]", path.read_text()):
            unknown = set(named.split(",")) - set(extras)
            assert not unknown, f"{path.relative_to(ROOT)}: {unknown}"


def test_what_is_installed_by_its_name_is_installed_before() -> None:
    """The package is on no index: its name alone does only where it is there, as in its own messages."""
    for path in (ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("*/*.md")):
        for line in re.findall(r"^(?:    )?pip install .*", path.read_text(), re.MULTILINE):
            assert "svgd-onnx[" not in line, f"{path.relative_to(ROOT)}: {line}"


def test_cells_say_their_column_but_for_the_first() -> None:
    core = pytest.importorskip("docutils.core")
    from tools.docs import cell_names

    table = (
        "===  =====  ==\na    size\n===  =====  ==\nx    1      2\ny    ..     3\n===  =====  ==\n"
    )
    document = core.publish_doctree(table)
    cell_names.name_cells(document)
    cells = [entry.astext().split() for entry in document.findall(cell_names.nodes.entry)]
    assert cells == [["a"], ["size"], [], ["x"], ["size:", "1"], ["2"], ["y"], [], ["3"]]
