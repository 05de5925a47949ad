"""The gradient nodes of one graph, written from its outputs down."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients import GRADIENTS, Backward, BackwardPass
from svgd_onnx.transforms.differentiate.gradients.gradient import GradientRule, Gradients
from svgd_onnx.transforms.differentiate.rows import Use, operands_of
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.writer import Writer

# From a node with bodies, and the pass that came to it, to the gradients of what it reads.
BodyRule = Callable[[Backward, "GraphPass"], Gradients]


@dataclass(frozen=True)
class Body:
    """What a pass over a body knows of where it is.

    Attributes:
        outer: the inputs that stand for values around it.
        in_turn: whether it is one of several turns, or in such a body.
        leaves: whether the gradient of a use of an outer value may be left to the graph around it, by the
            values that it would need there. None: to no one.
    """

    outer: Collection[ir.Value]
    in_turn: bool
    leaves: Callable[[Sequence[ir.Value]], bool] | None

    def may_leave(self, values: Sequence[ir.Value]) -> bool:
        """Whether a use may be left that needs these values."""
        return self.leaves is not None and self.leaves(values)


class GraphPass(BackwardPass):
    """The gradient nodes of one graph, which may be a body, with what is in its bodies.

    Args:
        graph: the forward graph; gradient nodes are added at its end.
        flowing: the values on the way from what is differentiated by to what is differentiated.
        rules: of operators with bodies.
        body: what is around it, if it is a body.

    Attributes:
        left: the uses that were left.
    """

    def __init__(
        self,
        graph: ir.Graph,
        flowing: Collection[ir.Value | None],
        rules: Mapping[str, BodyRule],
        body: Body | None = None,
    ) -> None:
        opset = graph.opset_imports[""]
        super().__init__(GRADIENTS, flowing, opset, lambda write: write.append_to(graph))
        self.graph = graph
        self.body_rules = rules
        self.in_turn = body is not None and body.in_turn
        self.left: list[Use] = []
        self._body = body

    def give(self, value: ir.Value, gradient: ir.Value) -> None:
        """A part of a value's gradient that comes from outside."""
        self._named.add(gradient)
        self._parts[value].append(gradient)

    def take(self, use: Use, write: Writer) -> None:
        """Takes a use that was left by a body in this graph: leaves it in turn, or writes its gradient."""
        body, values = self._body, [*use.operands.values(), use.dy]
        if body is not None and use.value in body.outer and body.may_leave(values):
            self.left.append(use)
            return
        if body is None and use.dy not in self._named:
            # T looks for it by this name
            use.dy.name = gradient_name(use.node.outputs[0].name or "")
            self._named.add(use.dy)
            for value in values:
                _name_rows(value)
        self._parts[use.value].append(_over_all_rows(use, write))

    def _rule(self, node: ir.Node) -> GradientRule:
        rule = self.body_rules.get(node.op_type) if node.domain == "" else None
        return super()._rule(node) if rule is None else lambda back: rule(back, self)

    def _wanted(
        self, node: ir.Node, dy: ir.Value | None, flowing: Sequence[bool]
    ) -> tuple[bool, ...]:
        left = self._leave(node, dy, flowing)
        return tuple(each and position not in left for position, each in enumerate(flowing))

    def _leave(self, node: ir.Node, dy: ir.Value | None, wanted: Sequence[bool]) -> list[int]:
        """Leaves uses of outer values to the graph around, where that can be; returns which inputs."""
        positions: list[int] = []
        body = self._body
        if body is None or body.leaves is None or dy is None:
            return positions
        for position, value in enumerate(node.inputs):
            if value is None or not wanted[position] or value not in body.outer:
                continue
            # what all turns share is no rows; a branch is one turn
            read = operands_of(node, position, body.outer if body.in_turn else ())
            operands = {} if read is None else {each: node.inputs[each] for each in read}
            own = {each: operand for each, operand in operands.items() if operand is not None}
            if read is not None and body.may_leave([*own.values(), node.outputs[0]]):
                self.left.append(Use(node, position, own, dy, value))
                positions.append(position)
        return positions


def _name_rows(value: ir.Value) -> None:
    """Gives the number of rows a name: onnxruntime takes two that have none for the same."""
    if value.shape is None or not len(value.shape):
        return
    count = value.shape[0]
    if not isinstance(count, int) and count.value is None:
        value.shape = ir.Shape([f"{value.name}/rows", *list(value.shape)[1:]])


def _over_all_rows(use: Use, write: Writer) -> ir.Value:
    """The gradient of an outer value by the operator's own rule, as if it had worked on all rows at once."""
    inputs = [
        use.value
        if position == use.position
        else use.operands.get(position, ir.val("unread", type=use.dy.type, shape=use.dy.shape))
        for position in range(len(use.node.inputs))
    ]
    whole = ir.Node("", use.node.op_type, inputs, list(use.node.attributes.values()))
    whole.outputs[0].type, whole.outputs[0].shape = use.dy.type, use.dy.shape
    wanted = tuple(position == use.position for position in range(len(inputs)))
    gradient = GRADIENTS[use.node.op_type](Backward(whole, (use.dy,), wanted, write, GRADIENTS))[
        use.position
    ]
    assert gradient is not None
    # its rows are those of dY
    whole.outputs[0].replace_all_uses_with(use.dy)
    whole.resize_inputs(0)
    if gradient.shape is None:
        gradient.type, gradient.shape = use.value.type, use.value.shape
    return gradient
