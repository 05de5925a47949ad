"""Ranks beside one process at the same batch: gradients of the first step, and losses of all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from tools.data_parallel.jobs import Run, prepare, train

SETTINGS: dict[str, dict[str, Any]] = {
    "SGD": {"optimizer": "sgd", "batch_norm": "synchronized"},
    "SVGD exact": {"batch_norm": "synchronized"},
    "SVGD local r": {"batch_norm": "synchronized", "r": "local"},
    "SVGD exact, local BN": {"batch_norm": "local"},
}
# Parameters less so many gradients keep the digits of gradients.
_STEEP = 1024.0


def main(networks: Sequence[str]) -> None:
    """Prints a row for each network, setting and number of ranks."""
    print(
        "| network | update | ranks | pieces | gradients apart | losses apart "
        "| 2 threads apart | reversed batch apart |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for network in networks:
        for name, settings in SETTINGS.items():
            if "BN" in name and network == "small_transformer":
                continue  # it has none
            with tempfile.TemporaryDirectory() as folder:
                _rows(network, name, prepare(Path(folder), network, **settings))


def _rows(network: str, name: str, folder: Path) -> None:
    manifest = svgd_onnx.Manifest.load(folder / "artifacts")
    assert manifest.data_parallel is not None
    alone = train(folder, network, Run())
    threads = _apart(alone, train(folder, network, Run(threads=2)))
    turned = _apart(alone, train(folder, network, Run(turned=True)))
    before = svgd_onnx.Trainer(folder / "artifacts")
    steep = Run(steps=1, rate=_STEEP)
    gradients = _gradients(before, train(folder, network, steep))
    for ranks in (1, 2, 4):
        found = train(folder, network, Run(ranks=ranks))
        first = _gradients(before, train(folder, network, Run(ranks=ranks, steps=1, rate=_STEEP)))
        largest = max(
            float(np.abs(first[each] - gradients[each]).max() / np.abs(gradients[each]).max())
            for each in gradients
            if np.abs(gradients[each]).max() > _NOTHING
        )
        print(
            f"| {network} | {name} | {ranks} | {manifest.data_parallel.pieces} | {largest:.1e} "
            f"| {_apart(alone, found):.1e} | {threads:.1e} | {turned:.1e} |",
            flush=True,
        )


# Gradients of a bias in front of BatchNormalization are 0 but for rounding.
_NOTHING = 1e-6


def _gradients(before: svgd_onnx.Trainer, result: dict[str, Any]) -> dict[str, np.ndarray]:
    """By parameter, from the parameters after one steep step."""
    return {
        name: (before.tensor(name) - after.astype(np.float64)) / _STEEP
        for name, after in result["parameters"].items()
    }


def _apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of losses of one step."""
    return float(np.abs(np.subtract(one["losses"], other["losses"])).max())
