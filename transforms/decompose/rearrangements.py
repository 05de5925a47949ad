"""Operators that only move elements, as Reshape and Transpose."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.decompose.rule import Rule, Writer, inputs_of, integer, static_shape, text


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


REARRANGEMENTS: dict[str, Rule] = {"DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth}
