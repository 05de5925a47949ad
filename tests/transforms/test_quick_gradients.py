"""Gradients that standard operators are quicker for, in a training session's graph."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from onnx_ir.passes import PassResult

import svgd_onnx
from svgd_onnx.transforms.lower import QuickGradients


def training_graph(folder: Path, optimizer: str = "svgd") -> onnx.GraphProto:
    svgd_onnx.convert(models.residual(), folder, optimizer=optimizer, force=True)
    return onnx.load(folder / "training_model.onnx").graph


@pytest.mark.parametrize("optimizer", ["svgd", "sgd"])
def test_convgrad_is_left_with_weights_and_relugrad_with_nothing(
    tmp_path: Path, optimizer: str
) -> None:
    nodes = training_graph(tmp_path, optimizer).node
    outputs = [list(node.output) for node in nodes if node.op_type == "ConvGrad"]
    assert outputs
    assert not any(of_input for of_input, *_ in outputs)
    assert all(any(others) for _, *others in outputs)
    assert "ReluGrad" not in {node.op_type for node in nodes}


@pytest.mark.parametrize("optimizer", ["svgd", "sgd"])
def test_gradients_are_those_of_the_slower_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    def gradients(folder: Path) -> dict[str, np.ndarray]:
        training_graph(folder, optimizer)
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

    quick = gradients(tmp_path / "quick")
    monkeypatch.setattr(QuickGradients, "call", lambda _, model: PassResult(model, False))
    for name, slow in gradients(tmp_path / "slow").items():
        np.testing.assert_allclose(quick[name], slow, rtol=1e-4, atol=1e-6 * np.abs(slow).max())
