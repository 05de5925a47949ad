"""Large gradients are looked at before they are used, and the loss says what was found."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from fast_forms import converted
from models import mlp

from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.emit import gradient_checks
from svgd_onnx.transforms.emit.finite_loss import PREFIX
from svgd_onnx.transforms.emit.gradient_checks import GradientChecks
from svgd_onnx.transforms.writer import Writer


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_checks, "_LARGE", 1)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("target", TARGETS)
def test_what_a_node_reads_stands_before_it(
    target: str, clip_norm: float | None, tmp_path: Path
) -> None:
    folder = converted(mlp(), tmp_path / "artifacts", target, clip_norm=clip_norm)
    graph = onnx.load(folder / TARGETS[target].fast_step).graph
    there = {"", *(each.name for each in [*graph.input, *graph.initializer])}
    for node in graph.node:
        assert there.issuperset(node.input), node.name
        there.update(node.output)


def test_x_of_two_weights_is_there_twice() -> None:
    """Once among squares, and once among factors, which are counted from the end."""
    loss, gradient, other, x = (
        ir.val(name, ir.DataType.FLOAT, shape)
        for name, shape in {"loss": (), "w_grad": (4, 3), "r": (), "x": (2, 4)}.items()
    )
    counts = {"squares": 1, "factors": 1}
    node = ir.node(
        "FiniteLoss", [loss, gradient, other, x, x], counts, domain="ai.svgd", name=f"{PREFIX}/loss"
    )
    graph = ir.Graph([loss, gradient, other, x], node.outputs, nodes=[node], opset_imports={"": 17})
    checks, write = GradientChecks(graph), Writer("check", 17)
    found = checks.guarded(write, write.scalar(0), gradient)
    size = ir.val("size", ir.DataType.FLOAT, ())
    checks.tell(size)
    checks.finish(graph)
    assert list(node.inputs) == [loss, size, found, other, x, x]
