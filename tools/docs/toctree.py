"""The site's menu is the list of pages in docs/index.md: a section of links there is a part of it.

So the page is plain Markdown, and no page is listed twice. Pages that it does not list stand at the end.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

_LINK = re.compile(r"^- \[([^\]]*)\]\(([^)#:]+)\.md\)", re.MULTILINE)
_REST = "More"


def parts(text: str, folder: str) -> dict[str, dict[str, str]]:
    """What each section of a page's text calls the pages that it lists, by the names that Sphinx has for them.

    Args:
        text: Markdown, with sections of the second level.
        folder: where the page lies, from the root.
    """
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        pages = {
            posixpath.normpath(posixpath.join(folder, link)): title
            for title, link in _LINK.findall(section)
        }
        if pages:
            found[section.partition("\n")[0].strip()] = pages
    return found


def toctrees(listed: dict[str, dict[str, str]], pages: Iterable[str]) -> str:
    """The directives of the menu; what no section lists is its last part, under its own title."""
    rest = sorted(set(pages).difference(*listed.values()))
    entries = {
        caption: [f"{title} </{page}>" for page, title in part.items()]
        for caption, part in listed.items()
    }
    if rest:
        entries[_REST] = [f"/{page}" for page in rest]
    return "".join(_toctree(caption, part) for caption, part in entries.items())


def _toctree(caption: str, entries: Iterable[str]) -> str:
    lines = "\n".join(entries)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def _add(app: Any, page: str, source: list[str]) -> None:
    if page == app.config.root_doc:
        source[0] += toctrees(
            parts(source[0], posixpath.dirname(page)), app.env.found_docs - {page}
        )


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx."""
    app.connect("source-read", _add)
    return {"parallel_read_safe": True}
