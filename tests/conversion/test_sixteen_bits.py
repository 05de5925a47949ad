"""Models of float16 and bfloat16 are trained in float32, and come out in the type that came in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import models
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import svgd_onnx
from svgd_onnx.training.stored_types import stored

TYPES = {"float16": (TensorProto.FLOAT16, np.float16), "bfloat16": (16, ml_dtypes.bfloat16)}
COUNT = 8


def in_sixteen_bits(model: onnx.ModelProto, dtype: str) -> onnx.ModelProto:
    """The model with its weights, inputs and outputs of another type."""
    code, numpy_type = TYPES[dtype]
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for initializer in half.graph.initializer:
        array = numpy_helper.to_array(initializer).astype(numpy_type)
        initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = code
    return half


def rounded(model: onnx.ModelProto, dtype: str) -> onnx.ModelProto:
    """The float32 model with the same numbers."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    for initializer in single.graph.initializer:
        array = numpy_helper.to_array(initializer).astype(TYPES[dtype][1]).astype(np.float32)
        initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))
    return single


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def trained(
    model: onnx.ModelProto, folder: Path, batch: dict[str, np.ndarray]
) -> svgd_onnx.Trainer:
    svgd_onnx.convert(model, folder, target="onnx", optimizer="sgd")
    trainer = svgd_onnx.Trainer(folder, threads=1)
    for _ in range(2):
        trainer.train_step(batch, 0.1)
    return trainer


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("network", [models.mlp, models.convolutional])
def test_it_trains_as_the_float32_model_of_the_same_numbers(
    network: Callable[[], onnx.ModelProto], dtype: str, tmp_path: Path
) -> None:
    model = network()
    batch = models.examples(model, COUNT)
    half = trained(in_sixteen_bits(model, dtype), tmp_path / "half", batch)
    single = trained(rounded(model, dtype), tmp_path / "single", batch)
    for name in model.metadata_props[0].value.split("\n"):
        np.testing.assert_array_equal(half.tensor(name), single.tensor(name))


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("dtype", TYPES)
def test_it_comes_out_in_its_type(dtype: str, target: str, tmp_path: Path) -> None:
    model = in_sixteen_bits(models.mlp(), dtype)
    svgd_onnx.convert(model, tmp_path / "a", target=target)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    trainer.train_step(models.examples(models.mlp(), COUNT), 0.1)
    trainer.export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    assert list(exported.graph.input) == list(model.graph.input)
    assert list(exported.graph.output) == list(model.graph.output)
    assert list(exported.graph.node) == list(model.graph.node)
    for name, array in weights(exported).items():
        expected = trainer.tensor(name).astype(TYPES[dtype][1])
        np.testing.assert_array_equal(array.astype(np.float32), expected.astype(np.float32))


def test_what_is_exported_gives_what_evaluation_gives_within_its_precision(tmp_path: Path) -> None:
    model = in_sixteen_bits(models.mlp(), "float16")
    batch = models.examples(models.mlp(), COUNT)
    trainer = trained(model, tmp_path / "a", batch)
    trainer.export(tmp_path / "out.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    (found,) = session.run(None, {"x": batch["x"].astype(np.float16)})
    expected = trainer._session.eval_step([batch["x"], batch["labels"]])[1]
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0, atol=3e-3)


def test_data_may_have_the_type_of_the_model(tmp_path: Path) -> None:
    batch = models.examples(models.mlp(), COUNT)
    svgd_onnx.convert(in_sixteen_bits(models.mlp(), "float16"), tmp_path / "a", target="onnx")
    losses = [
        svgd_onnx.Trainer(tmp_path / "a").evaluate({**batch, "x": x})["loss"]
        for x in (batch["x"].astype(np.float16), batch["x"].astype(np.float16).astype(np.float32))
    ]
    assert losses[0] == losses[1]


