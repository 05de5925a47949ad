"""Gradient of If: branch by branch.

What the gradient of a branch reads is kept as further outputs of the node, of which the branch not taken
gives empty ones. Outer values that the branch taken does not read have the gradient 0. An operation on
rows whose gradient is left to the graph around has one row of zeros where its branch is not taken: T's r
then is what it makes of a gradient of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from svgd_onnx.transforms.bodies import bodies_of, body_of, captured
from svgd_onnx.transforms.differentiate.control_flow.body_gradient import (
    BodyGradient,
    differentiate_body,
    split,
)
from svgd_onnx.transforms.differentiate.control_flow.zeros import zeros, zeros_like
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, Gradients
from svgd_onnx.transforms.differentiate.graph_pass import GraphPass
from svgd_onnx.transforms.rule import rank, static_shape
from svgd_onnx.transforms.writer import Writer

_BRANCHES = ("then_branch", "else_branch")


def branches(back: Backward, caller: GraphPass) -> Gradients:
    """The gradients of what the branches of an If read."""
    node = back.node
    read = captured(bodies_of(node))
    wanted = [value for value, want in zip(read, back.wanted[1:]) if want]
    seeded = [index for index, gradient in enumerate(back.gradients) if gradient is not None]
    gradients = [
        differentiate_body(
            body_of(node, name),
            caller,
            wanted,
            seeded,
            in_turn=caller.in_turn,
            leaves=None if caller.in_turn else _has_known_rows,
        )
        for name in _BRANCHES
    ]
    found_in = {each.outer.get(value) for each in gradients for value in each.gradients}
    wanted = [value for value in wanted if value in found_in]
    parts = {name: _Branch(each, back, wanted) for name, each in zip(_BRANCHES, gradients)}
    tape = _extend(node, parts)
    found = _if_back(back, parts, tape, len(wanted))
    dys = found[len(wanted) :]
    for part, rows, part_dys in zip(
        parts.values(),
        _portions(parts, tape, lambda part: part.extra),
        _portions(parts, dys, lambda part: len(part.dys)),
    ):
        part.take_uses(caller, back.write, rows[len(part.kept) :], part_dys)
    totals = dict(zip(wanted, found))
    return [None, *(totals.get(value) for value in read)]


class _Branch:
    """One branch, in two halves.

    Args:
        gradient: of its body; it is used up.
        back: the If.
        wanted: outer values; the way back gives the gradient of each.

    Attributes:
        forward: its last outputs are what is kept, and rows.
        kept: the inputs of `backward` that take what is kept.
        backward: its outputs are the gradients wanted, then dY of the uses that are left.
    """

    def __init__(self, gradient: BodyGradient, back: Backward, wanted: Sequence[ir.Value]) -> None:
        self.uses = gradient.left
        self.dys = list(dict.fromkeys(use.dy for use in self.uses))
        operands = (each for use in self.uses for each in use.operands.values())
        self.rows = list(dict.fromkeys(operands))
        self.outer = dict(gradient.outer)
        totals = _totals(gradient, back, wanted)
        halves = split(gradient, [*totals, *self.dys], self.rows, _has_known_type)
        self.forward, self.kept, self.backward = halves.forward, halves.kept, halves.backward
        for index, seed in gradient.seeds.items():
            dy = back.gradients[index]
            assert dy is not None
            halves.inputs[seed.name or ""].replace_all_uses_with(dy)

    @property
    def extra(self) -> int:
        """How many outputs it adds to the node."""
        return len(self.kept) + len(self.rows)

    def take_uses(
        self,
        caller: GraphPass,
        write: Writer,
        rows: Sequence[ir.Value],
        dys: Sequence[ir.Value],
    ) -> None:
        """Hands the uses that are left to the graph around."""
        outside = {**dict(zip(self.rows, rows)), **dict(zip(self.dys, dys))}
        for use in self.uses:
            operands = {place: outside[value] for place, value in use.operands.items()}
            dy, value = outside[use.dy], self.outer[use.value]
            caller.take(replace(use, operands=operands, dy=dy, value=value), write)


def _totals(gradient: BodyGradient, back: Backward, wanted: Sequence[ir.Value]) -> list[ir.Value]:
    """The gradients of outer values in a branch, 0 where it has none."""
    graph = gradient.model.graph
    stand_ins = {value: stand_in for stand_in, value in gradient.outer.items()}
    write = Writer(f"{gradient.outputs[0].name}/back", back.write.opset)
    totals = []
    for value in wanted:
        stand_in = stand_ins.get(value)
        if stand_in is None:
            # only the other branch reads it
            stand_in = ir.val(value.name, type=value.type, shape=value.shape)
            graph.inputs.append(stand_in)
            gradient.outer[stand_in] = value
        total = gradient.gradients.get(stand_in)
        totals.append(zeros_like(write, stand_in) if total is None else total)
    write.append_to(graph)
    return totals


def _extend(node: ir.Node, parts: Mapping[str, _Branch]) -> list[ir.Value]:
    """Puts the forward halves in the place of the branches; returns the outputs that are new."""
    own = len(node.outputs)
    forward = {name: part.forward for name, part in parts.items()}
    extras = _side_by_side(forward, own, {name: len(part.kept) for name, part in parts.items()})
    for name, graph in forward.items():
        node.attributes[name] = ir.AttrGraph(name, graph)
    node.resize_outputs(own + len(extras))
    tape = list(node.outputs[own:])
    for index, (output, inner) in enumerate(zip(tape, extras)):
        output.name, output.type = f"{node.outputs[0].name}/tape_{index}", inner.type
    for part, portion in zip(parts.values(), _portions(parts, tape, lambda part: part.extra)):
        for output, inner in zip(portion[len(part.kept) :], part.rows):
            _describe(output, inner)
    return tape


def _if_back(
    back: Backward, parts: Mapping[str, _Branch], tape: Sequence[ir.Value], shared: int
) -> Sequence[ir.Value]:
    """The If on the way back; returns its outputs."""
    for part, portion in zip(parts.values(), _portions(parts, tape, lambda part: part.extra)):
        for taken, value in zip(part.kept, portion):
            taken.replace_all_uses_with(value)
        part.backward.inputs.clear()
    backward = {name: part.backward for name, part in parts.items()}
    extras = _side_by_side(backward, shared, dict.fromkeys(parts, 0))
    count = shared + len(extras)
    found = back.write.nodes_with("If", [back.node.inputs[0]], backward, count)
    for output, inner in zip(found[shared:], extras):
        _describe(output, inner)
    return found


def _side_by_side(
    graphs: Mapping[str, ir.Graph], shared: int, kept: Mapping[str, int]
) -> list[ir.Value]:
    """Gives each branch the outputs that only the other has.

    Args:
        graphs: the branches.
        shared: how many outputs they have in common, the first.
        kept: how many of the others are only read where their branch is taken; what follows are rows.

    Returns:
        The outputs that are not shared, those of the first branch first.
    """
    extras = {name: list(graph.outputs)[shared:] for name, graph in graphs.items()}
    for name, graph in graphs.items():
        outputs = list(graph.outputs)[:shared]
        for other, values in extras.items():
            if other == name:
                outputs += values
                continue
            for index, value in enumerate(values):
                write = Writer(f"{value.name}/not_taken", graph.opset_imports[""])
                sizes = static_shape(value, 1)
                if index < kept[other] or sizes is None:
                    sizes = (0,) * (rank(value) or 0) if rank(value) else (0,)
                else:
                    sizes = (1, *sizes)
                outputs.append(zeros(write, write.integers(*sizes), value))
                write.append_to(graph)
        graph.outputs.clear()
        graph.outputs.extend(outputs)
    return [value for values in extras.values() for value in values]


def _portions(
    parts: Mapping[str, _Branch], values: Sequence[ir.Value], count: Callable[[_Branch], int]
) -> list[Sequence[ir.Value]]:
    """The values of each branch."""
    portions, start = [], 0
    for part in parts.values():
        portions.append(values[start : start + count(part)])
        start += count(part)
    return portions


def _describe(output: ir.Value, inner: ir.Value) -> None:
    """The type of an output that is something else in each branch, and its shape but for the first axis."""
    output.type = inner.type
    sizes = static_shape(inner, 1)
    if sizes is not None and rank(inner):
        output.shape = ir.Shape([None, *sizes])


def _has_known_rows(values: Sequence[ir.Value]) -> bool:
    """Whether values have rows of fixed size, so that a row of zeros can stand for them."""
    return all(bool(rank(value)) and static_shape(value, 1) is not None for value in values)


def _has_known_type(value: ir.Value) -> bool:
    """Whether zeros can stand for a value; what is not kept, as a Shape, is computed again on the way back."""
    return value.dtype is not None
