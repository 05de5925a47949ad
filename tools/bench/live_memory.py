"""How much memory the tensors of a step take at once, from onnxruntime's optimized model and profile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import onnx

_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_WIDTHS = {"float": 4, "int64": 8, "int32": 4, "bool": 1, "uint8": 1, "double": 8, "float16": 2}


def live_memory(model: Path, events: list[dict[str, Any]]) -> int:
    """The most bytes that are alive at once in the last run of a profile.

    A tensor lives from the node that writes it to the last that reads it, those that are views of it with
    it. What the step reads and leaves does not count.
    """
    graph = onnx.load(model, load_external_data=False).graph
    order = _last_run(graph, events)
    owners: dict[str, str] = {}
    for node, _ in order:
        if node.op_type in _VIEWS and node.domain in ("", "ai.onnx"):
            owners[node.output[0]] = owners.get(node.input[0], node.input[0])
    last = {}
    for place, (node, _) in enumerate(order):
        for name in node.input:
            last[owners.get(name, name)] = place
    left = {value.name for value in graph.output}
    ends: dict[int, int] = defaultdict(int)
    now = most = 0
    for place, (node, event) in enumerate(order):
        names = [name for name in node.output if name]
        for name, described in zip(names, event["args"]["output_type_shape"]):
            if name in owners or name in left:
                continue
            size = sum(_WIDTHS[kind] * prod(shape) for kind, shape in described.items())
            now += size
            ends[max(last.get(name, place), place)] += size
        most = max(most, now)
        now -= ends.pop(place, 0)
    return most


def _last_run(
    graph: onnx.GraphProto, events: list[dict[str, Any]]
) -> list[tuple[onnx.NodeProto, dict[str, Any]]]:
    """The nodes in the order in which they ran, each with its event."""
    start = max(event["ts"] for event in events if event["name"] == "model_run")
    suffix = "_kernel_time"
    kernels = [
        event
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith(suffix) and event["ts"] >= start
    ]
    inner = {node.name for outer in graph.node for node in _in_bodies(outer)}
    kernels = [event for event in kernels if event["name"][: -len(suffix)] not in inner]
    nodes = {node.name: node for node in graph.node if node.name}
    # A node without a name goes by its operator and its number, in the order of the file.
    without = defaultdict(list)
    for node in graph.node:
        if not node.name:
            without[node.op_type].append(node)
    numbered = {event["name"][: -len(suffix)] for event in kernels} - nodes.keys()
    for name in sorted(numbered, key=lambda each: int(each.rpartition("_")[2])):
        nodes[name] = without[name.rpartition("_")[0]].pop(0)
    return [(nodes[event["name"][: -len(suffix)]], event) for event in kernels]


def _in_bodies(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a node's bodies, whose turns are within its own time."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield inner
            yield from _in_bodies(inner)
