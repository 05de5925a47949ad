"""The commands of this folder."""

from __future__ import annotations

import argparse
import importlib

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
    given = parser.parse_args()
    module = importlib.import_module(f"tools.data_parallel.{given.command}")
    module.main(given.networks or list(SIZES))


if __name__ == "__main__":
    main()
