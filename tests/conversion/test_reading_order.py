"""What a node reads is given, or made before it; else a sentence names both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import onnx
import pytest
from onnx import helper

import svgd_onnx


def lacking() -> onnx.ModelProto:
    """Without the weight that its first node reads."""
    model = models.mlp()
    del model.graph.initializer[0]
    return model


def reversed_nodes() -> onnx.ModelProto:
    model = models.mlp()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_branch(name: str, *after: onnx.NodeProto) -> onnx.ModelProto:
    """x (N, 4) -> If, whose branches read a name of the graph around them -> nodes after it; y is (N, 4)."""
    net = models.Network()
    taken = net.node("MatMul", "x", net.weight("w", 4, 4), output="before")
    read = helper.make_node("Identity", [name], ["out"], "reads")
    out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    branch = helper.make_graph([read], "branch", [], [out])
    true = net.node("Cast", net.node("ReduceMax", taken, keepdims=0), to=onnx.TensorProto.BOOL)
    net.node("If", true, output="y", then_branch=branch, else_branch=branch)
    net.nodes.extend(after)
    return net.model({"x": ("N", 4)}, {"y": ("N", 4)}, check=False)


def in_function() -> onnx.ModelProto:
    """A function sees its own inputs only, and nothing of the graph that calls it."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 4), output="before")
    net.nodes.append(helper.make_node("Twice", ["before"], ["y"], domain="mine"))
    model = net.model({"x": ("N", 4)}, {"y": ("N", 4)}, domains=("mine",), check=False)
    body = [helper.make_node("Add", ["a", "before"], ["b"], "adds")]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, opsets))
    return model


LATER = helper.make_node("Identity", ["x"], ["later"], "makes")


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lacking, "nothing gives 'fc1.weight', which Gemm 'gemm_0_node' reads"),
        (reversed_nodes, "reads 'gemm_3' before Gemm 'gemm_3_node' makes it"),
        (lambda: with_branch("nowhere"), "nothing gives 'nowhere', which Identity 'reads' reads"),
        (
            lambda: with_branch("later", LATER),
            "Identity 'reads' reads 'later' before Identity 'makes' makes it",
        ),
        (in_function, "nothing gives 'before', which Add 'adds' reads"),
    ],
)
def test_what_is_not_there_is_named_with_its_reader(
    model: Callable[[], onnx.ModelProto], said: str, in_memory: bool, tmp_path: Path
) -> None:
    onnx.save(model(), tmp_path / "model.onnx")
    with pytest.raises(svgd_onnx.UserError) as refused:
        svgd_onnx.convert(model() if in_memory else tmp_path / "model.onnx", tmp_path / "artifacts")
    assert said in str(refused.value)


def test_a_body_reads_what_was_made_around_it(tmp_path: Path) -> None:
    svgd_onnx.convert(with_branch("before"), tmp_path / "artifacts", loss="mse", verify=False)
