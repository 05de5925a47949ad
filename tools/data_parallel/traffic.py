"""Bytes a step, and the share of time that ranks spend in reductions, on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tools.data_parallel.jobs import SIZES, Run, prepare, train

SETTINGS: dict[str, dict[str, Any]] = {
    "SGD": {"optimizer": "sgd"},
    "SVGD exact": {},
    "SVGD exact, r by channel": {"granularity": "channel"},
    "SVGD local r": {"r": "local"},
    "SVGD exact, synchronized BN": {"batch_norm": "synchronized"},
}
_STEPS = 20


def main(networks: Sequence[str]) -> None:
    """Prints a row for each network, setting and number of ranks; 0 ranks is the step in one piece."""
    print(
        f"{os.cpu_count()} cores; one thread a rank; the batch is the same for any number of ranks.\n"
    )
    print("| network | update | ranks | ms a step | bytes a step | reductions | in reductions |")
    print("|---|---|---|---|---|---|---|")
    for network in networks:
        for name, settings in SETTINGS.items():
            if "BN" in name and network == "small_transformer":
                continue  # it has none
            with tempfile.TemporaryDirectory() as folder:
                prepare(Path(folder), network, **settings)
                for ranks in (0, 1, 2, 4):
                    found = train(Path(folder), network, Run(ranks=ranks, steps=_STEPS))
                    print(_row(network, name, ranks, found), flush=True)


def _row(network: str, name: str, ranks: int, found: dict[str, Any]) -> str:
    traffic = found["traffic"] or {"bytes": 0, "seconds": 0.0, "reductions": 0}
    share = traffic["seconds"] / sum(found["seconds"])
    return (
        f"| {network} (batch {SIZES[network][1]}) | {name} | {ranks} | {1000 * median(found['seconds']):.1f} "
        f"| {traffic['bytes'] // _STEPS:,} | {traffic['reductions'] // _STEPS} | {share:.0%} |"
    )