def half_stored() -> onnx.ModelProto:
    """x -> MatMul -> Relu -> MatMul -> logits, each weight a float16 initializer behind a Cast."""
    net = models.Network()
    random = np.random.default_rng(1)
    for name, shape in {"first": (6, 5), "second": (5, 4)}.items():
        net.constant(f"{name}.half", random.normal(size=shape).astype(np.float16))
        net.node("Cast", f"{name}.half", to=TensorProto.FLOAT, output=f"{name}.weight")
    value = net.node("Relu", net.node("MatMul", "x", "first.weight"))
    net.node("MatMul", value, "second.weight", output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})


def test_weights_stored_in_float16_are_trained_and_stored_so_again(tmp_path: Path) -> None:
    model = half_stored()
    trainer = trained(model, tmp_path / "a", models.examples(model, COUNT))
    trainer.export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    assert list(exported.graph.node) == list(model.graph.node)
    for name, array in weights(exported).items():
        assert array.dtype == np.float16
        assert (array != weights(model)[name]).any()


def test_a_mask_of_the_least_float16_is_a_constant_and_stays_what_it_is(tmp_path: Path) -> None:
    net = models.Network()
    mask = np.where(np.tri(4, dtype=bool), 0, -65504).astype(np.float32)
    net.constant("mask", mask)
    value = net.node("MatMul", "x", net.weight("first.weight", 6, 4))
    value = net.node("Softmax", net.node("Add", value, "mask"), axis=-1)
    net.node("MatMul", value, net.weight("second.weight", 4, 4), output="logits")
    model = net.model({"x": ("batch", 4, 6)}, {"logits": ("batch", 4, 4)})
    half = in_sixteen_bits(model, "float16")
    manifest = svgd_onnx.convert(
        half, tmp_path / "a", target="onnx", loss_settings=svgd_onnx.LossSettings(class_axis=2)
    )
    assert [each.name for each in manifest.parameters] == ["first.weight", "second.weight"]
    svgd_onnx.Trainer(tmp_path / "a").export(tmp_path / "out.onnx")
    np.testing.assert_array_equal(weights(onnx.load(tmp_path / "out.onnx"))["mask"], mask)


def test_types_within_branches_are_converted(tmp_path: Path) -> None:
    net = models.Network()
    net.constant("second.weight", np.eye(5, 4, dtype=np.float16))
    net.constant("first.weight", np.random.default_rng(0).normal(size=(6, 5)).astype(np.float16))
    net.node("Cast", "x", to=TensorProto.FLOAT16, output="half")
    net.node("MatMul", "half", "first.weight", output="hidden")
    net.constant("zero", np.zeros((), np.float16))
    value = net.node("ReduceMax", "hidden", keepdims=0)
    condition = net.node("Greater", value, "zero")
    branches = {}
    for name, number in {"then_branch": 1.5, "else_branch": -0.5}.items():
        factor = numpy_helper.from_array(np.array(number, np.float16), "")
        branches[name] = helper.make_graph(
            [
                helper.make_node("Constant", [], [f"{name}.f"], value=factor),
                helper.make_node("Mul", ["hidden", f"{name}.f"], [f"{name}.y"]),
            ],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}.y", TensorProto.FLOAT16, ["batch", 5])],
        )
    value = net.node("If", condition, **branches)
    value = net.node("MatMul", value, "second.weight")
    net.node("Cast", value, to=TensorProto.FLOAT, output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})
    checks = svgd_onnx.check(model)
    assert {each.parameter for each in checks} == {"first.weight", "second.weight"}
    assert max(each.error for each in checks) < 1e-4


def test_numbers_are_rounded_to_the_nearest_ties_to_even() -> None:
    numbers = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    halfway = np.array([1 + 2**-8, 1 + 3 * 2**-8, 65519, -np.inf, 0, -0.0], np.float32)
    for array in (numbers, halfway):
        for name, (_, dtype) in TYPES.items():
            bits = stored(array, name, "w").view(np.uint16)
            np.testing.assert_array_equal(bits, array.astype(dtype).view(np.uint16))


def test_a_number_that_the_type_does_not_hold_is_refused() -> None:
    with pytest.raises(svgd_onnx.UserError, match="'w' has grown to 6.55e"):
        stored(np.array([1, -65521], np.float32), "float16", "w")
