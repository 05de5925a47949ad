"""A fixed batch axis is opened where no value mixes examples, and kept where one may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from models import Network
from onnx import helper

import svgd_onnx
from svgd_onnx.conversion.fixed_batch import outcome
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import read_model
from svgd_onnx.transforms.open_batch.reshape import _places
from svgd_onnx.transforms.rule import RefusedError

Build = Callable[[int], onnx.ModelProto]


def ints(net: Network, *numbers: int) -> str:
    return net.constant(f"ints_{len(net.initializers)}", np.array(numbers, np.int64))


def rows_of_all(batch: int) -> onnx.ModelProto:
    """A layer over the elements of all sequences at once."""
    net = Network()
    flat = net.node("Reshape", "x", ints(net, 6 * batch, 4))
    hidden = net.node("Gemm", flat, net.weight("w", 4, 4), net.weight("b", 4))
    back = net.node("Reshape", net.node("Tanh", hidden), ints(net, batch, 6, 4))
    net.node("Gemm", net.node("Flatten", back), net.weight("v", 24, 3), output="y")
    return net.model({"x": (batch, 6, 4)}, {"y": (batch, 3)})


def attention(batch: int) -> onnx.ModelProto:
    """As torch's MultiheadAttention: time first, heads beside examples."""
    net = Network()
    x = net.node("Transpose", "x", perm=[1, 0, 2])
    parts = []
    for name in "qkv":
        flat = net.node("Reshape", x, ints(net, 5 * batch, 4))
        each = net.node(
            "Reshape", net.node("MatMul", flat, net.weight(name, 4, 4)), ints(net, 5, -1, 2)
        )
        parts.append(net.node("Transpose", each, perm=[1, 0, 2]))
    scores = net.node("MatMul", parts[0], net.node("Transpose", parts[1], perm=[0, 2, 1]))
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), parts[2])
    back = net.node("Reshape", net.node("Transpose", mixed, perm=[1, 0, 2]), ints(net, 5, batch, 4))
    first = net.node("Transpose", back, perm=[1, 0, 2])
    net.node("ReduceMean", first, axes=[1], keepdims=0, output="y")
    return net.model({"x": (batch, 5, 4)}, {"y": (batch, 4)})


def class_token(batch: int) -> onnx.ModelProto:
    """A learned element before each sequence, stored for one example."""
    net = Network()
    token = net.node("Expand", net.weight("token", 1, 1, 4), ints(net, batch, 1, 4))
    if batch == 1:
        token = "token"
    whole = net.node("Concat", token, "x", axis=1)
    placed = net.node("Add", whole, net.weight("places", 1, 6, 4))
    net.node("ReduceMax", placed, axes=[1], keepdims=0, output="y")
    return net.model({"x": (batch, 5, 4)}, {"y": (batch, 4)})


def recurrent(batch: int) -> onnx.ModelProto:
    """An LSTM with a constant first state and constant lengths."""
    net = Network()
    weights = (net.weight("w", 1, 12, 4), net.weight("r", 1, 12, 3), net.weight("b", 1, 24))
    lengths = net.constant("lengths", np.full(batch, 4, np.int32))
    state = net.constant("state", np.zeros((1, batch, 3), np.float32))
    x = net.node("Transpose", "x", perm=[1, 0, 2])
    inputs = [x, *weights, lengths, state, state]
    net.nodes.append(helper.make_node("LSTM", inputs, ["", "last"], name="lstm", hidden_size=3))
    net.node("Squeeze", "last", ints(net, 0), output="y")
    return net.model({"x": (batch, 5, 4)}, {"y": (batch, 3)})


def images(batch: int) -> onnx.ModelProto:
    net = Network()
    value = net.node("Relu", net.node("Conv", "x", net.weight("k", 3, 2, 3, 3)))
    value = net.node("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    shape = net.node("Shape", value)
    count = net.node("Slice", shape, ints(net, 0), ints(net, 1))
    flat = net.node("Reshape", value, net.node("Concat", count, ints(net, -1), axis=0))
    net.node("Gemm", flat, net.weight("v", 12, 3), output="y")
    return net.model({"x": (batch, 2, 6, 6)}, {"y": (batch, 3)})


def masked(batch: int) -> onnx.ModelProto:
    """A causal mask that was computed for the whole batch, added to scores, and one of booleans."""
    net = Network()
    mask = np.triu(np.full((5, 5), np.finfo(np.float32).min), 1)
    added = net.constant("mask", np.tile(mask, (batch, 1, 1)).astype(np.float32))
    seen = net.constant("seen", np.tile([True, True, True, True, False], (batch, 5, 1)))
    keys = net.node("Transpose", net.node("MatMul", "x", net.weight("k", 4, 4)), perm=[0, 2, 1])
    scores = net.node("Add", net.node("MatMul", "x", keys), added)
    scores = net.node("Where", seen, scores, net.constant("least", np.float32(-1e9)))
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), "x")
    net.node("ReduceMean", mixed, axes=[1], keepdims=0, output="y")
    return net.model({"x": (batch, 5, 4)}, {"y": (batch, 4)})


OPENED: dict[str, tuple[Build, int]] = {
    f"{build.__name__} {batch}": (build, batch)
    for build, batches in (
        (rows_of_all, (1, 4)),
        (attention, (1, 4)),
        (class_token, (1,)),
        (recurrent, (1,)),
        (images, (1, 4)),
        (masked, (1, 4)),
    )
    for batch in batches
}


