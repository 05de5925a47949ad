"""DepthToSpace and its inverse, as Reshape and Transpose."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, fixed_size, inputs_of, integer, static_shape, text
from svgd_onnx.transforms.writer import Writer


def depth_to_space(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    block = integer(node, "blocksize", 1)
    rest = fixed_size(x, 1) // block**2
    if text(node, "mode", "DCR") == "DCR":
        split, order = (block, block, rest), [0, 3, 4, 1, 5, 2]
    else:
        split, order = (rest, block, block), [0, 1, 4, 2, 5, 3]
    sizes = static_shape(x, 2)
    if sizes is None:
        size = write.node("Shape", x, start=2)
        shape = _joined(write, write.integers(0, *split), size)
        whole = _joined(
            write, write.integers(0, rest), write.node("Mul", size, write.integers(block))
        )
    else:
        shape = write.integers(0, *split, *sizes)
        whole = write.integers(0, rest, *(size * block for size in sizes))
    moved = write.node("Transpose", write.node("Reshape", x, shape), perm=order)
    return write.node("Reshape", moved, whole)


def space_to_depth(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    block = integer(node, "blocksize", 1)
    channels = fixed_size(x, 1)
    sizes = static_shape(x, 2)
    if sizes is None:
        blocks = write.node("Div", write.node("Shape", x, start=2), write.integers(block))
        height, width = (
            write.node("Gather", blocks, write.integers(axis), axis=0) for axis in range(2)
        )
        parts = [height, write.integers(block), width, write.integers(block)]
        split = _joined(write, write.integers(0, channels), *parts)
        shape = _joined(write, write.integers(0, channels * block**2), blocks)
    else:
        height_, width_ = (size // block for size in sizes)
        split = write.integers(0, channels, height_, block, width_, block)
        shape = write.integers(0, channels * block**2, height_, width_)
    moved = write.node("Transpose", write.node("Reshape", x, split), perm=[0, 3, 5, 1, 2, 4])
    return write.node("Reshape", moved, shape)


def _joined(write: Writer, *parts: ir.Value) -> ir.Value:
    return write.node("Concat", *parts, axis=0)


DEPTH_TO_SPACE: dict[str, Rule] = {
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
