"""What is known against onnxruntime's builder is seen in a graph, and nothing else is."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from svgd_onnx.transforms.canonicalize import InferShapes
from svgd_onnx.transforms.differentiate.onnxruntime_faults import fault_of


def graph(
    op_type: str, *shapes: tuple[int, ...], outputs: int = 1, types: str = "", **attributes: Any
) -> ir.Graph:
    """A node whose inputs are fed: of float32, or as one letter each says, b for truth values, i for labels."""
    elements = {"": TensorProto.FLOAT, "b": TensorProto.BOOL, "i": TensorProto.INT64}
    names = [f"x{place}" for place in range(len(shapes))]
    kinds = [elements[types[place : place + 1].strip()] for place in range(len(shapes))]
    infos = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in zip(names, kinds, shapes)
    ]
    results = [f"y{place}" for place in range(outputs)]
    nodes = [helper.make_node(op_type, names, results, name="node", **attributes)]
    nodes += [helper.make_node("Identity", [name], [f"{name}_read"]) for name in results]
    outs = [
        helper.make_tensor_value_info(f"{name}_read", TensorProto.FLOAT, None) for name in results
    ]
    made = helper.make_graph(nodes, "graph", infos, outs)
    opsets = [helper.make_opsetid("", 17)]
    model = ir.from_proto(helper.make_model(made, opset_imports=opsets, ir_version=8))
    InferShapes()(model)
    return model.graph


@pytest.mark.parametrize(
    ("faulty", "sound"),
    [
        (
            graph("Where", (2, 3), (), (2, 3), types="b"),
            graph("Where", (3,), (2, 3), (2, 3), types="b"),
        ),
        (graph("MatMul", (3, 4), (4,)), graph("MatMul", (3, 4), (4, 1))),
        (graph("MatMul", (3,), (2, 3, 4)), graph("MatMul", (3,), (3, 4))),
        (
            graph("SoftmaxCrossEntropyLoss", (2, 3), (2,), types=" i", outputs=2),
            graph("SoftmaxCrossEntropyLoss", (2, 3), (2,), types=" i"),
        ),
        (
            graph("Conv", (1, 4, 7), (6, 2, 3), group=2),
            graph("Conv", (1, 4, 7, 7), (6, 2, 3, 3), group=2),
        ),
        (
            graph("MaxPool", (1, 1, 4, 4), kernel_shape=[2, 2], storage_order=1),
            graph("MaxPool", (1, 1, 4, 4), kernel_shape=[2, 2]),
        ),
        (
            graph("LayerNormalization", (2, 3), (3,), (3,), outputs=3),
            graph("LayerNormalization", (2, 3), (3,), (3,)),
        ),
    ],
    ids=[
        "Where",
        "MatMul of a vector",
        "MatMul",
        "SoftmaxCrossEntropyLoss",
        "Conv",
        "MaxPool",
        "LayerNormalization",
    ],
)
def test_a_fault_is_seen(faulty: ir.Graph, sound: ir.Graph) -> None:
    assert "'node'" in str(fault_of(faulty))
    assert fault_of(sound) is None


def test_an_operand_of_where_that_is_constant_may_be_repeated() -> None:
    where = graph("Where", (2, 3), (), (2, 3), types="b")
    repeated = where.inputs[1]
    repeated.const_value = ir.tensor(0.0)
    assert fault_of(where) is None


def test_a_split_of_which_no_gradient_comes_by_one_output_is_seen() -> None:
    split = graph("Split", (4, 3), outputs=2)
    parts = [node.outputs[0] for node in split if node.op_type == "Identity"]
    joined = ir.node("Add", parts)
    split.append(joined)
    split.outputs[:] = joined.outputs
    assert fault_of(split, ["x0"]) is None
    joined.replace_input_with(0, parts[1])
    assert "'node'" in str(fault_of(split, ["x0"]))
