"""A Pad of zeros before a pooling, whose numbers are below zero: onnxruntime's own rewriting gets it wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Network
from onnx.reference import ReferenceEvaluator

import svgd_onnx
from svgd_onnx.targets import TARGETS


def padded(pool: str, pads: int, *, number: float | None, channels: int = 2) -> onnx.ModelProto:
    """Conv, whose bias makes all numbers negative, Pad, pooling, mean, a layer."""
    net = Network()
    bias = net.weight("conv.bias", channels, mean=-5)
    value = net.node("Conv", "image", net.weight("conv.weight", channels, 2, 3, 3), bias)
    sides = net.constant("pads", np.int64([0, 0, pads, pads, 0, 0, pads, pads]))
    numbers = [] if number is None else [net.constant("number", np.float32(number))]
    value = net.node("Pad", value, sides, *numbers)
    value = net.node(pool, value, kernel_shape=[3, 3], strides=[2, 2], pads=[0] * 4)
    value = net.node("Flatten", net.node("GlobalAveragePool", value))
    net.node("MatMul", value, net.weight("head", channels, 4), output="logits")
    return net.model({"image": ("batch", 2, 9, 9)}, {"logits": ("batch", 4)})


def of_the_standard(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    (logits,) = ReferenceEvaluator(model).run(None, {"image": image})
    return np.asarray(logits)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("pool", "pads", "number"),
    [
        ("MaxPool", 1, 0.0),
        ("MaxPool", 1, None),
        ("MaxPool", 3, 0.0),
        ("AveragePool", 1, 0.0),
        ("AveragePool", 3, 0.0),
        ("MaxPool", 1, -9.0),
    ],
)
def test_both_forms_and_the_evaluation_are_of_the_standard(
    pool: str, pads: int, number: float | None, target: str, tmp_path: Path
) -> None:
    model = padded(pool, pads, number=number)
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(model, folder, target=target)
    random = np.random.default_rng(0)
    image = random.standard_normal((5, 2, 9, 9)).astype(np.float32)
    labels = random.integers(0, 4, 5)
    logits = of_the_standard(model, image).astype(np.float64)
    right = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(5), labels]
    for kernels in ("fast", "standard"):
        trainer = svgd_onnx.Trainer(folder, kernels=kernels, threads=1)
        batch = {"image": image, "labels": labels}
        assert trainer.evaluate(batch)["loss"] == pytest.approx(right.mean(), rel=1e-5)
        assert trainer.train_step(batch, 0.0) == pytest.approx(right.mean(), rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_first_block_of_the_usual_size(target: str, tmp_path: Path) -> None:
    """As of Keras's ResNet50V2: 7 x 7, 64 channels, Pad, MaxPool 3 x 3."""
    net = Network()
    pads = net.constant("three", np.int64([0, 0, 3, 3, 0, 0, 3, 3]))
    value = net.node("Pad", "image", pads)
    weight, bias = net.weight("conv.weight", 64, 3, 7, 7), net.weight("conv.bias", 64, mean=-9)
    value = net.node("Conv", value, weight, bias, strides=[2, 2])
    value = net.node("Pad", value, net.constant("one", np.int64([0, 0, 1, 1, 0, 0, 1, 1])))
    value = net.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[0] * 4)
    value = net.node("Flatten", net.node("GlobalAveragePool", net.node("Sigmoid", value)))
    net.node("MatMul", value, net.weight("head", 64, 4), output="logits")
    model = net.model({"image": ("batch", 3, 64, 64)}, {"logits": ("batch", 4)})
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target)
    image = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    logits = of_the_standard(model, image)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts", kernels="fast", threads=1)
    found = trainer.predict({"image": image})["logits"]
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
