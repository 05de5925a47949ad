"""The site: the Markdown of this repository as it lies, by Sphinx (`make docs`).

The source is the root of the repository, so that links between pages, and to files beside them, are the same
here as on a host of repositories.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from svgd_onnx.version import __version__  # noqa: E402

project = "svgd-onnx"
author = "the svgd-onnx authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "tools.docs.toctree",
    "tools.docs.cell_names",
    "tools.docs.directives",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/*/README.md"]
exclude_patterns = ["**/node_modules"]  # those that Git passes over, too, if they have pages
myst_heading_anchors = 4
highlight_language = "none"  # of blocks that name none
smartquotes = False  # what stands in a message is to be copied

autodoc_member_order = "bysource"
maximum_signature_line_length = 80
default_role = "code"  # single backquotes in docstrings
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"svgd-onnx {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]  # a page at the root, which leads to that of docs
html_copy_source = False
html_show_copyright = False  # LICENSE says it
html_show_sphinx = False
