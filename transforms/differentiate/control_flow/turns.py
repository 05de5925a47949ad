"""Gradients of Scan and Loop: a tape on the way forward, a Scan from the last turn to the first back.

What the gradient of a turn reads is kept as further outputs of the node, which have an entry for each
turn, so that it is known how many turns there were. Gradients of states are the states of the Scan back;
those of outer values are added up in it, or left to one operation over the rows of all turns (`rows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from svgd_onnx.transforms.bodies import captured, has_rows
from svgd_onnx.transforms.canonicalize.loop_states import keeps_its_shape
from svgd_onnx.transforms.differentiate.control_flow.body_gradient import (
    BodyGradient,
    Halves,
    differentiate_body,
    split,
)
from svgd_onnx.transforms.differentiate.control_flow.turn_layout import (
    FORWARDS,
    Layout,
    active,
    layout_of,
)
from svgd_onnx.transforms.differentiate.control_flow.zeros import zeros_like
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, Gradients
from svgd_onnx.transforms.differentiate.graph_pass import GraphPass
from svgd_onnx.transforms.rule import RefusedError, known_rank, static_shape
from svgd_onnx.transforms.writer import Writer


def turns(back: Backward, caller: GraphPass) -> Gradients:
    """The gradients of what a Loop or a Scan reads."""
    layout = layout_of(back.node)
    outer = captured([layout.body])
    wanted = {value for value, want in zip(outer, back.wanted[len(back.node.inputs) :]) if want}
    for index in range(len(layout.scanned)):
        if back.wanted[layout.first_scanned + index]:
            wanted.add(layout.body.inputs[layout.first_scanned + index])
    states, stacks = active(back, layout, wanted)
    for index in states:
        if not keeps_its_shape(layout.before(index)):
            raise RefusedError(
                f"its state '{layout.before(index).name}' is not known to keep its shape from turn to turn"
            )
    wanted.update(layout.before(index) for index in states)
    seeded = [layout.done + index for index in (*states, *stacks)]
    gradient = differentiate_body(
        layout.body, caller, wanted, seeded, in_turn=True, leaves=_has_one_shape
    )
    return _Reversal(back, caller, layout, gradient, states, stacks).write()


class _Reversal:
    """The way back of one node, put together from the gradient of its body.

    Args:
        back, caller: as the rule is given them.
        layout: of the node.
        gradient: of its body; it is used up.
        states: the states that gradients flow through.
        stacks: the stacked outputs that have a gradient.
    """

    def __init__(
        self,
        back: Backward,
        caller: GraphPass,
        layout: Layout,
        gradient: BodyGradient,
        states: Sequence[int],
        stacks: Sequence[int],
    ) -> None:
        self._back, self._caller, self._layout = back, caller, layout
        self._gradient, self._states, self._stacks = gradient, states, stacks
        self._outer = captured([layout.body])
        self._own = gradient.model.graph.inputs[: len(layout.body.inputs)]
        # by the place of the scanned input: what takes a slice of it
        self._slices = dict(enumerate(self._own[layout.first_scanned :]))
        self._scanned = [i for i, taken in self._slices.items() if taken in gradient.gradients]
        self._summed = [each for each in gradient.outer if each in gradient.gradients]
        uses = gradient.left
        self._dys = list(dict.fromkeys(use.dy for use in uses))
        self._rows = list(dict.fromkeys(each for use in uses for each in use.operands.values()))

    def write(self) -> Gradients:
        """Gives the node its tape, writes the Scan back, and returns the gradients of what it reads."""
        layout, gradient, write = self._layout, self._gradient, self._back.write
        results, initial = self._states_back()
        results += [gradient.gradients[self._slices[i]] for i in self._scanned] + self._dys
        # an input that is scanned in order is its rows, all of it
        whole = {
            self._slices[i]: layout.node.inputs[layout.first_scanned + i]
            for i, line in enumerate(layout.scanned)
            if line == (0, FORWARDS)
        }
        taped = [value for value in self._rows if value not in whole]
        always = self._own[:1] if layout.node.op_type == "Loop" else []
        halves = split(gradient, results, taped, self._keeps, always)
        tape = self._extend(halves, len(taped))
        found = self._scan_back(halves, tape, initial)
        sums = len(self._states) + len(self._summed)
        rows = {**whole, **dict(zip(taped, tape[len(halves.kept) :]))}
        dys = dict(zip(self._dys, found[sums + len(self._scanned) :]))
        cache: dict[ir.Value, ir.Value] = {}
        for use in gradient.left:
            merged = has_rows(use.node)
            operands = {
                place: _rows_of(write, rows[value], value, merged, cache)
                for place, value in use.operands.items()
            }
            dy = _rows_of(write, dys[use.dy], use.node.outputs[0], merged, cache)
            value = gradient.outer[use.value]
            self._caller.take(replace(use, operands=operands, dy=dy, value=value), write)
        return self._gradients(found)

    def _states_back(self) -> tuple[list[ir.Value], list[tuple[ir.Value, ir.Value]]]:
        """The states of the Scan back after a turn; before it, and before its first."""
        layout, gradient, write = self._layout, self._gradient, self._back.write
        graph = gradient.model.graph
        turn = Writer(f"{layout.node.outputs[0].name}/turn", write.opset)
        results, initial = [], []
        for index in self._states:
            seed = gradient.seeds[layout.done + index]
            ahead = gradient.gradients.get(self._own[layout.first + index])
            results.append(zeros_like(turn, seed) if ahead is None else ahead)
            final = self._back.gradients[index]
            output = layout.node.outputs[index]
            initial.append((seed, zeros_like(write, output) if final is None else final))
        for stand_in in self._summed:
            so_far = ir.val(f"{stand_in.name}/so_far", type=stand_in.type, shape=stand_in.shape)
            total = turn.node("Add", so_far, gradient.gradients[stand_in])
            total.type, total.shape = stand_in.type, stand_in.shape
            results.append(total)
            initial.append((so_far, zeros_like(write, gradient.outer[stand_in])))
            graph.inputs.append(so_far)
            gradient.given.append(so_far)
        turn.append_to(graph)
        return results, initial

    def _keeps(self, value: ir.Value) -> bool:
        """Whether the tape may have a value: as tensors of all turns are one, its shape must not change."""
        if value in self._own:
            return value not in self._slices.values()
        node = value.producer()
        if node is not None and node.op_type == "Shape":
            return node.inputs[0] is not None and node.inputs[0].shape is not None
        return _has_one_shape([value])

    def _extend(self, halves: Halves, rows: int) -> list[ir.Value]:
        """Puts the forward half in the place of the body; returns the outputs that are new."""
        node, body = self._layout.node, halves.forward
        more = len(halves.kept) + rows
        node.attributes["body"] = ir.AttrGraph("body", body)
        for name in ("scan_output_axes", "scan_output_directions"):
            if name in node.attributes:
                values = [*node.attributes[name].as_ints(), *[0] * more]
                node.attributes[name] = ir.AttrInt64s(name, values)
        before = len(node.outputs)
        node.resize_outputs(before + more)
        tape = list(node.outputs[before:])
        for index, (output, inner) in enumerate(
            zip(tape, body.outputs[len(body.outputs) - more :])
        ):
            output.name = f"{node.outputs[0].name}/tape_{index}"
            output.type = inner.type
            output.shape = None if inner.shape is None else ir.Shape([None, *inner.shape])
        return tape

    def _scan_back(
        self, halves: Halves, tape: Sequence[ir.Value], initial: list[tuple[ir.Value, ir.Value]]
    ) -> Sequence[ir.Value]:
        """The Scan from the last turn to the first; returns its outputs."""
        layout, gradient, body = self._layout, self._gradient, halves.backward
        taken = [halves.inputs[value.name or ""] for value, _ in initial]
        given = [value for _, value in initial]
        lines: list[tuple[int, int]] = []
        for index in self._stacks:
            axis, direction = layout.stacked[index - layout.states]
            taken.append(halves.inputs[gradient.seeds[layout.done + index].name or ""])
            stack = self._back.gradients[index]
            assert stack is not None
            given.append(stack)
            lines.append((axis, 1 - direction))
        for value, stack in zip(halves.kept, tape):
            taken.append(value)
            given.append(stack)
            lines.append((0, 1 - FORWARDS))
        for index, value in self._slices.items():
            again = halves.inputs[value.name or ""]
            whole = layout.node.inputs[layout.first_scanned + index]
            if again.uses() and whole is not None:
                axis, direction = layout.scanned[index]
                taken.append(again)
                given.append(whole)
                lines.append((axis, 1 - direction))
        body.inputs.clear()
        body.inputs.extend(taken)
        written = [(axis, 1 - way) for axis, way in (layout.scanned[i] for i in self._scanned)]
        written += [(0, 1 - FORWARDS)] * len(self._dys)
        states = len(body.outputs) - len(written)
        written, places = _stacked_once(body, written)
        attributes = {
            "body": body,
            "num_scan_inputs": len(lines),
            "scan_input_axes": [axis for axis, _ in lines],
            "scan_input_directions": [direction for _, direction in lines],
        }
        if written:
            attributes["scan_output_axes"] = [axis for axis, _ in written]
            attributes["scan_output_directions"] = [direction for _, direction in written]
        write = self._back.write
        found = write.nodes_with("Scan", given, attributes, len(body.outputs))
        stacks = [found[states + place] for place in places]
        for index, place in enumerate(places):
            if place in places[:index]:
                stacks[index] = write.node("Identity", stacks[index])  # by a name of its own
        return [*found[:states], *stacks]

    def _gradients(self, found: Sequence[ir.Value]) -> Gradients:
        """The gradients of the node's inputs and of what its body reads, of the outputs of the Scan back."""
        layout, gradient = self._layout, self._gradient
        gradients: list[ir.Value | None] = [None] * len(layout.node.inputs)
        for index, value in zip(self._states, found):
            gradients[layout.first + index] = value
        sums = len(self._states) + len(self._summed)
        for index, value in zip(self._scanned, found[sums:]):
            gradients[layout.first_scanned + index] = value
        totals = {
            gradient.outer[stand_in]: value
            for stand_in, value in zip(self._summed, found[len(self._states) :])
        }
        return [*gradients, *(totals.get(value) for value in self._outer)]


