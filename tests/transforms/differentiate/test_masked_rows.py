"""Rows of -inf before a Softmax, for which the model selects 0 afterwards."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from models import Network
from onnx import TensorProto, helper, numpy_helper

import svgd_onnx
from svgd_onnx.transforms.canonicalize import InferShapes
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse
from svgd_onnx.transforms.lower import Lower

MASK = np.array([[0, 0, -np.inf], [-np.inf, -np.inf, -np.inf], [0, 0, 0]], np.float32)
ROW_MASKED = np.array([[False], [True], [False]])
WEIGHTS = np.array([[1, 2, 3], [4, 5, 6], [-1, 0, 2]], np.float32)


def attention(*selection: onnx.NodeProto) -> ir.Model:
    """Softmax of x under a mask, what it gives for a row of -inf replaced, times weights."""
    nodes = [
        helper.make_node("Add", ["x", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["y"]),
        *selection,
        helper.make_node("Mul", ["selected", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted"], ["loss"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(array, name)
        for name, array in (
            ("mask", MASK),
            ("weights", WEIGHTS),
            ("zero", np.array(0, np.float32)),
            ("row", ROW_MASKED),
        )
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    loss = helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])
    graph = helper.make_graph(nodes, "attention", [x], [loss], constants)
    opsets = [helper.make_opsetid("", 17)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    InferShapes()(model)
    return model


BY_NAN = attention(
    helper.make_node("IsNaN", ["y"], ["nan"]),
    helper.make_node("Where", ["nan", "zero", "y"], ["selected"]),
)
BY_MASK = attention(helper.make_node("Where", ["row", "zero", "y"], ["selected"]))


@pytest.mark.parametrize("forward", [BY_NAN, BY_MASK], ids=["by NaN", "by the mask"])
def test_a_row_that_is_masked_throughout_has_no_gradient(forward: ir.Model) -> None:
    model = differentiate_in_reverse(forward, {"x": ["x"]})
    Lower()(model)
    x = np.array([[0.3, -1, 2], [1, 2, 3], [0.5, 0.1, -0.2]], np.float32)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    (found,) = session.run(["x_grad"], {"x": x})
    y = np.exp(x + MASK)
    y /= np.where(y.sum(axis=1, keepdims=True) > 0, y.sum(axis=1, keepdims=True), 1)
    expected = y * (WEIGHTS - np.sum(WEIGHTS * y, axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_selection_that_the_model_has_is_taken() -> None:
    model = differentiate_in_reverse(BY_NAN, {"x": ["x"]})
    assert [node.op_type for node in model.graph].count("IsNaN") == 1


@pytest.mark.parametrize("differentiator", ["onnxruntime", "own"])
@pytest.mark.parametrize("by", ["NaN", "the mask"])
def test_gradients_of_a_model_with_such_a_row_are_right(by: str, differentiator: str) -> None:
    net = Network()
    scores = net.node(
        "Add", net.node("MatMul", "x", net.weight("w", 4, 3)), net.constant("mask", MASK)
    )
    chances = net.node("Softmax", scores)
    masked = net.node("IsNaN", chances) if by == "NaN" else net.constant("row", ROW_MASKED)
    chosen = net.node("Where", masked, net.constant("zero", np.array(0, np.float32)), chances)
    net.node("MatMul", chosen, net.weight("v", 3, 2), output="y")
    model = net.model({"x": ("N", 3, 4)}, {"y": ("N", 3, 2)})
    random = np.random.default_rng(0)
    x, target = (random.normal(size=(2, 3, size)).astype(np.float32) for size in (4, 2))
    arrays = {"x": x, "target": target}
    found = svgd_onnx.check(
        model, loss="mse", arrays=arrays, differentiator=differentiator, target="ort-training"
    )
    assert [each.parameter for each in found] == ["w", "v"]
    assert max(each.error for each in found) < 1e-5
