"""DepthToSpace and its inverse, as Reshape and Transpose."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, fixed_sizes, inputs_of, integer, text
from svgd_onnx.transforms.writer import Writer


def depth_to_space(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    block = integer(node, "blocksize", 1)
    channels, height, width = fixed_sizes(x, 1)
    rest = channels // block**2
    if text(node, "mode", "DCR") == "DCR":
        split, order = (block, block, rest), [0, 3, 4, 1, 5, 2]
    else:
        split, order = (rest, block, block), [0, 1, 4, 2, 5, 3]
    parts = write.node("Reshape", x, write.integers(0, *split, height, width))
    moved = write.node("Transpose", parts, perm=order)
    shape = write.integers(0, rest, height * block, width * block)
    return write.node("Reshape", moved, shape)


def space_to_depth(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    block = integer(node, "blocksize", 1)
    channels, height, width = fixed_sizes(x, 1)
    split = write.integers(0, channels, height // block, block, width // block, block)
    moved = write.node("Transpose", write.node("Reshape", x, split), perm=[0, 3, 5, 1, 2, 4])
    shape = write.integers(0, channels * block**2, height // block, width // block)
    return write.node("Reshape", moved, shape)


DEPTH_TO_SPACE: dict[str, Rule] = {
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
