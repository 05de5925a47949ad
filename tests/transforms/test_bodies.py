"""Values that the bodies of control flow read of the graph around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import Network
from onnx import helper

import svgd_onnx
from svgd_onnx.runtime import has_training
from svgd_onnx.transforms.bodies import bodies_of, captured, take_out
from svgd_onnx.transforms.canonicalize import canonicalize


def branches() -> onnx.ModelProto:
    """x (batch, 4) -> If of two branches, each of which multiplies with w -> logits (batch, 3)."""
    net = Network()
    net.weight("w", 4, 3)
    total = net.node("ReduceSum", "x", keepdims=0)
    condition = net.node("Greater", total, net.constant("zero", np.array(0, np.float32)))
    bodies = {}
    for name, number in (("then_branch", 1.0), ("else_branch", 2.0)):
        factor = onnx.numpy_helper.from_array(np.array(number, np.float32), f"{name}_factor")
        output = helper.make_tensor_value_info(f"{name}_y", onnx.TensorProto.FLOAT, None)
        nodes = [
            helper.make_node("MatMul", ["x", "w"], [f"{name}_product"]),
            helper.make_node("Mul", [f"{name}_product", f"{name}_factor"], [f"{name}_y"]),
        ]
        bodies[name] = helper.make_graph(nodes, name, [], [output], [factor])
    chosen = net.node("If", condition, output="chosen", **bodies)
    net.node("Add", chosen, net.weight("head.bias", 3), output="logits")
    return net.model({"x": ("batch", 4)}, {"logits": ("batch", 3)})


def test_bodies_read_outer_values_that_are_no_inputs() -> None:
    graph = canonicalize(ir.from_proto(branches())).graph
    (node,) = (node for node in graph if node.op_type == "If")
    read = [value.name for value in captured(bodies_of(node)) if value is not None]
    assert sorted(read) == ["else_branch_factor", "then_branch_factor", "w", "x"]


def test_names_in_two_branches_are_made_different() -> None:
    model = branches()
    for node in model.graph.node:
        for attribute in node.attribute:
            for inner in attribute.g.node:
                inner.name = "same"
                names = [
                    name.replace(f"{attribute.name}_product", "product") for name in inner.output
                ]
                inner.output[:] = names
                read = [
                    name.replace(f"{attribute.name}_product", "product") for name in inner.input
                ]
                inner.input[:] = read
    graph = canonicalize(ir.from_proto(model)).graph
    nodes = [node.name for node in graph.all_nodes()]
    assert len(nodes) == len(set(nodes))
    assert [check.error < 1e-5 for check in svgd_onnx.check(model)] == [True, True]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_what_comes_after_an_if_trains_alone(target: str, tmp_path: Path) -> None:
    if target == "ort-training" and not has_training():
        pytest.skip("onnxruntime-training is not installed")
    svgd_onnx.convert(branches(), tmp_path / "a", target=target, train=["head.*"])
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    batch = {"x": np.ones((2, 4), np.float32), "labels": np.array([0, 1])}
    assert np.isfinite(trainer.train_step(batch, 0.1))


@pytest.mark.skipif(not has_training(), reason="onnxruntime-training is not installed")
def test_onnxruntimes_builder_is_not_given_control_flow(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="control flow \\(If 'chosen_node'\\)"):
        svgd_onnx.convert(branches(), tmp_path / "a", differentiator="onnxruntime")


def test_a_node_is_taken_out_that_nothing_reads() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N] x) => (float[N] y) { a = Relu (x) b = Neg (a) y = Abs (x) }"""
    graph = ir.from_onnx_text(text).graph
    first, second, last = graph
    for read in (first, last):
        with pytest.raises(ValueError, match="is still read"):
            take_out(graph, read)
    take_out(graph, second)
    take_out(graph, first)
    assert list(graph) == [last] and first.graph is None
    assert [use.node for use in graph.inputs[0].uses()] == [last]
