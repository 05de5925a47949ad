"""Each cell of a table carries the name of its column, for narrow screens, where cells stand below each other.

The style sheet shows the names there, and nowhere else.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes

NAME = "column-name"


def name_cells(document: nodes.document) -> None:
    """Puts the name of its column before what a cell says; not in the first, nor where either is empty."""
    for table in document.findall(nodes.tgroup):
        for head, body in zip(table.findall(nodes.thead), table.findall(nodes.tbody)):
            names = [entry.astext() for entry in head.findall(nodes.entry)]
            for row in body.findall(nodes.row):
                for name, entry in list(zip(names, row.children))[1:]:
                    if name and isinstance(entry, nodes.entry) and entry.astext():
                        entry.insert(0, nodes.inline("", f"{name}:", classes=[NAME]))


def _name(_app: Any, document: nodes.document, _page: str) -> None:
    name_cells(document)


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx."""
    app.connect("doctree-resolved", _name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
