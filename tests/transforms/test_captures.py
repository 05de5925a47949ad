"""Values that the bodies of control flow read of the graph around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Network
from onnx import helper

import svgd_onnx


def branches() -> onnx.ModelProto:
    """x (batch, 4) -> If of two branches, each of which multiplies with w -> logits (batch, 3)."""
    net = Network()
    net.weight("w", 4, 3)
    total = net.node("ReduceSum", "x", keepdims=0)
    condition = net.node("Greater", total, net.constant("zero", np.array(0, np.float32)))
    bodies = {}
    for name, number in (("then_branch", 1.0), ("else_branch", 2.0)):
        factor = onnx.numpy_helper.from_array(np.array(number, np.float32), f"{name}_factor")
        output = helper.make_tensor_value_info(f"{name}_y", onnx.TensorProto.FLOAT, None)
        nodes = [
            helper.make_node("MatMul", ["x", "w"], [f"{name}_product"]),
            helper.make_node("Mul", [f"{name}_product", f"{name}_factor"], [f"{name}_y"]),
        ]
        bodies[name] = helper.make_graph(nodes, name, [], [output], [factor])
    chosen = net.node("If", condition, output="chosen", **bodies)
    net.node("Add", chosen, net.weight("head.bias", 3), output="logits")
    return net.model({"x": ("batch", 4)}, {"logits": ("batch", 3)})


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_control_flow_on_the_way_is_refused_by_name(target: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=r"If \('chosen_node'") as refused:
        svgd_onnx.convert(branches(), tmp_path / "a", target=target, train=["w", "head.*"])
    assert "head.bias" in str(refused.value)


def test_what_comes_after_it_trains(tmp_path: Path) -> None:
    svgd_onnx.convert(branches(), tmp_path / "a", target="onnx", train=["head.*"])
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    batch = {"x": np.ones((2, 4), np.float32), "labels": np.array([0, 1])}
    assert np.isfinite(trainer.train_step(batch, 0.1))
