"""Gradients that travel as float16 beside those of float32: bytes a step, and losses of all steps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tools.data_parallel.jobs import Run, prepare, train

SETTINGS: dict[str, dict[str, Any]] = {"SGD": {"optimizer": "sgd"}, "SVGD": {}}
_LAST = 20  # steps


def main(networks: Sequence[str]) -> None:
    """Prints a row for each network, update and number of ranks."""
    print(
        "| network | update | ranks | bytes a step | as float16 | largest difference of losses "
        f"| mean loss of the last {_LAST} steps, float32 and float16 | reversed batches |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for network in networks:
        for name, settings in SETTINGS.items():
            with tempfile.TemporaryDirectory() as folder:
                place = prepare(Path(folder), network, batch_norm="synchronized", **settings)
                for ranks in (2, 4):
                    print(_row(place, network, name, Run(ranks=ranks)), flush=True)


def _row(folder: Path, network: str, name: str, run: Run) -> str:
    plain = train(folder, network, run)
    compressed = train(folder, network, replace(run, compress="float16"))
    turned = train(folder, network, replace(run, turned=True))
    bytes_ = [each["traffic"]["bytes"] // len(each["losses"]) for each in (plain, compressed)]
    means = [np.mean(each["losses"][-_LAST:]) for each in (plain, compressed, turned)]
    apart = np.abs(np.subtract(plain["losses"], compressed["losses"])).max()
    return (
        f"| {network} | {name} | {run.ranks} | {bytes_[0]:,} | {bytes_[1]:,} | {apart:.1e} "
        f"| {means[0]:.4f}, {means[1]:.4f} | {means[2]:.4f} |"
    )
