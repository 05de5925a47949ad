"""Relu's gradient in a training session's graph."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest

import svgd_onnx
from svgd_onnx.targets.ort_training import artifacts


def training_graph(folder: Path) -> onnx.GraphProto:
    svgd_onnx.convert(models.residual(), folder, force=True)
    return onnx.load(folder / "training_model.onnx").graph


def test_no_relugrad_is_left(tmp_path: Path) -> None:
    assert "ReluGrad" not in {node.op_type for node in training_graph(tmp_path).node}


def test_gradients_are_those_of_relugrad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(folder: Path) -> dict[str, np.ndarray]:
        training_graph(folder)
        trainer = svgd_onnx.Trainer(folder, threads=1)
        image, labels = trainer.manifest.arrays
        shape = (4, *(size for size in image.shape[1:] if isinstance(size, int)))
        batch = {
            image.name: np.random.default_rng(1).normal(size=shape).astype(np.float32),
            labels.name: np.random.default_rng(2).integers(0, 3, 4),
        }
        trainer.train_step(batch, 0.01)
        names = [each.name for each in trainer.manifest.parameters if each.trainable]
        return {name: trainer.gradient(name) for name in names}

    lowered = gradients(tmp_path / "lowered")
    monkeypatch.setattr(artifacts, "LowerReluGradient", lambda: lambda model: None)
    for name, original in gradients(tmp_path / "original").items():
        np.testing.assert_allclose(lowered[name], original, rtol=1e-6)
