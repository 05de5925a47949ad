"""What a count of parameters would not notice."""

from __future__ import annotations

import onnx

from tools.networks import NETWORKS


def path_back(producers: dict[str, onnx.NodeProto], value: str) -> str:
    """The operators that a value comes from by first inputs, up to the next sum or the image."""
    operators: list[str] = []
    while value in producers and producers[value].op_type != "Add":
        operators.append(producers[value].op_type)
        value = producers[value].input[0]
    return " ".join(reversed(operators))


def test_residual_blocks_of_the_resnet_are_those_of_the_authors() -> None:
    graph = NETWORKS["paper_resnet20"](0).graph
    producers = {name: node for node in graph.node for name in node.output}
    sums = [node for node in graph.node if node.op_type == "Add"]
    block = "BatchNormalization Relu Conv BatchNormalization Relu Conv"
    stem = "Conv BatchNormalization Relu"
    first = f"{stem} Conv BatchNormalization Relu Conv"
    plain, wider = (block, ""), (block, "AveragePool Pad")
    expected = [(first, stem), *[plain] * 2, wider, *[plain] * 2, wider, *[plain] * 2]
    assert [tuple(path_back(producers, name) for name in node.input) for node in sums] == expected
    assert {node.input[1] for node in sums[1:3]} == {node.output[0] for node in sums[:2]}
