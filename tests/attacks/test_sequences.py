"""Sequences without a step, over which recurrent layers end the process, and of lengths that none has."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.prediction import open_model

SIZE, HIDDEN, LENGTH = 4, 3, 5
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def recurrent(op_type: str, length: str | int, *, own_lengths: bool = False) -> onnx.ModelProto:
    """A recurrent layer over a length, or each sequence over its own, and a dense one of its last state."""
    net, rows = models.Network(), GATES[op_type] * HIDDEN
    steps = net.node("Transpose", "x", perm=[1, 0, 2])
    weights = [net.weight("w", 1, rows, SIZE), net.weight("r", 1, rows, HIDDEN)]
    inputs = [steps, *weights, *(["", "lengths"] if own_lengths else [])]
    net.nodes.append(helper.make_node(op_type, inputs, ["", "last"], hidden_size=HIDDEN))
    state = net.node("Squeeze", "last", net.constant("axes", np.array([0], np.int64)))
    net.node("MatMul", state, net.weight("v", HIDDEN, 2), output="logits")
    shapes = {"x": ("batch", length, SIZE), **({"lengths": ("batch",)} if own_lengths else {})}
    model = net.model(shapes, {"logits": ("batch", 2)}, check=False)
    for each in model.graph.input[1:]:
        each.type.tensor_type.elem_type = TensorProto.INT32
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("train", [(), ("v",)], ids=["all", "frozen"])
@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("target", TARGETS)
def test_data_without_a_step_are_refused(
    target: str, op_type: str, train: tuple[str, ...], tmp_path: Path
) -> None:
    model = recurrent(op_type, "length")
    svgd_onnx.convert(
        model, tmp_path / "a", target=target, train=train, random_size={"length": 5}, verify=False
    )
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    batch = {"x": np.ones((2, 0, SIZE), np.float32), "labels": np.zeros(2, np.int64)}
    for use in (trainer.evaluate, lambda given: trainer.train_step(given, 0.1)):
        with pytest.raises(svgd_onnx.UserError, match=r"shape \(2, 0, 4\), and .* wants a step"):
            use(batch)
    with pytest.raises(svgd_onnx.UserError, match=r"shape \(2, 0, 4\), and .* wants a step"):
        trainer.predict({"x": batch["x"]})
    batch["x"] = np.ones((2, 1, SIZE), np.float32)
    assert np.isfinite(trainer.train_step(batch, 0.1))


@pytest.mark.parametrize("op_type", GATES)
def test_a_plain_model_is_looked_at_too(op_type: str, tmp_path: Path) -> None:
    onnx.save(recurrent(op_type, "length"), tmp_path / "model.onnx")
    predictor = open_model(tmp_path / "model.onnx", threads=1)
    (outputs,) = predictor.predict({"x": np.ones((2, 1, SIZE), np.float32)})
    assert np.isfinite(outputs["logits"]).all()
    with pytest.raises(svgd_onnx.UserError, match=r"shape \(2, 0, 4\), and .* wants a step"):
        list(predictor.predict({"x": np.ones((2, 0, SIZE), np.float32)}))


@pytest.mark.parametrize("op_type", GATES)
def test_a_model_without_a_step_is_refused(op_type: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="its sequence has no step"):
        svgd_onnx.convert(recurrent(op_type, 0), tmp_path / "a", target="onnx")


@pytest.mark.parametrize("length", ["length", LENGTH], ids=["open", "fixed"])
@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_length_that_no_sequence_has_is_refused(
    target: str, op_type: str, length: str | int, tmp_path: Path
) -> None:
    sizes = {"length": LENGTH} if length == "length" else None
    svgd_onnx.convert(
        recurrent(op_type, length, own_lengths=True),
        tmp_path / "a",
        target=target,
        random_size=sizes,
        verify=False,
    )
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    batch = {
        "x": np.ones((3, LENGTH, SIZE), np.float32),
        "lengths": np.array([1, LENGTH, 0], np.int32),
        "labels": np.zeros(3, np.int64),
    }
    assert np.isfinite(trainer.train_step(batch, 0.1))
    for wrong in (LENGTH + 1, -1, -LENGTH):
        batch["lengths"][1] = wrong
        for use in (trainer.evaluate, lambda given: trainer.train_step(given, 0.1)):
            with pytest.raises(
                svgd_onnx.UserError,
                match=rf"'lengths' in .* has {wrong} in row 1, where only 0 to {LENGTH} is in range",
            ):
                use(batch)
