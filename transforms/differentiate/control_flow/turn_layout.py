"""What the inputs and outputs of a Loop or a Scan are, and which of its states a gradient flows through."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.bodies import body_of, isolated
from svgd_onnx.transforms.decompose.differentiable import gradient_flow
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward
from svgd_onnx.transforms.rule import integer, integers

FORWARDS, BACKWARDS = 0, 1


@dataclass(frozen=True)
class Layout:
    """The places of things.

    Attributes:
        node, body: the node and its body.
        first: the place of the first state among the node's inputs, and among the body's.
        done: the same among the body's outputs; among the node's it is 0.
        states: how many there are.
        scanned: for each input of which a turn has a slice, the axis and the direction.
        stacked: for each output to which a turn gives a slice, the same.
    """

    node: ir.Node
    body: ir.Graph
    first: int
    done: int
    states: int
    scanned: list[tuple[int, int]]
    stacked: list[tuple[int, int]]

    @property
    def first_scanned(self) -> int:
        """The place of the first input of which a turn has a slice."""
        return self.first + self.states

    def before(self, state: int) -> ir.Value:
        """A state before a turn."""
        return self.body.inputs[self.first + state]


def layout_of(node: ir.Node) -> Layout:
    """The layout of a Loop or a Scan."""
    body = body_of(node)
    if node.op_type == "Loop":
        states = len(node.inputs) - 2
        stacks = len(body.outputs) - 1 - states
        return Layout(node, body, 2, 1, states, [], [(0, FORWARDS)] * stacks)
    scans = integer(node, "num_scan_inputs", 0)
    states = len(node.inputs) - scans

    def lines(kind: str, count: int) -> list[tuple[int, int]]:
        axes = integers(node, f"scan_{kind}_axes", [0] * count)
        return list(zip(axes, integers(node, f"scan_{kind}_directions", [FORWARDS] * count)))

    stacks = len(body.outputs) - states
    return Layout(node, body, 0, 0, states, lines("input", scans), lines("output", stacks))


def active(
    back: Backward, layout: Layout, wanted: Collection[ir.Value]
) -> tuple[list[int], list[int]]:
    """The states and the stacked outputs that gradients flow through.

    Args:
        back: the node, and the gradients of its outputs.
        layout: its.
        wanted: of what the body reads, and of its inputs but the states, that which has a gradient.
    """
    model, outer = isolated(layout.body, {})
    graph, body = model.graph, layout.body
    names = {stand_in.name or "" for stand_in, value in outer.items() if value in wanted}
    names |= {value.name or "" for value in body.inputs if value in wanted}
    initial = back.wanted[layout.first : layout.first_scanned]
    reached = {index for index, want in enumerate(initial) if want}
    while True:
        sources = names | {graph.inputs[layout.first + index].name or "" for index in reached}
        _, flowing = gradient_flow(graph, sources, graph.outputs)
        ends = {index for index, value in enumerate(graph.outputs) if value in flowing}
        more = {index for index in range(layout.states) if layout.done + index in ends}
        if more <= reached:
            break
        reached |= more
    needed = {index for index in range(layout.states) if back.gradients[index] is not None}
    stacks = [
        index
        for index in range(layout.states, len(layout.stacked) + layout.states)
        if back.gradients[index] is not None and layout.done + index in ends
    ]
    while True:
        targets = [graph.outputs[layout.done + index] for index in (*needed, *stacks)]
        _, flowing = gradient_flow(graph, sources, targets)
        more = {
            index for index in range(layout.states) if graph.inputs[layout.first + index] in flowing
        }
        if more <= needed:
            break
        needed |= more
    kept = [
        index
        for index in sorted(reached & needed)
        if layout.done + index in ends or back.gradients[index] is not None
    ]
    return kept, stacks
