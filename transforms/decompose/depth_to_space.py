"""Operators that only move elements, as Reshape and Transpose."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    constant_value,
    inputs_of,
    integer,
    rank,
    static_shape,
    text,
)
from svgd_onnx.transforms.writer import Writer


def depth_to_space(node: ir.Node, write: Writer) -> ir.Value | None:
    (x,) = inputs_of(node, 1)
    sizes = static_shape(x, 1)
    if sizes is None:
        return None
    block, (channels, height, width) = integer(node, "blocksize", 1), sizes
    rest = channels // block**2
    if text(node, "mode", "DCR") == "DCR":
        split, order = (block, block, rest), [0, 3, 4, 1, 5, 2]
    else:
        split, order = (rest, block, block), [0, 1, 4, 2, 5, 3]
    parts = write.node("Reshape", x, write.integers(0, *split, height, width))
    moved = write.node("Transpose", parts, perm=order)
    shape = write.integers(0, rest, height * block, width * block)
    return write.node("Reshape", moved, shape)


def space_to_depth(node: ir.Node, write: Writer) -> ir.Value | None:
    (x,) = inputs_of(node, 1)
    sizes = static_shape(x, 1)
    if sizes is None:
        return None
    block, (channels, height, width) = integer(node, "blocksize", 1), sizes
    split = write.integers(0, channels, height // block, block, width // block, block)
    moved = write.node("Transpose", write.node("Reshape", x, split), perm=[0, 3, 5, 1, 2, 4])
    shape = write.integers(0, channels * block**2, height // block, width // block)
    return write.node("Reshape", moved, shape)


def pad(node: ir.Node, write: Writer) -> ir.Value | None:
    """onnxruntime differentiates padding by a constant, of all axes."""
    (x,) = inputs_of(node, 1)
    size = rank(x)
    if size is None:
        return None
    axes = constant_value(node.inputs[3]) if len(node.inputs) > 3 else np.arange(size)
    if axes is None:
        return None
    axes = np.where(axes < 0, axes + size, axes)
    mode = text(node, "mode", "constant")
    if mode != "constant":
        return _pad_by_index(node, write, x, axes, mode)
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return None
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
) -> ir.Value | None:
    """What is repeated, reflected or wrapped is read again, axis by axis."""
    pads = constant_value(node.inputs[1])
    if pads is None or x.shape is None or pads.min() < 0:
        return None
    value = x
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :]):
        size = x.shape[int(axis)]
        if before == 0 and after == 0:
            continue
        if not isinstance(size, int):
            return None
        places = np.pad(np.arange(size), (int(before), int(after)), mode=mode)  # type: ignore[call-overload]
        value = write.node("Gather", value, write.constant(places), axis=int(axis))
    return write.node("Identity", value)


REARRANGEMENTS: dict[str, Rule] = {
    "DepthToSpace": depth_to_space,
    "Pad": pad,
    "SpaceToDepth": space_to_depth,
}
