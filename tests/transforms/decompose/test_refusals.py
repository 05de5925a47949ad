"""What a rule cannot decompose for onnxruntime's gradient builder reaches the user as the reason why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx


def recurrent(steps: Any = 5, **attributes: Any) -> onnx.ModelProto:
    net = Network()
    weights = [net.weight("W", 1, 4, 3), net.weight("R", 1, 4, 4)]
    value = net.node("RNN", "x", *weights, hidden_size=4, **attributes)
    value = net.node("ReduceMean", value, axes=[0, 1], keepdims=0)
    net.node("MatMul", value, net.weight("head", 4, 2), output="logits")
    return net.model({"x": (steps, 2, 3)}, {"logits": (2, 2)})


def image(make: Callable[[Network, str], str], size: Any = 8) -> onnx.ModelProto:
    """x (batch, 2, size, size) -> Conv -> what is made of it -> logits (batch, 4)."""
    net = Network()
    value = make(net, net.node("Conv", "x", net.weight("w", 4, 2, 3, 3), kernel_shape=[3, 3]))
    net.node("ReduceMean", value, output="logits", axes=[2, 3], keepdims=0)
    return net.model({"x": ("batch", 2, size, size)}, {"logits": ("batch", 4)})


def cropped() -> onnx.ModelProto:
    def make(net: Network, value: str) -> str:
        region = net.constant("region", np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32))
        sizes = net.constant("sizes", np.array([2, 4, 3, 3]))
        mode = {"coordinate_transformation_mode": "tf_crop_and_resize"}
        return net.node("Resize", value, region, "", sizes, **mode)

    return image(make)


def norm(p: int) -> onnx.ModelProto:
    return image(lambda net, x: net.node("GlobalLpPool", x, p=p))


_OPEN = "the size of axis {} of its input is not fixed"

# The model, the operator that is in the way, and why it is.
REFUSED: dict[str, tuple[onnx.ModelProto, str, str]] = {
    "a norm of another order": (norm(3), "GlobalLpPool", "its p is 3, and known are 1 and 2"),
    "a sequence of any length": (recurrent("time"), "RNN", _OPEN.format(0)),
    "another activation": (
        recurrent(activations=["Affine"]),
        "RNN",
        "its activation Affine is not given its numbers",
    ),
    "a crop": (cropped(), "Resize", "it crops, by tf_crop_and_resize"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_message_gives_the_reason(name: str, tmp_path: Path) -> None:
    model, op_type, reason = REFUSED[name]
    (node,) = (node.name for node in model.graph.node if node.op_type == op_type)
    with pytest.raises(svgd_onnx.UserError) as refused:
        svgd_onnx.convert(model, tmp_path / "artifacts", loss="mse", differentiator="onnxruntime")
    assert f"{op_type} ('{node}': {reason})" in str(refused.value)


def test_inspect_gives_it_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(recurrent(activations=["Affine"]), path)
    obstacle = svgd_onnx.inspect(path).obstacle
    assert obstacle is not None and "its activation Affine is not given its numbers" in obstacle


def test_an_operator_without_a_rule_has_no_reason(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=r"Hardmax \('one_node'\)"):
        svgd_onnx.convert(models.obstacles(), tmp_path / "artifacts", differentiator="onnxruntime")
