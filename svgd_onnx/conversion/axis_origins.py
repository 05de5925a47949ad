"""Where an axis of a value comes from: from which axes of the model's inputs, back through the operators.

So what a layer takes for its axis of examples is followed to the inputs, and an input's to the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.conversion.axis_rules import RECURRENT, RULES, Axis
from svgd_onnx.transforms.rule import RefusedError, input_of

# X, lengths of sequences, and the states before the first step: where layers have examples, time first.
_OF_RECURRENT = {0: 1, 4: 0, 5: 1, 6: 1}
# They have examples first.
_OF_IMAGES = frozenset(
    {
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "MaxPool",
    }
)


@dataclass(frozen=True)
class Origins:
    """Where an axis comes from.

    Attributes:
        axes: the axes of inputs that it is.
        known: whether every way back was followed to its end.
    """

    axes: frozenset[Axis]
    known: bool


def origins(value: ir.Value, axis: int) -> Origins:
    """The axes of the graph's inputs that an axis of a value is; shapes are inferred."""
    found: set[Axis] = set()
    known = True
    waiting, seen = [(value, axis)], {(value, axis)}
    while waiting:
        at = waiting.pop()
        node = at[0].producer()
        if node is None:
            found.update([at] if at[0].is_graph_input() else [])
            continue
        rule = RULES.get(node.op_type) if node.domain == "" else None
        try:
            before = None if rule is None else rule(node, at[0], at[1])
        except (RefusedError, IndexError):
            before = None
        known &= before is not None
        new = [each for each in before or () if each not in seen]
        seen.update(new)
        waiting += new
    return Origins(frozenset(found), known)


def told_by_layers(graph: ir.Graph) -> dict[str, int]:
    """The axis that layers take for that of examples, by the name of the input where all agree.

    Recurrent layers say it, or, where there are none, those of images.
    """
    nodes = [node for node in graph if node.domain == ""]
    anchors = [
        (value, axis)
        for node in nodes
        if node.op_type in RECURRENT
        for place, axis in _OF_RECURRENT.items()
        if (value := input_of(node, place)) is not None
    ] or [
        (value, 0)
        for node in nodes
        if node.op_type in _OF_IMAGES and (value := node.inputs[0]) is not None
    ]
    said: dict[ir.Value, set[int]] = {}
    for value, axis in dict.fromkeys(anchors):
        for source, place in origins(value, axis).axes:
            said.setdefault(source, set()).add(place)
    return {value.name or "": axes.pop() for value, axes in said.items() if len(axes) == 1}
