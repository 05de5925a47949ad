"""What onnx infers is read back as onnx-ir's pass reads it, which makes a second graph of it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.canonicalize.onnx_inference import infer_by_onnx

MODELS = {
    "an open axis": """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 4] x) => (float[n, m] y) <float[4, 3] w = {0,0,0,0,0,0,0,0,0,0,0,0}> {
            h = MatMul(x, w)
            y = Relu(h)
        }""",
    "sizes that are computed": """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[2, 3, 4] x) => (y) <int64[1] rest = {-1}, int64[1] at = {0}> {
            sizes = Shape(x)
            first = Gather(sizes, at)
            wanted = Concat<axis=0>(first, rest)
            y = Reshape(x, wanted)
        }""",
    "a body": """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[2, 3] x, bool c) => (y) {
            y = If(c) <then_branch = t () => (a) { a = Transpose(x) },
                       else_branch = e () => (b) { b = Identity(x) }>
        }""",
    "a sequence": """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[2, 3] x) => (y) {
            s = SplitToSequence<axis=0>(x)
            y = ConcatFromSequence<axis=0>(s)
        }""",
    "a node that cannot be": """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[2, 3] x, float[4, 5] z) => (y) {
            h = MatMul(x, z)
            y = Tanh(x)
        }""",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_types_and_shapes_are_those_of_the_pass_of_onnx_ir(text: str) -> None:
    model = ir.from_proto(onnx.parser.parse_model(text))
    expected = model.clone()
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(expected)

    infer_by_onnx(model, follow=True, named=lambda symbol: True)

    assert _found(model) == _found(expected)


def test_the_graph_keeps_its_inputs_and_the_numbers_of_its_initializers() -> None:
    model = ir.from_proto(onnx.parser.parse_model(MODELS["an open axis"]))
    graph = model.graph
    large = ir.tensor(np.zeros(1000, np.float32), name="large")
    graph.register_initializer(ir.val("large", const_value=large))
    before = list(graph.inputs), list(graph.initializers), graph.initializers["w"].const_value

    infer_by_onnx(model, follow=True, named=lambda symbol: True)

    assert (list(graph.inputs), list(graph.initializers)) == before[:2]
    assert graph.initializers["w"].const_value is before[2]
    assert graph.initializers["large"].const_value is large


def test_an_axis_that_may_have_no_name_is_of_unknown_size() -> None:
    model = ir.from_proto(onnx.parser.parse_model(MODELS["an open axis"]))

    infer_by_onnx(model, follow=True, named=lambda symbol: symbol != "batch")

    (h,) = model.graph[0].outputs
    assert h.shape == [None, 3]


def _found(model: ir.Model) -> dict[str, tuple[object, object]]:
    return {
        value.name or "": (value.type, value.shape)
        for graph in with_bodies(model.graph)
        for value in values_of(graph)
    }


def test_axes_have_no_names_that_onnx_made_up_in_sequences_either() -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 8] x, int64 parts) => (y) {
            s = SplitToSequence<axis=1>(x, parts)
            y = ConcatFromSequence<axis=1>(s)
        }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    InferShapes()(model)
    (split, _) = model.graph
    assert split.outputs[0].shape == ["batch", None]
