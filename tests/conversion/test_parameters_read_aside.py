"""A parameter that is also read where no gradient flows."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS


def rounded_beside() -> onnx.ModelProto:
    """x w + round(x w): the second product passes no gradient on."""
    net = models.Network()
    w = net.weight("w", 6, 4)
    first, second = net.node("MatMul", "x", w), net.node("MatMul", "x", w)
    net.node("Add", first, net.node("Round", second), output="y")
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})


@pytest.mark.parametrize("target", TARGETS)
def test_its_gradient_is_that_of_its_other_uses(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(rounded_beside(), folder, target=target, loss="mse", optimizer="sgd")
    trainer = svgd_onnx.Trainer(folder, threads=1)
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(5, size)).astype(np.float32) for size in (6, 4))
    before = trainer.tensor("w").astype(np.float64)
    trainer.train_step({"x": x, "target": y}, 1.0)
    product = x @ before
    expected = x.T.astype(np.float64) @ (product + np.round(product) - y) * 2 / y.size
    np.testing.assert_allclose(before - trainer.tensor("w"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_t_acts_where_a_gradient_comes_back(target: str, tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        rounded_beside(), tmp_path / "artifacts", target=target, loss="mse"
    )
    assert [each.state is not None for each in manifest.operations] == [True, False]
    assert manifest.operations[1].reason == "no gradient comes back"
