"""What of a gradient graph is the forward pass, and what the backward pass reads of it."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import NORMALIZATION
from svgd_onnx.transforms.gradient_values import gradient_values
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.recompute.memory import nbytes, owner
from svgd_onnx.transforms.rule import constant_value
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN

# What is that much smaller than what it was computed from, such as a mean, is kept rather than computed again.
_SMALL = 16

# Operators that draw at random, or change what they read: what they gave is kept.
_ONCE = frozenset(
    {
        "BatchNormInternal",
        "Bernoulli",
        "BitmaskDropout",
        "Dropout",
        "Multinomial",
        NORMALIZATION,
    }
    | {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)

# Operators that only move what they read. What they make of the model's own inputs costs nothing to keep.
_MOVING = frozenset(
    {"Cast", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)


class ForwardPass:
    """The nodes that the loss is computed by, in order, and how their values are used.

    Args:
        graph: a gradient graph.
        inputs: names of the graph's inputs that hold a batch.

    Attributes:
        nodes: those of the forward pass that depend on the batch.
        place: where each stands among them.
        gradients: the values of the backward pass.
        saved: values that the backward pass reads, with the nodes that do.
    """

    def __init__(self, graph: ir.Graph, inputs: Collection[str]) -> None:
        self.gradients = gradient_values(graph)
        self._data = {value for value in graph.inputs if value.name in inputs}
        self._outputs = set(graph.outputs)
        loss = next(value for value in graph.outputs if value.name == LOSS_OUTPUT)
        leading = _leading_to(loss)
        self._of_batch = set(self._data)
        for node in graph:
            if any(value in self._of_batch for value in node.inputs):
                self._of_batch.update(node.outputs)
        self.nodes = [
            node
            for node in graph
            if node in leading and any(value in self._of_batch for value in node.outputs)
        ]
        self.place = {node: place for place, node in enumerate(self.nodes)}
        self.saved: dict[ir.Value, list[ir.Node]] = {}
        for node in self.nodes:
            for value in node.outputs:
                readers = [reader for reader, _ in value.uses() if reader not in leading]
                if readers:
                    self.saved[value] = list(dict.fromkeys(readers))

    def varies(self, value: ir.Value | None) -> bool:
        """Whether a value depends on the batch."""
        return value in self._of_batch

    def is_input(self, value: ir.Value) -> bool:
        """Whether a value is, or only moves, what the model was given."""
        node = value.producer()
        if node is None:
            return value in self._data
        return (
            node.domain == ""
            and node.op_type in _MOVING
            and node.inputs[0] in self._of_batch
            and all(self.is_input(each) for each in node.inputs if each in self._of_batch)
        )

    def is_small(self, value: ir.Value) -> bool:
        """Whether keeping a value costs little beside what it was computed from."""
        node = value.producer()
        assert node is not None
        read = [nbytes(each) for each in node.inputs if each in self._of_batch and each is not None]
        return _SMALL * nbytes(value) <= max(read, default=0)

    def is_kept(self, value: ir.Value) -> bool:
        """Whether a value is there in the backward pass anyway."""
        node = value.producer()
        assert node is not None
        return (
            owner(value) in self._outputs
            or value in self._outputs
            or (node.op_type in _ONCE and not (value is node.outputs[0] and drops_again(node)))
            or node.domain not in ("", "com.microsoft", DOMAIN)
            or any(
                attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
                for attribute in node.attributes.values()
            )
            or self.is_small(value)
        )


def drops_again(node: ir.Node) -> bool:
    """Whether what a node drops can be dropped again, by its mask, which is kept."""
    if node.op_type != "Dropout" or len(node.outputs) < 2 or not node.outputs[1].name:
        return False
    return all(constant_value(value) is not None for value in node.inputs[1:] if value is not None)


def _leading_to(value: ir.Value) -> set[ir.Node]:
    """The nodes that a value is computed by."""
    nodes: set[ir.Node] = set()
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is not None and node not in nodes:
            nodes.add(node)
            pending.extend(each for each in node.inputs if each is not None)
    return nodes
