"""A quantized model is fine-tuned through its quantizations, and comes out as the same quantized model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest
import quantized_models
from onnx import numpy_helper
from onnxruntime.quantization import QuantType

import svgd_onnx
from svgd_onnx.manifest import Parameter, Quantization
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.stored_types import stored

COUNT = 8
TYPES = {"int8": np.int8, "uint8": np.uint8}


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def layer(dtype: str, axis: int | None) -> onnx.ModelProto:
    """x -> quantized -> MatMul with a quantized w and an int32 bias -> quantized -> logits.

    The ranges clip some of what they quantize.
    """
    net, random = models.Network(), np.random.default_rng(5)
    shape = {None: (), 0: (6,), 1: (4,)}[axis]
    ends = np.iinfo(TYPES[dtype])
    net.constant("x.scale", np.array(0.01, np.float32))
    net.constant("x.zero", np.array(3 + 128 * (dtype == "uint8"), TYPES[dtype]))
    net.constant("w.scale", random.uniform(0.005, 0.01, shape).astype(np.float32))
    net.constant("w.zero", random.integers(0, 9, shape).astype(TYPES[dtype]))
    net.constant("w", random.integers(ends.min, ends.max + 1, (6, 4)).astype(TYPES[dtype]))
    net.constant("b.scale", np.array(1e-4, np.float32))
    net.constant("b", random.integers(-5000, 5000, 4).astype(np.int32))
    net.constant("y.scale", np.array(0.02, np.float32))
    net.constant("y.zero", np.array(128 * (dtype == "uint8"), TYPES[dtype]))
    x = net.node("QuantizeLinear", "x", "x.scale", "x.zero")
    x = net.node("DequantizeLinear", x, "x.scale", "x.zero")
    along = {} if axis is None else {"axis": axis}
    w = net.node("DequantizeLinear", "w", "w.scale", "w.zero", **along)
    y = net.node("Gemm", x, w, net.node("DequantizeLinear", "b", "b.scale"))
    y = net.node("QuantizeLinear", y, "y.scale", "y.zero")
    net.node("DequantizeLinear", y, "y.scale", "y.zero", output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})


def quantized(
    x: np.ndarray, scale: np.ndarray, zero: np.ndarray, ends: np.iinfo
) -> tuple[np.ndarray, np.ndarray]:
    """What comes out, and where it was not clipped."""
    integers = np.rint(x / scale) + zero
    clipped = np.clip(integers, ends.min, ends.max)
    return (clipped - zero) * scale, integers == clipped


def expected_gradients(
    given: dict[str, np.ndarray], batch: dict[str, np.ndarray], axis: int | None
) -> dict[str, np.ndarray]:
    """Those of the cross-entropy by w and b, in float64."""
    ends = np.iinfo(given["w"].dtype)
    values = {name: array.astype(np.float64) for name, array in given.items()}
    spread = {None: (), 0: (6, 1), 1: (1, 4)}[axis]
    scale, zero = (values[f"w.{name}"].reshape(spread) for name in ("scale", "zero"))
    x, _ = quantized(batch["x"].astype(np.float64), values["x.scale"], values["x.zero"], ends)
    y = x @ ((values["w"] - zero) * scale) + values["b"] * values["b.scale"]
    logits, inside = quantized(y, values["y.scale"], values["y.zero"], ends)
    assert not inside.all()
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    dy = (softmax - np.eye(4)[batch["labels"]]) / len(x) * inside
    return {"w": x.T @ dy, "b": dy.sum(axis=0)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_gradients_pass_where_the_range_does_not_clip(
    axis: int | None, dtype: str, target: str, tmp_path: Path
) -> None:
    model = layer(dtype, axis)
    batch = {**models.examples(model, COUNT)}
    batch["x"] = (2 * batch["x"]).astype(np.float32)
    svgd_onnx.convert(
        model, tmp_path / "a", target=target, optimizer="sgd", quantized="straight-through"
    )
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    before = {name: np.array(trainer.tensor(name), np.float64) for name in ("w", "b")}
    trainer.train_step(batch, 1.0)
    for name, gradient in expected_gradients(weights(model), batch, axis).items():
        found = before[name] - trainer.tensor(name)
        np.testing.assert_allclose(found, gradient, rtol=0, atol=2e-6 * np.abs(gradient).max())


FORMS = [
    (models.mlp, False, QuantType.QInt8),
    (models.mlp, True, QuantType.QInt8),
    (models.convolutional, True, QuantType.QInt8),
    (models.convolutional, False, QuantType.QUInt8),
]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0].__name__}-{form[1]}-{form[2]}")
def model(request: pytest.FixtureRequest, tmp_path: Path) -> onnx.ModelProto:
    """As onnxruntime's quantize_static writes it."""
    network, per_channel, kind = request.param
    return quantized_models.statically(network, tmp_path, per_channel=per_channel, weights=kind)


