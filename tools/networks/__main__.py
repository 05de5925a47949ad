"""Writes a network with random weights: `python -m tools.networks NAME --output FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

from tools.networks import NETWORKS


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.networks", description="Write a network with random weights as ONNX."
    )
    parser.add_argument("name", choices=sorted(NETWORKS))
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    parser.add_argument("--output", type=Path, required=True, help="the ONNX file to write")
    arguments = parser.parse_args()
    onnx.save(NETWORKS[arguments.name](arguments.seed), arguments.output)


main()
