"""Shapes of what a Loop carries from turn to turn, of which onnx's shape inference knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Container

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes, body_of

# In the metadata of a state: whether its shape is known to change from turn to turn.
_CHANGES = "svgd.changes"


def keeps_its_shape(state: ir.Value) -> bool:
    """Whether a state of a Loop or a Scan, an input of the body, may have one shape at every turn."""
    return state.shape is not None and not state.meta.get(_CHANGES)


def infer_loop_states(graph: ir.Graph, infer: Callable[[], object]) -> None:
    """Finds shapes that hold at every turn.

    A shape is assumed, that of the state before the first turn, and holds if the body makes the same of
    it. Axes that it does not keep are taken for unknown, and so is the shape if it does not keep their
    number.

    Args:
        graph: with shapes inferred as far as onnx does.
        infer: runs onnx's shape inference on it again.
    """
    loops = [node for node in all_nodes(graph) if node.op_type == "Loop" and node.domain == ""]
    for node in loops:
        for value in body_of(node).inputs[:2]:
            value.shape = ir.Shape([])
        for initial, state, _ in _states(node):
            state.meta.pop(_CHANGES, None)
            if initial is not None and initial.shape is not None:
                state.shape = initial.shape.copy()
    given_up: set[ir.Value] = set()
    while loops:
        infer()
        # each of them, not only up to the first that changes
        known = [_assume(node, given_up) for node in loops]
        if any(known):
            continue
        less = [_generalize(node, given_up) for node in loops]
        if not any(less):
            break


def _states(node: ir.Node) -> list[tuple[ir.Value | None, ir.Value, ir.Value]]:
    """What each state is before the first turn, before a turn, and after it."""
    body = body_of(node)
    return list(zip(node.inputs[2:], body.inputs[2:], body.outputs[1:]))


def _assume(node: ir.Node, given_up: Container[ir.Value]) -> bool:
    """Takes shapes over that have become known, into the body and out of it; returns whether there were any."""
    changed = False
    for (initial, state, _), final in zip(_states(node), node.outputs):
        if state.shape is None and state not in given_up and initial is not None:
            state.shape = None if initial.shape is None else initial.shape.copy()
            changed |= state.shape is not None
        if state.shape is not None and final.shape is None:
            final.shape = state.shape.copy()
            changed = True
    return changed


def _generalize(node: ir.Node, given_up: set[ir.Value]) -> bool:
    """Gives up what the body does not keep; returns whether there was anything."""
    changed = False
    for (_, before, after), final in zip(_states(node), node.outputs):
        if before.shape is None:
            continue
        if after.shape is None or len(after.shape) != len(before.shape):
            before.shape = final.shape = None
            given_up.add(before)
            changed = True
            continue
        for axis, (old, new) in enumerate(zip(before.shape, after.shape)):
            known = isinstance(old, int) or old.value is not None
            if known and old != new:
                before.meta[_CHANGES] = isinstance(old, int) and isinstance(new, int)
                before.shape[axis] = None
                final.shape = before.shape.copy()
                changed = True
    return changed