def converted(model: onnx.ModelProto, folder: Path, **options: object) -> svgd_onnx.Trainer:
    svgd_onnx.convert(model, folder, quantized="straight-through", **options)
    return svgd_onnx.Trainer(folder, threads=1)


def test_untrained_it_comes_out_as_it_was(model: onnx.ModelProto, tmp_path: Path) -> None:
    converted(model, tmp_path / "a", target="onnx").export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    assert list(exported.graph.node) == list(model.graph.node)
    for name, array in weights(model).items():
        np.testing.assert_array_equal(weights(exported)[name], array)


@pytest.mark.parametrize("target", TARGETS)
def test_trained_it_has_other_integers_and_all_else_as_it_was(
    model: onnx.ModelProto, target: str, tmp_path: Path
) -> None:
    trainer = converted(model, tmp_path / "a", target=target)
    batch = models.examples(model, COUNT)
    losses = [trainer.train_step(batch, 0.05) for _ in range(20)]
    assert losses[-1] < losses[0]
    trainer.export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    assert list(exported.graph.node) == list(model.graph.node)
    trained = {each.name for each in trainer.manifest.parameters if each.trainable}
    assert trained == {name for name in weights(model) if name.endswith("_quantized")}
    for name, array in weights(model).items():
        after = weights(exported)[name]
        assert after.dtype == array.dtype
        if name in trained:
            assert (after != array).any()
        elif not name.startswith("bn."):
            np.testing.assert_array_equal(after, array)


