"""A bias whose weight has T takes its gradient from T, where nothing reads it before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fast_forms import converted, operators
from models import gemm, matmul_add

from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.fuse import SumsOfT
from tools.networks import NETWORKS


@pytest.mark.parametrize("differentiator", ["own", "onnxruntime"])
@pytest.mark.parametrize("network", [gemm, matmul_add])
def test_no_layer_adds_up_its_rows_again(
    network: Callable[[], onnx.ModelProto], differentiator: str, tmp_path: Path
) -> None:
    folder = converted(
        network(), tmp_path / "artifacts", "ort-training", differentiator=differentiator
    )
    assert not operators(folder, "ort-training")["ReduceSum"]


@pytest.mark.parametrize("granularity", ["element", "channel"])
@pytest.mark.parametrize("name", ["paper_vgg", "small_transformer"])
@pytest.mark.parametrize("target", TARGETS)
def test_nor_does_one_of_images_or_of_tokens(
    target: str, name: str, granularity: str, tmp_path: Path
) -> None:
    model = NETWORKS[name](0)
    folder = converted(model, tmp_path / "artifacts", target, granularity=granularity)
    assert not operators(folder, target)["ReduceSum"]


def graph_of(rank: int = 2, axes: tuple[int, ...] = (0,), **attributes: int) -> ir.Model:
    """T of dy, behind sums of dy that something may read: Identity is a name for what does."""
    sizes = [4, 5, 3][-rank:]
    dy = ir.val("dy", ir.DataType.FLOAT, sizes)
    r = ir.val("r", ir.DataType.FLOAT, sizes[1:])
    over = ir.val("axes", const_value=ir.tensor(np.array(axes)))
    sums = ir.node("ReduceSum", [dy, over], {"keepdims": 0, **attributes}, name="sums")
    t = ir.node("VirtualGradient", [dy, r], domain="ai.svgd", num_outputs=2, name="T")
    sums.outputs[0].name, t.outputs[0].name, t.outputs[1].name = "bias_grad", "out", "r_new"
    graph = ir.Graph(
        [dy, r],
        [sums.outputs[0], *t.outputs],
        nodes=[sums, t],
        initializers=[over],
        opset_imports={"": 17, "ai.svgd": 1},
    )
    return ir.Model(graph, ir_version=8)


def test_the_output_keeps_its_name() -> None:
    model = graph_of(3, (0, 1))
    assert SumsOfT()(model).modified
    t = model.graph[1]
    assert [value.name for value in t.outputs] == ["out", "r_new", "", "bias_grad"]
    assert model.graph.outputs[0] is t.outputs[3]


def test_what_is_read_before_t_stays() -> None:
    model = graph_of()
    sums = model.graph[0]
    model.graph.insert_after(sums, ir.node("Neg", [sums.outputs[0]], name="early"))
    assert not SumsOfT()(model).modified


@pytest.mark.parametrize(
    ("rank", "axes", "attributes"), [(3, (0,), {}), (3, (1, 2), {}), (2, (0,), {"keepdims": 1})]
)
def test_other_sums_stay(rank: int, axes: tuple[int, ...], attributes: dict[str, int]) -> None:
    assert not SumsOfT()(graph_of(rank, axes, **attributes)).modified


def test_a_second_t_of_the_same_gradient_does_not_add_up_too() -> None:
    model = graph_of()
    dy, r = model.graph.inputs
    second = ir.node("VirtualGradient", [dy, r], domain="ai.svgd", num_outputs=2, name="second")
    model.graph.append(second)
    SumsOfT()(model)
    assert len(model.graph[1].outputs) == 4 and len(second.outputs) == 2


def test_what_a_body_gives_is_made_in_it() -> None:
    """An output of a body may not be a value of the graph around it."""
    model = graph_of()
    graph, dy = model.graph, model.graph.inputs[0]
    over = graph[0].inputs[1]
    bodies = []
    for name in ("then", "else"):
        sums = ir.node("ReduceSum", [dy, over], {"keepdims": 0}, name=name)
        bodies.append(ir.Graph([], sums.outputs, nodes=[sums], opset_imports={"": 17}, name=name))
    condition = ir.val("condition", ir.DataType.BOOL, [])
    graph.inputs.append(condition)
    branches = {"then_branch": bodies[0], "else_branch": bodies[1]}
    graph.insert_before(graph[0], ir.node("If", [condition], branches, name="chosen"))
    graph.outputs[0] = graph[0].outputs[0]  # the sums of the graph itself are gone
    graph.remove(graph[1], safe=True)
    assert not SumsOfT()(model).modified


def test_sums_over_axes_that_nobody_knows_stay() -> None:
    model = graph_of(3, (0, 1))
    graph, dy = model.graph, model.graph.inputs[0]
    start = ir.val("start", const_value=ir.tensor(np.array([0, -1])))
    graph.register_initializer(start)
    last = ir.node("Shape", [dy], {"start": -1}, name="last")
    shape = ir.node("Concat", [start, last.outputs[0]], {"axis": 0}, name="shape")
    flat = ir.node("Reshape", [dy, shape.outputs[0]], name="flat")
    whole = ir.node("ReduceSum", [flat.outputs[0]], {"keepdims": 0}, name="whole")
    graph.remove(graph[0])
    graph.extend([last, shape, flat, whole])
    graph.outputs[0] = whole.outputs[0]
    assert not SumsOfT()(model).modified