def _stacked_once(
    body: ir.Graph, lines: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Has a body give once what several of its last outputs are, as gradients of what was added up are.

    Args:
        body: it is changed.
        lines: of its last outputs, along which axis and in which direction each is stacked.

    Returns:
        The lines of those that are left, and for each that there was its place among them.
    """
    outputs = list(body.outputs)
    states = len(outputs) - len(lines)
    stacks = list(zip(map(_given_by, outputs[states:]), lines))
    once = list(dict.fromkeys(stacks))
    body.outputs.clear()
    body.outputs.extend(
        [*outputs[:states], *(outputs[states + stacks.index(each)] for each in once)]
    )
    return [line for _, line in once], [once.index(each) for each in stacks]


def _given_by(value: ir.Value) -> ir.Value:
    """What a value is the same as."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _has_one_shape(values: Sequence[ir.Value]) -> bool:
    """Whether the sizes of values are numbers, or sizes of the graph around that have a name."""
    return all(
        value.shape is not None
        and all(isinstance(dim, int) or dim.value is not None for dim in value.shape)
        for value in values
    )


def _rows_of(
    write: Writer,
    stack: ir.Value | None,
    turn: ir.Value,
    merged: bool,
    cache: dict[ir.Value, ir.Value],
) -> ir.Value:
    """The rows of all turns as one axis, the first.

    Args:
        write: where it is written.
        stack: (turns, ...).
        turn: one turn's entry.
        merged: whether that has rows itself.
        cache: what has been written so far.
    """
    assert stack is not None
    if not merged:
        return stack
    if stack not in cache:
        sizes = static_shape(turn, 1)
        if sizes is None or 0 in sizes:
            known_rank(turn)
            after = write.node("Shape", stack, start=2)
            shape = write.node("Concat", write.integers(-1), after, axis=0)
        else:
            shape = write.integers(-1, *sizes)
        cache[stack] = write.node("Reshape", stack, shape)
        cache[stack].type = turn.type
        cache[stack].shape = ir.Shape([None, *list(turn.shape or ())[1:]])
    return cache[stack]
