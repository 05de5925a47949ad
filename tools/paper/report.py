"""Writes tables and figures from the results: `python -m tools.paper.report [--logs FOLDER]`.

The text of docs/paper.md is written by hand. Between the lines `<!-- begin NAME -->` and `<!-- end -->`
is what this command fills in. The figures are SVG files in docs/paper.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from svgd_onnx import UserError
from svgd_onnx.files import whole_file
from tools.paper import figures, tables
from tools.paper.command import RESULTS
from tools.paper.errors import told_in_a_sentence
from tools.paper.folders import make_folder
from tools.paper.study import EXPERIMENTS

PAGE = Path("docs/paper.md")
BLOCK = re.compile(r"^(<!-- begin ([\w ]+) -->\n).*?^(<!-- end -->)$", re.DOTALL | re.MULTILINE)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.paper.report", description="Tables and figures of docs/paper.md."
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"(default {RESULTS})")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"to fill in (default {PAGE})")
    parser.add_argument("--logs", type=Path, help="the authors' logs, for curves beside ours")
    arguments = parser.parse_args()
    with told_in_a_sentence():
        write(arguments.page, arguments.results, arguments.logs)


def write(page: Path, results: Path, logs: Path | None) -> None:
    """Fills in the page, and writes its figures into a folder beside it, `paper`.

    Raises:
        UserError: a file is missing, damaged or cannot be written; or the page wants an unknown block.
    """
    for folder in (results, *filter(None, [logs])):
        if not folder.is_dir():
            raise UserError(f"There is no folder '{folder}'.")
    try:
        text = page.read_text()
    except OSError as error:
        raise UserError(f"'{page}' cannot be read ({error.strerror}).") from error
    folder = page.parent / "paper"
    make_folder(folder)
    blocks = blocks_of(results, folder, logs)
    wanted = [match[2] for match in BLOCK.finditer(text)]
    unknown = [name for name in wanted if name not in blocks]
    if unknown or not wanted:
        what = f"wants '{unknown[0]}'" if unknown else "has no block '<!-- begin NAME -->'"
        raise UserError(f"'{page}' {what}; there are {', '.join(blocks)}.")
    filled = BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]]()}\n{match[3]}", text)
    with whole_file(page) as temporary:
        temporary.write_text(filled)


def blocks_of(results: Path, folder: Path, logs: Path | None) -> dict[str, Callable[[], str]]:
    """What makes each block, by name; a figure's block writes its file."""
    blocks: dict[str, Callable[[], str]] = {
        "figure lemma": lambda: figures.lemma(results / "lemma.csv", folder, logs),
        "table lemma": lambda: tables.lemma(results / "lemma.csv"),
        "figure hilbert": lambda: figures.hilbert(results / "hilbert.csv", folder, logs),
        "table hilbert": lambda: tables.hilbert(results / "hilbert.csv"),
    }
    for name, experiment in EXPERIMENTS.items():
        runs = tables.load(experiment, results / name)
        blocks.update(
            {
                f"table {name}": lambda e=experiment, r=runs: tables.optimizers(e, r, logs),
                f"pairs {name}": lambda e=experiment, r=runs: tables.pairs(e, r),
                f"beginnings {name}": lambda e=experiment, r=runs: tables.beginnings(e, r, logs),
                f"figure {name}": lambda e=experiment, r=runs: figures.curves(e, r, folder, logs),
                f"study {name}": lambda e=experiment, r=runs: tables.study(e, r),
                f"nearness {name}": lambda e=experiment, r=runs: tables.nearness(e, r),
            }
        )
    return blocks


if __name__ == "__main__":
    main()
