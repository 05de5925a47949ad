"""Bytes a step, and the share of time that ranks spend in reductions, on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from tools.data_parallel.jobs import SIZES, Run, prepare, train

# Of conversion, and how gradients travel.
SETTINGS: dict[str, tuple[dict[str, Any], str | None]] = {
    "SGD": ({"optimizer": "sgd"}, None),
    "SGD, float16": ({"optimizer": "sgd"}, "float16"),
    "SVGD exact": ({}, None),
    "SVGD exact, float16": ({}, "float16"),
    "SVGD exact, r by channel": ({"granularity": "channel"}, None),
    "SVGD local r": ({"r": "local"}, None),
    "SVGD exact, synchronized BN": ({"batch_norm": "synchronized"}, None),
}
_STEPS, _RANKS = 20, (1, 2, 4)


def main(networks: Sequence[str], folder: Path | None = None) -> None:
    """Prints a row for each network and setting.

    Args:
        networks: which.
        folder: where artifacts are kept, and those that are there are taken; None for a temporary one.
    """
    print(
        f"{os.cpu_count()} cores; one thread a rank; the batch is the same for any number of ranks.\n"
    )
    ranks = ", ".join(map(str, _RANKS))
    print(
        "| network | update | bytes a rank and step | sums a step | ms a step, one process "
        f"| {ranks} ranks | of that in sums |"
    )
    print("|---|---|---|---|---|---|---|")
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as place:
        for network in networks:
            for name, (settings, compress) in SETTINGS.items():
                if "BN" in name and network == "small_transformer":
                    continue  # it has none
                inner = Path(place) / f"{network}-{'-'.join(map(str, settings.values()))}"
                if not inner.is_dir():
                    inner.mkdir(parents=True)
                    prepare(inner, network, **settings)
                print(_row(inner, network, name, compress), flush=True)


def _row(folder: Path, network: str, name: str, compress: str | None) -> str:
    alone = train(folder, network, Run(steps=_STEPS))
    found = [
        train(folder, network, Run(ranks=ranks, steps=_STEPS, compress=compress))
        for ranks in _RANKS
    ]
    traffic = found[1]["traffic"]
    times = ", ".join(f"{1000 * median(each['seconds']):.1f}" for each in found)
    shares = ", ".join(f"{each['traffic']['seconds'] / sum(each['seconds']):.0%}" for each in found)
    return (
        f"| {network} (batch {SIZES[network][1]}) | {name} | {traffic['bytes'] // _STEPS:,} "
        f"| {traffic['reductions'] // _STEPS} | {1000 * median(alone['seconds']):.1f} | {times} | {shares} |"
    )
