"""Whatever a model looks like, conversion makes artifacts of it or says in a sentence why not."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import models
import onnx
import pytest

import svgd_onnx

NETWORKS = (models.mlp, models.convolutional, models.residual, models.sequence)
OPERATORS = ("Add", "Conv", "Gather", "MatMul", "Relu", "Reshape", "Softmax", "Transpose", "Nope")


def without_an_input(graph: onnx.GraphProto, draw: random.Random) -> None:
    node = draw.choice([node for node in graph.node if node.input])
    node.input[draw.randrange(len(node.input))] = ""


def of_another_operator(graph: onnx.GraphProto, draw: random.Random) -> None:
    draw.choice(graph.node).op_type = draw.choice(OPERATORS)


def with_another_number(graph: onnx.GraphProto, draw: random.Random) -> None:
    numbers = [item for node in graph.node for item in node.attribute if item.ints]
    if numbers:
        attribute = draw.choice(numbers)
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice((-1, 0, 3, 9))


def in_a_circle(graph: onnx.GraphProto, draw: random.Random) -> None:
    node = draw.choice([node for node in graph.node if node.input])
    node.input[0] = draw.choice(graph.node).output[0]


def of_another_rank(graph: onnx.GraphProto, draw: random.Random) -> None:
    draw.choice(graph.initializer).dims.append(1)


def of_another_size(graph: onnx.GraphProto, draw: random.Random) -> None:
    axis = draw.choice(graph.input[0].type.tensor_type.shape.dim)
    axis.Clear()
    axis.dim_value = draw.choice((0, 1, 3))


MUTATIONS: tuple[Callable[[onnx.GraphProto, random.Random], None], ...] = (
    without_an_input,
    of_another_operator,
    with_another_number,
    in_a_circle,
    of_another_rank,
    of_another_size,
)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mutate", MUTATIONS, ids=[each.__name__ for each in MUTATIONS])
def test_it_is_converted_or_refused(
    mutate: Callable[[onnx.GraphProto, random.Random], None], seed: int, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(draw.choice(NETWORKS)())
    mutate(model.graph, draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")
        except svgd_onnx.UserError:
            assert not (tmp_path / "artifacts").exists()
