"""The commands of this folder."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from tools.data_parallel.jobs import SIZES


def main() -> None:
    """Runs one of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.data_parallel")
    parser.add_argument("command", choices=("exact", "traffic", "compress", "scaling", "kill"))
    parser.add_argument(
        "networks",
        nargs="*",
        choices=[*SIZES, []],
        default=[],
        help="of exact, traffic and compress",
    )
    parser.add_argument(
        "--folder", type=Path, help="of traffic: where artifacts are kept for the next"
    )
    given = parser.parse_args()
    if given.folder and given.command != "traffic":
        parser.error("--folder is of traffic")
    module = importlib.import_module(f"tools.data_parallel.{given.command}")
    where = {} if given.folder is None else {"folder": given.folder}
    module.main(given.networks or list(SIZES), **where)


if __name__ == "__main__":
    main()
