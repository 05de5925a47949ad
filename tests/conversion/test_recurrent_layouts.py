"""A recurrent layer whose first axis is the batch, which onnxruntime does not run, beside its like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from models import GATES, Network

import svgd_onnx


def layer(op_type: str, layout: int) -> onnx.ModelProto:
    """x (batch, 5, 3), first (batch, 2, 4) -> y (batch, 5, 2, 4) + the last state (batch, 1, 2, 4)."""
    net = Network()
    gates = GATES[op_type]
    weights = [
        net.weight("W", 2, gates * 4, 3),
        net.weight("R", 2, gates * 4, 4),
        net.weight("B", 2, 8 * gates),
    ]
    x, first = "x", "first"
    if layout == 0:
        x, first = (net.node("Transpose", name, perm=[1, 0, 2]) for name in (x, first))
    attributes = {"layout": 1} if layout else {}
    net.node(
        op_type, x, *weights, "", first, hidden_size=4, direction="bidirectional", **attributes
    )
    hidden, last = net.nodes[-1].output[0], "last"
    net.nodes[-1].output.append(last)
    if layout == 0:
        hidden = net.node("Transpose", hidden, perm=[2, 0, 1, 3])
        last = net.node("Transpose", last, perm=[1, 0, 2])
    of_steps = net.node("Unsqueeze", last, net.constant("axis", np.array([1])))
    net.node("Add", hidden, of_steps, output="y")
    shapes = {"x": ("batch", 5, 3), "first": ("batch", 2, 4)}
    return net.model(shapes, {"y": ("batch", 5, 2, 4)})


@pytest.mark.parametrize("op_type", GATES)
def test_it_trains_as_a_layer_whose_first_axis_is_time(op_type: str, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    batch = {
        "x": random.normal(size=(3, 5, 3)).astype(np.float32),
        "first": random.normal(size=(3, 2, 4)).astype(np.float32),
        "target": random.normal(size=(3, 5, 2, 4)).astype(np.float32),
    }
    trained = []
    for layout in (0, 1):
        folder = tmp_path / str(layout)
        options = {"loss": "mse", "target": "onnx", "verify": False}
        svgd_onnx.convert(layer(op_type, layout), folder, **options)
        trainer = svgd_onnx.Trainer(folder)
        losses = [trainer.train_step(batch, 0.1) for _ in range(2)]
        losses.append(trainer.evaluate(batch)["loss"])
        trained.append([losses, *(trainer.tensor(name) for name in "WRB")])
    for one, other in zip(*trained):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_it_comes_out_as_it_went_in(tmp_path: Path) -> None:
    model = layer("LSTM", 1)
    svgd_onnx.convert(model, tmp_path / "artifacts", loss="mse", target="onnx")
    svgd_onnx.Trainer(tmp_path / "artifacts").export(tmp_path / "trained.onnx")
    exported = onnx.load(tmp_path / "trained.onnx")
    assert [node.op_type for node in exported.graph.node] == ["LSTM", "Unsqueeze", "Add"]
