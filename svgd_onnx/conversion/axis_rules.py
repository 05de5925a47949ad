"""From which axes of a node's inputs an axis of its output comes: a rule for each operator.

A rule takes the node, the output and the axis, and gives axes of inputs; it raises `RefusedError` where it
cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    constant_value,
    input_of,
    integer,
    integers,
    known_rank,
    text,
)

Axis = tuple[ir.Value, int]
Rule = Callable[[ir.Node, ir.Value, int], Sequence[Axis]]

RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


def _size(value: ir.Value, axis: int) -> int | str | None:
    dim = None if value.shape is None else value.shape[axis]
    return dim if isinstance(dim, int) or dim is None else dim.value


def _given(node: ir.Node) -> Iterator[ir.Value]:
    return (value for value in node.inputs if value is not None)


def _elementwise(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    rank = known_rank(output)
    places = [(value, axis - rank + known_rank(value)) for value in _given(node)]
    once = _size(output, axis) == 1
    return [(value, at) for value, at in places if at >= 0 and (once or _size(value, at) != 1)]


def _expand(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    source = next(_given(node))
    place = axis - known_rank(output) + known_rank(source)
    if place < 0 or (_size(source, place) == 1 and _size(output, axis) != 1):
        raise RefusedError("it is told")
    return [(source, place)]


def _in_place(node: ir.Node, _: ir.Value, axis: int) -> Sequence[Axis]:
    """Of the first input, whose axes stay where they are."""
    source = node.inputs[0]
    return [] if source is None else [(source, axis)]


def _layer(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    return [] if axis == 1 else _in_place(node, output, axis)


def _recurrent(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    """(T, D, N, H) and (D, N, H) of (T, N, I)."""
    sequence = node.inputs[0]
    assert sequence is not None
    of_all = {0: 0, 2: 1} if output is node.outputs[0] else {1: 1}
    return [(sequence, of_all[axis])] if axis in of_all else []


def _transpose(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    order = integers(node, "perm", list(reversed(range(known_rank(output)))))
    return _in_place(node, output, order[axis])


def _numbers(node: ir.Node, place: int, name: str) -> list[int]:
    """Axes that are an input or an attribute.

    Raises:
        RefusedError: they are neither.
    """
    array = constant_value(input_of(node, place))
    if array is not None:
        return [int(each) for each in array.reshape(-1)]
    if name not in node.attributes:
        raise RefusedError("its axes are not constant")
    return integers(node, name, [])


def _unsqueeze(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    new = [each % known_rank(output) for each in _numbers(node, 1, "axes")]
    return [] if axis in new else _in_place(node, output, axis - sum(each < axis for each in new))


def _without(gone: Sequence[int], axis: int, rank: int) -> int:
    """The axis that is `axis` when some are gone."""
    return [each for each in range(rank) if each not in gone][axis]


def _squeeze(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    rank = known_rank(next(_given(node)))
    gone = [each % rank for each in _numbers(node, 1, "axes")]
    return _in_place(node, output, _without(gone, axis, rank))


def _reduction(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    rank = known_rank(next(_given(node)))
    if node.op_type.startswith("Arg"):
        gone = [integer(node, "axis", 0) % rank]
    elif input_of(node, 1) is None and "axes" not in node.attributes:
        gone = [] if integer(node, "noop_with_empty_axes", 0) else list(range(rank))
    else:
        gone = [each % rank for each in _numbers(node, 1, "axes")]
    if not integer(node, "keepdims", 1):
        return _in_place(node, output, _without(gone, axis, rank))
    return [] if axis in gone else _in_place(node, output, axis)


def _matrix_product(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    a, b = _given(node)
    ranks = known_rank(a), known_rank(b)
    if min(ranks) < 2:
        if ranks[1] == 1:
            return [(a, axis)]
        return [(b, axis if axis < ranks[1] - 2 else axis + 1)]
    rank = known_rank(output)
    if axis >= rank - 2:
        return [(a, ranks[0] - 2)] if axis == rank - 2 else [(b, ranks[1] - 1)]
    return _elementwise(node, output, axis)


def _gemm(node: ir.Node, _: ir.Value, axis: int) -> Sequence[Axis]:
    place, name = (node.inputs[axis], ("transA", "transB")[axis])
    assert place is not None
    return [(place, axis ^ integer(node, name, 0))]


def _gather(node: ir.Node, _: ir.Value, axis: int) -> Sequence[Axis]:
    data, index = list(_given(node))[:2]
    along, rank = integer(node, "axis", 0) % known_rank(data), known_rank(index)
    if axis < along:
        return [(data, axis)]
    return [(index, axis - along)] if axis < along + rank else [(data, axis - rank + 1)]


def _concat(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    if axis == integer(node, "axis", 0) % known_rank(output):
        raise RefusedError("it is several")
    return [(value, axis) for value in _given(node)]


def _reshape(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    """The one axis with as much before it and after it."""
    source = next(_given(node))
    found = [
        place
        for place in range(known_rank(source))
        if _same(source, place, output, axis, slice(None, place), slice(None, axis))
        and _same(source, place, output, axis, slice(place + 1, None), slice(axis + 1, None))
    ]
    if len(found) != 1:
        raise RefusedError("it is not known which")
    return [(source, found[0])]


def _same(a: ir.Value, place: int, b: ir.Value, axis: int, of_a: slice, of_b: slice) -> bool:
    """Whether as much lies in two groups of axes, and the axes beside them are not known to differ."""
    of_axis = _size(a, place), _size(b, axis)
    if all(isinstance(size, int) for size in of_axis) and of_axis[0] != of_axis[1]:
        return False
    sizes = [
        [_size(value, at) for at in range(known_rank(value))[part]]
        for value, part in ((a, of_a), (b, of_b))
    ]
    if any(size is None for each in sizes for size in each):
        return False
    named = [sorted(size for size in each if isinstance(size, str)) for each in sizes]
    numbers = [prod(size for size in each if isinstance(size, int)) for each in sizes]
    return named[0] == named[1] and numbers[0] == numbers[1]


def _flatten(node: ir.Node, output: ir.Value, axis: int) -> Sequence[Axis]:
    source = next(_given(node))
    split, rank = integer(node, "axis", 1), known_rank(source)
    part = list(range(rank))[:split] if axis == 0 else list(range(rank))[split:]
    of_more = [at for at in part if _size(source, at) != 1]
    if len(part) > 1 and len(of_more) != 1:
        return _reshape(node, output, axis)
    return [(source, at) for at in (part if len(part) == 1 else of_more)]


def _einsum(node: ir.Node, _: ir.Value, axis: int) -> Sequence[Axis]:
    left, arrow, right = text(node, "equation", "").replace(" ", "").partition("->")
    if "." in left or not arrow:
        raise RefusedError("its equation leaves axes out")
    return [
        (value, term.index(right[axis]))
        for term, value in zip(left.split(","), _given(node))
        if right[axis] in term
    ]


_ELEMENTWISE = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf "
    "Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less "
    "LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor"
)
_IN_PLACE = (
    "AveragePool BatchNormalization CumSum GatherElements GlobalAveragePool GlobalLpPool GlobalMaxPool "
    "GroupNormalization Hardmax InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization "
    "LpPool MaxPool MeanVarianceNormalization Pad Resize ScatterElements ScatterND Slice Softmax Split Tile "
    "TopK Trilu"
)
_REDUCTIONS = (
    "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare"
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_IN_PLACE.split(), _in_place),
    **dict.fromkeys(_REDUCTIONS.split(), _reduction),
    **dict.fromkeys(RECURRENT, _recurrent),
    "Concat": _concat,
    "Conv": _layer,
    "ConvTranspose": _layer,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matrix_product,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
