"""Rules, and what is asked of them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from models import Network

from svgd_onnx.transforms.rule import RefusedError, apply_rule, table
from svgd_onnx.transforms.writer import Writer


def graph() -> ir.Graph:
    net = Network()
    net.node("Relu", "x", output="y")
    return ir.from_proto(net.model({"x": ("batch", 4)}, {"y": ("batch", 4)})).graph


def twice(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = node.inputs
    return write.node("Mul", x, write.scalar(2))


def half_written(node: ir.Node, write: Writer) -> ir.Value:
    raise RefusedError(f"after {write.node('Neg', node.inputs[0]).name}")


def test_two_tables_are_one() -> None:
    assert table({"Elu": 1}, {"Celu": 2}) == {"Elu": 1, "Celu": 2}


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="several rules for Conv"):
        table({"Conv": 1, "Elu": 1}, {"Conv": 2})


def test_what_a_rule_writes_takes_the_place_of_the_node() -> None:
    changed = graph()
    assert apply_rule(changed, changed[0], twice)
    (node,) = changed
    assert node.op_type == "Mul" and node.outputs[0] is changed.outputs[0]
    assert changed.outputs[0].name == "y" and changed.outputs[0].shape == ["batch", 4]


def test_a_node_that_is_fine_stays() -> None:
    unchanged = graph()
    assert not apply_rule(unchanged, unchanged[0], lambda node, write: None)
    assert [node.op_type for node in unchanged] == ["Relu"]


def test_a_refusal_leaves_no_reader_behind() -> None:
    unchanged = graph()
    with pytest.raises(RefusedError, match="after y/Neg_0"):
        apply_rule(unchanged, unchanged[0], half_written)
    assert [node for node, _ in unchanged.inputs[0].uses()] == [unchanged[0]]
    assert not unchanged.initializers
