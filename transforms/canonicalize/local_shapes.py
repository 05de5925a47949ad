"""The shape of one node's output, from those of its inputs and what it is told, as far as it follows.

onnx's inference gives the other operators' shapes; these are what lies between one Reshape and the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.size import Entries, Size, dims_of, product
from svgd_onnx.transforms.rule import integer, integers

# The entries of a vector of integers, if it is one.
Known = Callable[["ir.Value | None"], "Entries | None"]
Shape = Sequence["Size | None"]

# One output, of the shape of the first input.
_SAME = frozenset(
    "Cast Clip Dropout Elu Erf Exp Gelu HardSwish Identity LayerNormalization LeakyRelu Log LogSoftmax Neg "
    "Reciprocal Relu Sigmoid SimplifiedLayerNormalization Softmax Softplus Sqrt Tanh".split()
)
_BROADCAST = frozenset("Add Div Mul Pow Sub".split())


def local_shape(node: ir.Node, known: Known) -> Shape | None:
    """The shape of a node's first output; None where nothing can be said."""
    if node.op_type in ("ConstantOfShape", "Reshape"):
        return _told(node, known)
    if node.op_type == "Expand":
        shape, told = dims_of(node.inputs[0]), known(node.inputs[1])
        return None if shape is None or told is None else _broadcast(shape, told)
    shapes = [dims_of(value) for value in node.inputs]
    if not shapes or shapes[0] is None:
        return None
    if node.op_type in _SAME:
        return shapes[0]
    if node.op_type == "Transpose":
        perm = integers(node, "perm", list(range(len(shapes[0])))[::-1])
        return [shapes[0][axis] for axis in perm]
    if len(shapes) != 2 or shapes[1] is None:
        return None
    if node.op_type in _BROADCAST:
        return _broadcast(shapes[0], shapes[1])
    if node.op_type == "MatMul" and min(len(shapes[0]), len(shapes[1])) > 1:
        stack = _broadcast(shapes[0][:-2], shapes[1][:-2])
        return [*stack, shapes[0][-2], shapes[1][-1]]
    return None


def _broadcast(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    one = Size(1)
    longer = ([one] * (rank - len(a)) + list(a), [one] * (rank - len(b)) + list(b))
    return [y if x == one else (x if y == one or x == y else _fixed(x, y)) for x, y in zip(*longer)]


def _fixed(a: Size | None, b: Size | None) -> Size | None:
    """Of two that differ, the one that is more than 1: an open one is the same, or 1."""
    return next((each for each in (a, b) if each and not each.names and each.times > 1), None)


def _told(node: ir.Node, known: Known) -> list[Size | None] | None:
    """The shape that a node is told, as far as it is known."""
    if node.op_type == "ConstantOfShape":
        entries = known(node.inputs[0])
        return None if entries is None else list(entries)
    if node.op_type != "Reshape":
        return None
    told, dims = known(node.inputs[1]), dims_of(node.inputs[0])
    if told is None or dims is None:
        return None
    shape = list(told)
    for axis, each in enumerate(told):
        if each == Size(0) and not integer(node, "allowzero", 0):
            shape[axis] = dims[axis] if axis < len(dims) else None
    # a size that is computed, and not known, may be -1 too
    open_axes = [at for at, each in enumerate(shape) if each is None or each.times < 0]
    total = product(dims)
    if len(open_axes) == 1 and total is not None:
        others = product(each for at, each in enumerate(shape) if at != open_axes[0])
        shape[open_axes[0]] = None if others is None else total.divided(others)
    return [None if each is None or each.times < 0 else each for each in shape]
