"""Runs an ONNX model forward in float64, and backward over the nodes that it ran."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .operators import OPERATORS, Evaluation, real

Feed = Callable[[onnx.NodeProto, int, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tape:
    """What a forward run leaves: every value by name, and the nodes in the order they ran."""

    values: dict[str, Any]
    steps: list[tuple[onnx.NodeProto, Evaluation]]


def forward(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], output: str) -> Tape:
    """Runs what `output` needs of the model; a feed (...) stands before an initializer (...)."""
    values: dict[str, Any] = {
        t.name: real(numpy_helper.to_array(t)) for t in model.graph.initializer
    }
    values.update((name, real(np.asarray(value))) for name, value in feeds.items())
    values[""] = None  # the name of an input that is left out
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    steps = []
    for node in needed(model.graph, output):
        attributes = {a.name: plain(onnx.helper.get_attribute_value(a)) for a in node.attribute}
        rule = OPERATORS[node.op_type]
        evaluation = rule({**attributes, "opset": opset}, *(values[name] for name in node.input))
        values.update(zip(node.output, evaluation.outputs))
        steps.append((node, evaluation))
    return Tape(values, steps)


def backward(
    tape: Tape, output: str, gradient: np.ndarray, wanted: Collection[str], feed: Feed
) -> dict[str, np.ndarray]:
    """The gradients of the `wanted` values, from the gradient (...) of `output` (...).

    `feed(node, i, dy)` gives the gradient of the node's output 0, of dy's shape, that the backward
    function of its input i is to see: dy itself makes an ordinary gradient.
    """
    live = set(wanted)
    for node, _ in tape.steps:
        if live.intersection(node.input):
            live.add(node.output[0])
    gradients = {output: gradient}
    for node, evaluation in reversed(tape.steps):
        dy = gradients.get(node.output[0])
        if dy is None:
            continue
        for i, (name, function) in enumerate(zip(node.input, evaluation.backward)):
            if name in live and function is not None:
                gradients[name] = gradients.get(name, 0.0) + function(feed(node, i, dy))
    return {name: gradients.get(name, np.zeros(np.shape(tape.values.get(name)))) for name in wanted}


def needed(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that the value `output` depends on, in graph order."""
    names, nodes = {output}, []
    for node in reversed(graph.node):
        if names.intersection(node.output):
            names.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def plain(value: Any) -> Any:
    """An attribute's value, text as str."""
    return value.decode() if isinstance(value, bytes) else value
