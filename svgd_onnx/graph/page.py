"""The page of a training graph: one file of HTML, which needs no network and holds no weights."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path

from svgd_onnx.errors import UserError
from svgd_onnx.graph.content import content_of, shown
from svgd_onnx.graph.training_graph import TrainingGraph

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("boxes.js", "layout.js", "drawing.js", "panel.js", "page.js")
_MARK = re.compile(r"@@(\w+)@@")

# Netron's layout of layered graphs, a file of its own in the package, which ends so.
_LAYOUT = "dagre.js"
_EXPORT = re.compile(r"^export const \{ layout, Graph \} = dagre;\s*$", re.M)
_NOTICE = """\
/* The layout is dagre, Copyright (c) 2012-2014 Chris Pettitt, as Netron {version} has it, Copyright (c) Lutz
   Roeder, under the MIT license: permission is granted, free of charge, to deal in it without restriction, if
   this notice is included; it is provided as is, without warranty of any kind. */
"""


def page_of(graph: TrainingGraph, layout: str) -> str:
    """The page of a graph.

    Args:
        graph: what it shows.
        layout: the script that lays it out, which defines `dagre`.
    """
    data = json.dumps(content_of(graph), separators=(",", ":")).replace("<", "\\u003c")
    style = _asset("page.css")
    script = "'use strict';\n" + "\n".join([layout, *map(_asset, _SCRIPTS)])
    parts = {
        "title": html.escape(shown(next(iter(graph.facts.values()), "")), quote=True),
        "policy": f"default-src 'none'; script-src {_hashed(script)}; style-src {_hashed(style)}; "
        "base-uri 'none'; form-action 'none'",
        "style": style,
        "data": data,
        "script": script,
    }
    return _MARK.sub(lambda found: parts[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    """A source of a content security policy: this text within the page, and no other."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def layout_script() -> str:
    """Netron's dagre as a plain script.

    Raises:
        UserError: there is none, or it is another than this version knows.
    """
    again = "pip install 'svgd-onnx[graph]'"
    found = importlib.util.find_spec("netron")
    if found is None or not found.submodule_search_locations:
        raise UserError(f"The page of a graph is laid out by a part of netron: {again}.")
    file = Path(next(iter(found.submodule_search_locations))) / _LAYOUT
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    script, exports = _EXPORT.subn("", text)
    if exports != 1 or "</script" in script:
        raise UserError(
            f"The netron that is installed has another {_LAYOUT} than this version of svgd-onnx knows: {again}."
        )
    return _NOTICE.format(version=importlib.metadata.version("netron")) + script
