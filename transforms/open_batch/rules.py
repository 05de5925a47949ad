"""Where operators leave the examples of what they read."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.open_batch.equal_rows import first_of_equal
from svgd_onnx.transforms.open_batch.picked import gather_nd, gather_of_one
from svgd_onnx.transforms.open_batch.reshape import RESHAPES, expanded
from svgd_onnx.transforms.open_batch.rows import (
    Rows,
    Rule,
    Tracing,
    Where,
    from_front,
    size,
)
from svgd_onnx.transforms.open_batch.sizes import shape
from svgd_onnx.transforms.rule import RefusedError, input_of, integer, known_rank, text


def elementwise(node: ir.Node, tracing: Tracing) -> Where:
    """Operands are repeated along axes that they lack or have once."""
    rank = max(known_rank(value) for value in node.inputs if value is not None)
    found: dict[Rows, None] = {}
    for value in node.inputs:
        rows = tracing.rows(value)
        if value is not None and rows is not None:
            found[rows.at(rows.axis + rank - known_rank(value))] = None
    if len(found) != 1:
        raise RefusedError("its operands have their examples in different places")
    (rows,) = found
    for place, value in enumerate(node.inputs):
        if value is not None and tracing.rows(value) is None:
            axis = rows.axis - rank + known_rank(value)
            if axis >= 0 and size(value, axis) != 1:
                first_of_equal(node, place, axis, rows, tracing)
    return rows


def cast_like(node: ir.Node, tracing: Tracing) -> Where:
    return tracing.rows(node.inputs[0])


def matrix_product(node: ir.Node, tracing: Tracing) -> Where:
    a, b = node.inputs[0], node.inputs[1]
    assert a is not None and b is not None
    ranks = known_rank(a), known_rank(b)
    if min(ranks) < 2:
        raise RefusedError("it is of a vector")
    rank = max(ranks)
    found = set()
    for value, own, summed in ((a, ranks[0], ranks[0] - 1), (b, ranks[1], ranks[1] - 2)):
        rows = tracing.rows(value)
        if rows is None:
            continue
        if rows.axis == summed:
            raise RefusedError("it adds over examples")
        found.add(rows.at(rows.axis + rank - own))
    if len(found) != 1:
        raise RefusedError("its operands have their examples in different places")
    (rows,) = found
    if rows.axis < rank - 2:
        for value, own in ((a, ranks[0]), (b, ranks[1])):
            axis = rows.axis - rank + own
            if tracing.rows(value) is None and axis >= 0 and size(value, axis) != 1:
                raise RefusedError("a constant has an entry for each example")
    elif tracing.rows(a) is not None and tracing.rows(b) is not None:
        raise RefusedError("it is of all pairs of examples")
    return rows


def gemm(node: ir.Node, tracing: Tracing) -> Where:
    rows, third = tracing.rows(node.inputs[0]), input_of(node, 2)
    if rows is None or rows.axis != integer(node, "transA", 0) or tracing.rows(node.inputs[1]):
        raise RefusedError("it adds over examples")
    added = tracing.rows(third)
    if third is not None and added is None and known_rank(third) == 2 and size(third, 0) != 1:
        raise RefusedError("a constant has an entry for each example")
    if added is not None and added != rows.at(0):
        raise RefusedError("its operands have their examples in different places")
    return rows.at(0)


def examples_first(node: ir.Node, tracing: Tracing) -> Sequence[Where]:
    """Layers of images and the like, which by their definition have examples first."""
    rows = tracing.first(node)
    if rows.axis != 0:
        raise RefusedError("its first axis is not the batch")
    if node.op_type == "Resize" and (input_of(node, 1) or input_of(node, 3)):
        raise RefusedError("it is told the size of every axis")
    if node.inputs[0] is not None and size(node.outputs[0], 0) != size(node.inputs[0], 0):
        raise RefusedError("it changes how many examples there are")
    if any(value.uses() for value in node.outputs[1:]):
        raise RefusedError("its places are counted through the whole batch")
    return [rows] * len(node.outputs)


def apart(node: ir.Node, tracing: Tracing) -> Sequence[Where]:
    """What works along one axis, or from one axis on."""
    rows = tracing.first(node)
    rank = known_rank(node.inputs[0]) if node.inputs[0] is not None else 0
    axis = integer(node, "axis", 0 if "Arg" in node.op_type else -1) % rank
    onward = node.op_type in ("LayerNormalization", "SimplifiedLayerNormalization")
    if rows.axis == axis or (onward and rows.axis > axis):
        raise RefusedError("it works over examples")
    if any(
        value is not None and known_rank(value) >= rank - rows.axis for value in node.inputs[1:]
    ):
        raise RefusedError("a constant has an entry for each example")
    gone = "Arg" in node.op_type and not integer(node, "keepdims", 1)
    return [rows.at(rows.axis - (gone and axis < rows.axis))] * len(node.outputs)


def reduction(node: ir.Node, tracing: Tracing) -> Where:
    rows = tracing.first(node)
    rank = known_rank(*(value for value in node.inputs[:1] if value is not None))
    axes = tracing.numbers(node, 1, "axes")
    if not axes:
        if integer(node, "noop_with_empty_axes", 0):
            return rows
        axes = list(range(rank))
    axes = from_front(axes, rank)
    if rows.axis in axes:
        raise RefusedError("it reduces over examples")
    if integer(node, "keepdims", 1):
        return rows
    return rows.at(rows.axis - sum(axis < rows.axis for axis in axes))


def concat(node: ir.Node, tracing: Tracing) -> Where:
    found = {rows for value in node.inputs if (rows := tracing.rows(value)) is not None}
    rank = known_rank(*(value for value in node.inputs if value is not None))
    if len(found) != 1:
        raise RefusedError("its operands have their examples in different places")
    (rows,) = found
    if integer(node, "axis", 0) % rank == rows.axis:
        raise RefusedError("it joins examples")
    reference = next(
        value for value in node.inputs if value is not None and tracing.rows(value) is not None
    )
    for place, value in enumerate(node.inputs):
        if tracing.rows(value) is None:
            expanded(tracing, node, place, rows, reference)
    return rows


def split(node: ir.Node, tracing: Tracing) -> Sequence[Where]:
    rows = tracing.first(node)
    rank = known_rank(*(value for value in node.inputs[:1] if value is not None))
    if integer(node, "axis", 0) % rank == rows.axis:
        raise RefusedError("it parts examples")
    return [rows] * len(node.outputs)


def gather(node: ir.Node, tracing: Tracing) -> Where:
    data, index = node.inputs[0], node.inputs[1]
    assert data is not None and index is not None
    axis = integer(node, "axis", 0) % known_rank(data)
    of_data, of_index = tracing.rows(data), tracing.rows(index)
    if of_data is None and of_index is not None:
        return of_index.at(axis + of_index.axis)
    if of_data is None or of_index is not None:
        raise RefusedError("it takes examples by their numbers")
    if of_data.axis == axis:
        return gather_of_one(node, tracing)
    more = known_rank(index) - 1 if of_data.axis > axis else 0
    return of_data.at(of_data.axis + more)


# An end that no axis reaches.
_TO_THE_END = 2**31 - 1


def slices(node: ir.Node, tracing: Tracing) -> Where:
    rows = tracing.first(node)
    rank = known_rank(*(value for value in node.inputs[:1] if value is not None))
    starts, ends = (tracing.numbers(node, place) or [] for place in (1, 2))
    axes = from_front(tracing.numbers(node, 3) or list(range(len(starts))), rank)
    steps = tracing.numbers(node, 4) or [1] * len(axes)
    for axis, *taken in zip(axes, starts, ends, steps):
        if axis == rows.axis and (taken[0] != 0 or taken[1] < _TO_THE_END or taken[2] != 1):
            raise RefusedError("it takes some of the examples")
    return rows


def pad(node: ir.Node, tracing: Tracing) -> Where:
    rows = tracing.first(node)
    rank = known_rank(*(value for value in node.inputs[:1] if value is not None))
    pads, axes = tracing.numbers(node, 1) or [], tracing.numbers(node, 3) or list(range(rank))
    for place, axis in enumerate(from_front(axes, rank)):
        if axis == rows.axis and (pads[place] or pads[place + len(axes)]):
            raise RefusedError("it adds examples")
    return rows


def recurrent(node: ir.Node, tracing: Tracing) -> Sequence[Where]:
    layout = integer(node, "layout", 0)
    sequence = node.inputs[0]
    if any(tracing.rows(value) for value in (*node.inputs[1:4], input_of(node, 7))):
        raise RefusedError("its parameters depend on the batch")
    if tracing.rows(sequence) != Rows(1 - layout):
        raise RefusedError("its examples are not where it has them")
    assert sequence is not None
    reference = Rows(1 - layout)
    for place, axis in ((4, 0), (5, 1 - layout), (6, 1 - layout)):
        value = input_of(node, place)
        if value is not None and tracing.rows(value) is None:
            expanded(tracing, node, place, Rows(axis), sequence, reference.axis)
        elif value is not None and tracing.rows(value) != Rows(axis):
            raise RefusedError("its examples are not where it has them")
    return [Rows(0 if layout else 2), Rows(1 - layout), Rows(1 - layout)][: len(node.outputs)]


def einsum(node: ir.Node, tracing: Tracing) -> Where:
    left, arrow, right = text(node, "equation", "").replace(" ", "").partition("->")
    if "." in left or not arrow:
        raise RefusedError("its equation leaves axes out")
    letters, found = set(), set()
    terms = left.split(",")
    for term, value in zip(terms, node.inputs):
        rows = tracing.rows(value)
        if rows is not None:
            letters.add(term[rows.axis])
            found.add(rows.at(0))
    if len(letters) != 1 or len(found) != 1:
        raise RefusedError("its operands have their examples in different places")
    (letter,) = letters
    alone = any(
        letter in term and tracing.rows(value) is None for term, value in zip(terms, node.inputs)
    )
    repeated = any(term.count(letter) > 1 for term in terms)
    if alone or repeated or letter not in right:
        raise RefusedError("it adds over examples")
    (rows,) = found
    return rows.at(right.index(letter))


_ELEMENTWISE = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf "
    "Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less "
    "LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor"
)
_EXAMPLES_FIRST = (
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool "
    "GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool Resize SpaceToDepth"
)
_APART = (
    "ArgMax ArgMin Hardmax LayerNormalization LogSoftmax LpNormalization SimplifiedLayerNormalization "
    "Softmax"
)
_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(_EXAMPLES_FIRST.split(), examples_first),
    **dict.fromkeys(_APART.split(), apart),
    **{f"Reduce{name}": reduction for name in _REDUCTIONS.split()},
    **RESHAPES,
    "Shape": shape,
    "CastLike": cast_like,
    "MatMul": matrix_product,
    "Gemm": gemm,
    "Concat": concat,
    "Split": split,
    "Gather": gather,
    "GatherND": gather_nd,
    "Slice": slices,
    "Pad": pad,
    "GRU": recurrent,
    "LSTM": recurrent,
    "RNN": recurrent,
    "Einsum": einsum,
}