def test_the_exported_model_gives_what_evaluation_gives(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    trainer = converted(model, tmp_path / "a", target="onnx")
    batch = models.examples(model, COUNT)
    for _ in range(5):
        trainer.train_step(batch, 0.05)
    trainer.export(tmp_path / "out.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx", options)
    (name,) = (value.name for value in session.get_inputs())
    (found,) = session.run(None, {name: batch[name]})
    expected = trainer._session.eval_step([batch[name], batch["labels"]])[1]
    # as a bias of int32 is rounded, a number at the edge of two steps may fall to the other side
    step = {"probabilities": 0.01, "logits": 0.05}[model.graph.output[0].name]
    assert np.abs(found - expected).max() <= step
    assert np.mean(found == expected) > 0.9


def test_a_weight_that_is_frozen_keeps_its_integers(tmp_path: Path) -> None:
    model = layer("int8", 1)
    trainer = converted(model, tmp_path / "a", target="onnx", freeze=["w"])
    trainer.train_step(models.examples(model, COUNT), 1.0)
    trainer.export(tmp_path / "out.onnx")
    exported = weights(onnx.load(tmp_path / "out.onnx"))
    np.testing.assert_array_equal(exported["w"], weights(model)["w"])
    assert (exported["b"] != weights(model)["b"]).any()


def test_scales_are_found_anew_by_what_the_weights_have_become(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    trainer = converted(model, tmp_path / "a", target="onnx", optimizer="sgd")
    batch = models.examples(model, COUNT)
    for _ in range(20):
        trainer.train_step(batch, 0.1)
    trainer.export(tmp_path / "out.onnx", requantize=True)
    exported = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(exported)
    assert list(exported.graph.node) == list(model.graph.node)
    before, after = weights(model), weights(exported)
    assert before.keys() == after.keys()
    scales = {node.input[0]: node.input[1] for node in exported.graph.node if len(node.input) > 1}
    for name in (each for each in after if each.endswith("weight_quantized")):
        others = tuple(range(1, after[name].ndim)) if after[scales[name]].ndim else None
        if name == "fc.weight_quantized" and others:
            others = (0,)
        ends = np.iinfo(after[name].dtype)
        full = (after[name].max(others) == ends.max) | (after[name].min(others) == ends.min)
        assert full.all()
    for name in (each for each in after if each.endswith("bias_quantized")):
        kept = after[name] * after[scales[name]].astype(np.float64)
        np.testing.assert_allclose(
            kept, trainer.tensor(name), rtol=0, atol=after[scales[name]].max()
        )
    changed = {name for name in after if (after[name] != before[name]).any()}
    assert {"fc2.weight_scale", "fc.weight_scale"} & changed
    assert not {"x_scale", "image_scale", "relu_2_scale"} & changed


def test_of_a_model_that_is_not_quantized_no_scale_is_found_anew(tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx")
    with pytest.raises(svgd_onnx.UserError, match="leave out requantize"):
        svgd_onnx.Trainer(tmp_path / "a").export(tmp_path / "out.onnx", requantize=True)


def test_twins_train_the_same(tmp_path: Path) -> None:
    model = layer("int8", 1)
    batch = models.examples(model, COUNT)
    tensors = []
    for way in ("graph", "operators"):
        trainer = converted(model, tmp_path / way, target="onnx", encapsulation=way)
        for _ in range(3):
            trainer.train_step(batch, 0.1)
        tensors.append(np.array(trainer.tensor("w")))
    np.testing.assert_array_equal(*tensors)


@pytest.mark.parametrize("opset", [13, 21])
def test_check_takes_the_function_whose_gradient_is_taken(opset: int) -> None:
    model = layer("int8", 0)
    model.opset_import[0].version = opset
    checks = svgd_onnx.check(model, quantized="straight-through", seed=1)
    assert {each.parameter for each in checks} == {"w", "b"}
    assert max(each.error for each in checks) < 1e-5


@pytest.mark.parametrize("make", [models.mlp, models.convolutional])
def test_without_a_quantization_nothing_is_different(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    for choice in ("frozen", "straight-through"):
        svgd_onnx.convert(make(), tmp_path / choice, target="onnx", quantized=choice)
    for name in ("training_step.onnx", "eval_model.onnx", "checkpoint.safetensors"):
        one, two = (
            (tmp_path / each / name).read_bytes() for each in ("frozen", "straight-through")
        )
        assert one == two


def test_integers_are_those_of_onnxruntime() -> None:
    random = np.random.default_rng(0)
    array = random.normal(size=(5, 4)).astype(np.float32)
    scale, zero = (
        random.uniform(0.005, 0.02, 4).astype(np.float32),
        np.array([0, 3, -5, 7], np.int8),
    )
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=1)
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, (5, 4))],
        [onnx.helper.make_tensor_value_info("y", 3, (5, 4))],
        [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero, "z")],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (expected,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": array})
    how = Quantization(scale.tolist(), zero.tolist(), 1)
    parameter = Parameter("w", [5, 4], trainable=True, stored_as="int8", quantization=how)
    np.testing.assert_array_equal(stored(array, parameter), expected)


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="'melted'"):
        svgd_onnx.convert(models.mlp(), tmp_path / "a", quantized="melted")