def mixed(op_type: str, *shape: int, batch: int = 2, **attributes: Any) -> Build:
    """One operator on (batch, 6) that may mix examples; `shape` of what it gives."""

    def build(_: int) -> onnx.ModelProto:
        net = Network()
        more = {
            "Reshape": lambda: [ints(net, *shape)],
            "MatMul": lambda: [net.node("Transpose", "h", perm=[1, 0])],
            "Add": lambda: [net.weight("each", batch, 6)],
            "Sub": lambda: [net.constant("zeros", np.zeros((batch, 6), np.float32))],
            "Mul": lambda: [net.constant("mask", np.triu(np.ones((batch, 6), np.float32)))],
            "Gather": lambda: [ints(net, *range(shape[0]))],
            "CumSum": lambda: [net.constant("axis", np.array(0))],
        }
        net.node("Mul", "x", net.weight("w", 6), output="h")
        net.node(op_type, "h", *more.get(op_type, list)(), output="y", **attributes)
        return net.model({"x": (batch, 6)}, {"y": shape})

    return build


KEPT: dict[str, tuple[Build, str]] = {
    "reshape": (mixed("Reshape", 3, 4), "it mixes examples"),
    "product": (mixed("MatMul", 2, 2), "examples"),
    "constant": (mixed("Add", 2, 6), "a constant has an entry for each example"),
    "equal rows that may be trained": (
        mixed("Sub", 2, 6),
        "a constant has an entry for each example",
    ),
    "a mask of each": (mixed("Mul", 2, 6), "a constant has an entry for each example"),
    "softmax": (mixed("Softmax", 2, 6, axis=0), "it works over examples"),
    "mean": (mixed("ReduceMean", 1, 6, axes=[0]), "it reduces over examples"),
    "gather": (mixed("Gather", 2, 6), "it takes examples by their numbers"),
    "sum": (mixed("CumSum", 2, 6), "it is not known whether it mixes examples"),
    "squeeze": (
        mixed("Squeeze", 6, batch=1),
        "it takes every|it takes the batch|no axis of its own",
    ),
}


def read(model: onnx.ModelProto, **settings: Any) -> ir.Model:
    return read_model(model, TrainingSettings(**settings))[1]


@pytest.mark.parametrize("name", OPENED)
def test_an_opened_model_gives_for_each_example_what_it_gave(name: str) -> None:
    build, batch = OPENED[name]
    fixed = build(batch)
    opened = read(fixed)
    found = outcome(opened)
    assert found is not None and found.kept is None and found.size == batch
    sizes = [dim.dim_value for dim in fixed.graph.input[0].type.tensor_type.shape.dim]
    data = np.random.default_rng(0).normal(size=(3 * batch, *sizes[1:])).astype(np.float32)
    right = [
        onnxruntime.InferenceSession(fixed.SerializeToString()).run(None, {"x": each})[0]
        for each in np.split(data, 3)
    ]
    session = onnxruntime.InferenceSession(ir.to_proto(opened).SerializeToString())
    for count in (3 * batch, 1):  # also of a size that is no multiple
        (given,) = session.run(None, {"x": data[:count]})
        np.testing.assert_allclose(given, np.concatenate(right)[:count], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KEPT)
def test_what_may_mix_examples_stays_fixed_and_says_why(name: str) -> None:
    build, reason = KEPT[name]
    model = read(build(0), prediction="y")
    found = outcome(model)
    kept = "" if found is None else found.kept or ""
    assert found is None or any(each in kept for each in reason.split("|"))
    assert isinstance((model.graph.inputs[0].shape or [None])[0], int)


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_a_fixed_batch_is_trained_in_batches_of_any_size(target: str, tmp_path: Path) -> None:
    model = rows_of_all(1)
    manifest = svgd_onnx.convert(model, tmp_path / "open", target=target)
    assert manifest.batch_size is None
    random = np.random.default_rng(0)
    data = {
        "x": random.normal(size=(8, 6, 4)).astype(np.float32),
        "labels": random.integers(3, size=8),
    }
    trainer = svgd_onnx.Trainer(tmp_path / "open")
    trainer.train(data, epochs=1, batch_size=4, learning_rate=0.1)
    trainer.export(tmp_path / "trained.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "trained.onnx")  # as it came
    assert session.run(None, {"x": data["x"][:1]})[0].shape == (1, 3)


def test_a_fixed_batch_stays_where_it_is_wanted(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        rows_of_all(1), tmp_path / "fixed", target="onnx", fixed_batch=True
    )
    assert manifest.batch_size == 1 and manifest.fixed_batch is None


def test_an_axis_that_size_fixes_stays_so(tmp_path: Path) -> None:
    model = rows_of_all(1)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    manifest = svgd_onnx.convert(model, tmp_path / "a", target="onnx", size={"N": 1})
    assert manifest.batch_size == 1 and manifest.fixed_batch is None


def test_gradients_of_an_opened_model_are_right() -> None:
    found = svgd_onnx.check(attention(1), batch_size=3)
    assert all(each.is_right() for each in found)


@pytest.mark.parametrize(("before", "sizes", "batch"), [(0, [2, 3], 2), (1, [2], 0)])
def test_a_reshape_of_no_numbers_has_no_place_for_examples(
    before: int, sizes: list[int | None], batch: int
) -> None:
    with pytest.raises(RefusedError):
        _places(before, sizes, batch)
