"""Gradients of a first step, on fast and on standard kernels, beside float64.

    python -m tools.first_gradients [--networks ...] [--targets ...] [--batch N] [--output FILE.json]

What SVGD subtracts from the parameters, T included: a session takes one step at a rate so large that the
parameters are lost beside it. In float64 the onnx package's reference evaluator runs the step of the target
onnx in standard operators, which shares nothing with onnxruntime. "Apart" is the norm of the difference over
that of all gradients; "worst" is of the tensor that is farthest, by its own norm, of those that are more than
a thousandth of all. The exit code is 1 if fast kernels are three times as far as standard ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

import svgd_onnx
from svgd_onnx.gradient_check.double_precision.double_precision import DoublePrecision
from svgd_onnx.gradient_check.double_precision.operators import OPERATORS
from svgd_onnx.manifest import Manifest
from svgd_onnx.step_names import LEARNING_RATE, NEW_SUFFIX
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST, STANDARD
from svgd_onnx.targets.standard_onnx.file_names import TRAINING_STEP
from tools.bench.networks import BENCHED
from tools.bench.report import report

_RATE = 2.0**20
_LARGE = 1e-3
_MOST = 3.0

Gradients = Mapping[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = ["paper_mlp", "paper_vgg", "paper_resnet20", "small_transformer"]
    parser.add_argument("--networks", nargs="+", default=usual, choices=BENCHED)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/bench/first_gradients.json"))
    given = parser.parse_args()
    rows = []
    for network in given.networks:
        exact = _exact(network, given.batch)
        for target in given.targets:
            rows.append(_row(network, target, given.batch, given.threads, exact))
    report("First gradients beside float64", rows, given.output)
    sys.exit(any(row["fast of standard"] > _MOST for row in rows))


def _row(network: str, target: str, batch: int, threads: int, exact: Gradients) -> dict[str, Any]:
    row: dict[str, Any] = {"network": network, "batch": batch, "target": target}
    apart = {}
    with tempfile.TemporaryDirectory() as place:
        BENCHED[network].convert(Path(place) / "a", batch, target=target)
        for kernels in (STANDARD, FAST):
            found = _found(network, Path(place) / "a", batch, threads, kernels)
            apart[kernels] = _norm({name: found[name] - exact[name] for name in exact})
            row[f"{kernels}, apart"] = f"{apart[kernels] / _norm(exact):.1e}"
            row[f"{kernels}, worst"] = f"{_worst(found, exact):.1e}"
    return {**row, "fast of standard": apart[FAST] / apart[STANDARD]}


def _exact(network: str, batch: int) -> Gradients:
    """In float64."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "a"
        BENCHED[network].convert(folder, batch, target="onnx", t_kernel="portable")
        manifest = Manifest.load(folder)
        arrays = BENCHED[network].arrays([each.name for each in manifest.arrays], batch)
        checkpoint = TARGETS["onnx"].checkpoint(folder, manifest)
        model = ir.load(folder / TRAINING_STEP)
        DoublePrecision()(model)
        given = {LEARNING_RATE: np.array(_RATE), **arrays}
        for value in model.graph.inputs:
            if value.name not in given:
                given[value.name] = checkpoint(value.name)
        evaluator = ReferenceEvaluator(ir.to_proto(model), new_ops=OPERATORS)
        doubled = {name: _double(array) for name, array in given.items()}
        after = dict(zip(evaluator.output_names, evaluator.run(None, doubled)))
        return {
            each.name: (doubled[each.name] - after[f"{each.name}{NEW_SUFFIX}"]) / _RATE
            for each in manifest.parameters
            if each.trainable
        }


def _found(network: str, folder: Path, batch: int, threads: int, kernels: str) -> Gradients:
    """By a session as it trains."""
    trainer = svgd_onnx.Trainer(folder, threads=threads, kernels=kernels)
    names = [each.name for each in trainer.manifest.parameters if each.trainable]
    before = {name: _double(trainer.tensor(name)) for name in names}
    arrays = [each.name for each in trainer.manifest.arrays]
    trainer.train_step(BENCHED[network].arrays(arrays, batch), _RATE)
    return {name: (before[name] - _double(trainer.tensor(name))) / _RATE for name in names}


def _double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def _norm(gradients: Gradients) -> float:
    return float(np.sqrt(sum(np.sum(each**2) for each in gradients.values())))


def _worst(found: Gradients, exact: Gradients) -> float:
    """Small ones are nothing but rounding, as of a bias before a normalization."""
    least = _LARGE * _norm(exact)
    norms = {name: float(np.linalg.norm(each)) for name, each in exact.items()}
    return max(
        float(np.linalg.norm(found[name] - exact[name])) / norm
        for name, norm in norms.items()
        if norm > least
    )


if __name__ == "__main__":
    main()
