"""Pad, of all axes and by a constant, or as reading again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    constant_value,
    input_of,
    inputs_of,
    known_constant,
    known_rank,
    text,
)
from svgd_onnx.transforms.writer import Writer


def pad(node: ir.Node, write: Writer) -> ir.Value | None:
    """onnxruntime differentiates padding by a constant, of all axes."""
    (x,) = inputs_of(node, 1)
    some = input_of(node, 3)
    mode = text(node, "mode", "constant")
    if mode == "constant" and some is None:
        return None
    size = known_rank(x)
    axes = np.arange(size) if some is None else known_constant(some, "its axes are")
    axes = np.where(axes < 0, axes + size, axes)
    if mode != "constant":
        return _pad_by_index(node, write, x, axes, mode)
    given = node.inputs[1]
    known = constant_value(given)
    if known is not None:
        whole = np.zeros(2 * size, np.int64)
        whole[[*axes, *(axes + size)]] = known
        pads = write.constant(whole)
    else:
        # of each axis what is given, or the 0 that is appended
        longer = write.node("Concat", given, write.integers(0), axis=0)
        places = {int(axis): place for place, axis in enumerate([*axes, *(axes + size)])}
        order = [places.get(axis, len(places)) for axis in range(2 * size)]
        pads = write.node("Gather", longer, write.integers(*order), axis=0)
    return write.node("Pad", x, pads, node.inputs[2])


def _pad_by_index(
    node: ir.Node, write: Writer, x: ir.Value, axes: np.ndarray, mode: str
) -> ir.Value:
    """What is repeated, reflected or wrapped is read again, axis by axis."""
    value = x
    for place, axis in enumerate(axes):
        places = _places(node, write, x, place, len(axes), int(axis), mode)
        if places is not None:
            value = write.node("Gather", value, places, axis=int(axis))
    return write.node("Identity", value)


def _places(
    node: ir.Node, write: Writer, x: ir.Value, place: int, count: int, axis: int, mode: str
) -> ir.Value | None:
    """Where an axis is read, the positions themselves padded; None if it stays as it is."""
    pads = node.inputs[1]
    known, size = constant_value(pads), x.shape[axis] if x.shape is not None else None
    if known is not None:
        before, after = int(known[place]), int(known[place + count])
        if before == after == 0:
            return None
        if isinstance(size, int) and before >= 0 and after >= 0:
            return write.constant(np.pad(np.arange(size), (before, after), mode=mode))  # type: ignore[call-overload]
    both = write.node("Gather", pads, write.integers(place, place + count))
    everything = write.positions(write.node("Shape", x, start=axis, end=axis + 1))
    return write.node("Pad", everything, both, mode=mode)


PAD: dict[str, Rule] = {"Pad": pad}
