"""Lengths of sequences in the data, which a recurrent layer looks at, and what it is trained as does not."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import svgd_onnx
from svgd_onnx.targets import TARGETS

SIZE, HIDDEN, LENGTH = 4, 3, 5
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def recurrent(op_type: str, length: str | int) -> onnx.ModelProto:
    """A recurrent layer over sequences, each of a length of its own, and a dense one of its last states."""
    net, rows = models.Network(), GATES[op_type] * HIDDEN
    steps = net.node("Transpose", "x", perm=[1, 0, 2])
    weights = [net.weight("w", 1, rows, SIZE), net.weight("r", 1, rows, HIDDEN)]
    net.nodes.append(
        helper.make_node(
            op_type, [steps, *weights, "", "lengths"], ["", "last"], hidden_size=HIDDEN
        )
    )
    state = net.node("Squeeze", "last", net.constant("axes", np.array([0], np.int64)))
    net.node("MatMul", state, net.weight("v", HIDDEN, 2), output="logits")
    inputs = {"x": ("batch", length, SIZE), "lengths": ("batch",)}
    model = net.model(inputs, {"logits": ("batch", 2)}, check=False)
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    onnx.checker.check_model(model)
    return model


@pytest.mark.parametrize("length", ["length", LENGTH], ids=["open", "fixed"])
@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_length_that_no_sequence_has_is_refused(
    target: str, op_type: str, length: str | int, tmp_path: Path
) -> None:
    sizes = {"length": LENGTH} if length == "length" else None
    svgd_onnx.convert(
        recurrent(op_type, length), tmp_path / "a", target=target, random_size=sizes, verify=False
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
