"""Canonicalization: any export becomes one inference form that computes the same."""

from __future__ import annotations

from collections.abc import Callable

import models
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper

from svgd_onnx.transforms.canonicalize import (
    FoldConstants,
    InferenceMode,
    Opset,
    SeparateVectors,
    canonicalize,
)


def outputs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, feeds)


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17, 19, 21])
@pytest.mark.parametrize("network", [models.mlp, models.convolutional, models.residual])
def test_the_canonical_model_computes_the_same(
    network: Callable[[int], onnx.ModelProto], opset: int
) -> None:
    model = network(opset)
    feeds = models.examples(model)
    del feeds["labels"]
    expected = outputs(model, feeds)
    canonical = ir.to_proto(canonicalize(ir.from_proto(model)))
    np.testing.assert_allclose(outputs(canonical, feeds)[0], expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [9, 12, 17, 21])
def test_the_opset_lies_in_what_the_runtime_differentiates(opset: int) -> None:
    canonical = Opset()(ir.from_proto(models.mlp(opset))).model
    assert canonical.graph.opset_imports[""] == max(opset, 17)


def test_weights_in_constant_nodes_and_in_inputs_become_initializers() -> None:
    model = models.gemm()
    first, second = model.graph.initializer[0], model.graph.initializer[1]
    model.graph.node.insert(0, helper.make_node("Constant", [], [first.name], value=first))
    info = helper.make_tensor_value_info(second.name, second.data_type, second.dims)
    model.graph.input.append(info)
    del model.graph.initializer[0]
    canonical = canonicalize(ir.from_proto(model))
    assert {value.name for value in canonical.graph.inputs} == {"x"}
    names = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    assert names == set(canonical.graph.initializers)
    assert all(node.op_type != "Constant" for node in canonical.graph)


def test_a_model_exported_in_training_mode_is_put_into_inference_mode() -> None:
    net = models.Network()
    value = net.node("Gemm", "x", net.weight("w", 6, 4), net.weight("b", 4))
    net.batch_normalization(value, 4, "bn")
    normalization = net.nodes[-1]
    normalization.output.extend(["new_mean", "new_variance"])
    normalization.attribute.append(helper.make_attribute("training_mode", 1))
    ratio = net.constant("ratio", np.array(0.5, np.float32))
    training = net.constant("training", np.array(True))
    net.node("Dropout", normalization.output[0], ratio, training, output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    result = InferenceMode()(ir.from_proto(model))
    assert result.modified
    feeds = {"x": np.ones((3, 6), np.float32)}
    first, second = (outputs(ir.to_proto(result.model), feeds)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    gemm = result.model.graph[0].outputs[0]
    assert [node.op_type for node, _ in gemm.uses()] == ["BatchNormalization"]
    assert len(result.model.graph[1].outputs) == 1


def test_weights_do_not_go_through_the_upgrade() -> None:
    """They are the same objects after it: nothing that large is copied."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 40, 50), output="y")
    model = ir.from_proto(net.model({"x": ("batch", 40)}, {"y": ("batch", 50)}, opset=9))
    tensor = model.graph.initializers["w"].const_value
    canonical = canonicalize(model)
    assert canonical.graph.initializers["w"].const_value is tensor
    assert [value.name for value in canonical.graph.inputs] == ["x"]


def test_what_depends_on_no_input_is_folded_and_weights_are_not() -> None:
    net = models.Network()
    weight = net.weight("w", 4, 3)
    width = net.node("Shape", weight, start=1)
    zeros = net.node("ConstantOfShape", width)
    doubled = net.node("Add", weight, weight)
    net.node("Add", net.node("MatMul", "x", doubled), zeros, output="y")
    model = ir.from_proto(net.model({"x": ("batch", 4)}, {"y": ("batch", 3)}))
    FoldConstants()(model)
    assert [node.op_type for node in model.graph] == ["Add", "MatMul", "Add"]
    np.testing.assert_array_equal(model.graph.initializers[zeros].const_value.numpy(), np.zeros(3))


@pytest.mark.parametrize("length", [3, 100])
def test_positions_that_are_gathered_from_constants_are_folded(length: int) -> None:
    """BERT's token types: the onnx package's GatherElements fails on an axis of more than 64."""
    net = models.Network()
    table = np.arange(5 * length).reshape(1, 5 * length)
    positions = np.arange(length)[None]
    gathered = net.node(
        "GatherElements", net.constant("table", table), net.constant("at", positions), axis=1
    )
    net.node("Mul", "x", net.node("Cast", gathered, to=1), output="y")
    model = ir.from_proto(net.model({"x": ("batch", length)}, {"y": ("batch", length)}))
    FoldConstants()(model)
    folded = model.graph.initializers[gathered].const_value.numpy()
    np.testing.assert_array_equal(folded, table[:, :length])


def test_what_the_onnx_package_cannot_evaluate_is_left_to_the_runtime() -> None:
    net = models.Network()
    wrong = net.node("Reshape", net.constant("a", np.arange(3)), net.constant("b", np.array([7])))
    net.node("Mul", "x", net.node("Cast", wrong, to=1), output="y")
    model = ir.from_proto(net.model({"x": ("batch", 7)}, {"y": ("batch", 7)}))
    FoldConstants()(model)
    assert [node.op_type for node in model.graph] == ["Reshape", "Cast", "Mul"]


def test_a_typed_constant_takes_its_type_without_casting() -> None:
    net = models.Network()
    typed = net.node("CastLike", net.constant("two", np.array(2.0)), "x")
    net.node("Mul", "x", typed, output="y")
    model = ir.from_proto(net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}))
    FoldConstants()(model)
    assert [node.op_type for node in model.graph] == ["Mul"]
    assert model.graph.initializers[typed].const_value.dtype == ir.DataType.FLOAT


def test_equal_vectors_are_separated_and_shared_matrices_are_not() -> None:
    net = models.Network()
    scale, matrix = net.weight("scale", 4), net.weight("matrix", 4, 4)
    value = net.node("Mul", "x", scale)
    value = net.node("MatMul", value, matrix)
    value = net.node("Mul", value, net.node("Identity", scale, output="other"))
    net.node("MatMul", value, net.node("Identity", matrix), output="y")
    model = ir.from_proto(net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}))
    SeparateVectors()(model)
    assert set(model.graph.initializers) == {"scale", "other", "matrix"}
    assert len(list(model.graph.initializers["matrix"].uses())) == 2


def test_axes_that_nothing_is_known_of_have_no_name() -> None:
    """onnx's inference would call them unk__0, and a named axis is taken for one of its own size."""
    net = models.Network()
    some = net.node(
        "Slice",
        "x",
        net.constant("from", np.array([0])),
        "count",
        net.constant("axis", np.array([1])),
    )
    net.node("Relu", some, output="y")
    model = net.model({"x": ("batch", "width"), "count": (1,)}, {"y": ("batch", None)})
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    graph = canonicalize(ir.from_proto(model)).graph
    shape = next(node.outputs[0].shape for node in graph if node.op_type == "Slice")
    assert shape is not None
    assert [dim.value for dim in shape if isinstance(dim, ir.SymbolicDim)] == [None, None]
