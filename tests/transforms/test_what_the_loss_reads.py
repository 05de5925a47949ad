"""What the loss reads to say that a step may be taken: of several things that tell the same, the smallest."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from fast_forms import converted
from models import CLASSES, Network

from svgd_onnx.targets import TARGETS

FEATURES = 6


def tokens(width: int, count: int) -> onnx.ModelProto:
    """A wide layer over so many tokens of an example."""
    net = Network()
    value = net.node("MatMul", "image", net.weight("a.weight", FEATURES, width))
    value = net.node("Tanh", net.node("Add", value, net.weight("a.bias", width)))
    value = net.node("ReduceMean", value, axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("head.weight", width, CLASSES), output="logits")
    shapes = {"image": ("batch", count, FEATURES)}, {"logits": ("batch", CLASSES)}
    return net.model(*shapes)


def read_by_the_loss(folder: Path, target: str) -> list[str]:
    """What the fast form's operator reads behind the loss; the number of squares of it behind a colon."""
    graph = onnx.load(folder / TARGETS[target].fast_step).graph
    (node,) = (each for each in graph.node if each.op_type == "FiniteLoss")
    made_by = {name: each.op_type for each in graph.node for name in each.output}
    squares = {each.name: each.i for each in node.attribute}["squares"]
    return [made_by.get(name, name) for name in node.input[1:]] + [f"squares: {squares}"]


@pytest.mark.parametrize("target", TARGETS)
def test_of_r_it_reads_what_t_says(target: str, tmp_path: Path) -> None:
    read = read_by_the_loss(converted(tokens(9, 4), tmp_path / "artifacts", target), target)
    assert read.count("VirtualGradient") == 2
    graph = onnx.load(tmp_path / "artifacts" / TARGETS[target].fast_step).graph
    sizes = [node.output[2] for node in graph.node if node.op_type == "VirtualGradient"]
    (loss,) = (node for node in graph.node if node.op_type == "FiniteLoss")
    assert all(sizes) and set(sizes) <= set(loss.input)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count, squares", [(2, 1), (400, 0)])
def test_in_a_weights_place_it_reads_x_where_that_is_smaller(
    count: int, squares: int, target: str, tmp_path: Path
) -> None:
    folder = converted(tokens(200, count), tmp_path / "artifacts", target)
    assert read_by_the_loss(folder, target)[-1] == f"squares: {squares}"
