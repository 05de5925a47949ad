"""Products of large matrices, where ours is the faster one: of weights, and the gradients of both."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import MATRIX_PRODUCT
from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    fixed_size,
    input_of,
    inputs_of,
    integer,
    integers,
    known_rank,
    number,
    only_reader,
    rank,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

# Measured with tools.bench.products: below these packing costs more than onnxruntime's product loses.
_FEWEST = 512
_FEWEST_OF_MANY = 64  # of several products at once


def _of_attributes(node: ir.Node, write: Writer) -> Written:
    """Gemm, or FusedMatMul, which is onnxruntime's."""
    if any(integer(node, name, 0) for name in ("transBatchA", "transBatchB")):
        raise RefusedError("its axes are moved")
    bias = input_of(node, 2)
    scaled = number(node, "alpha", 1.0) != 1 or (bias and number(node, "beta", 1.0) != 1)
    if scaled:
        raise RefusedError("it is scaled")
    a, b = inputs_of(node, 2)
    transposed = [bool(integer(node, name, 0)) for name in ("transA", "transB")]
    return _product(write, a, b, bias, *transposed)


def _of_transpose(node: ir.Node, write: Writer) -> Written:
    """MatMul, perhaps of a transposed matrix; of two the second is taken as it comes."""
    first, second = inputs_of(node, 2)
    a = untransposed(first)
    b = None if a is not None else untransposed(second)
    return _product(write, a or first, b or second, None, a is not None, b is not None)


def untransposed(value: ir.Value) -> ir.Value | None:
    """What a value is the transposed matrices of; None if it is of none."""
    node = value.producer()
    if node is None or (node.domain, node.op_type) != ("", "Transpose"):
        return None
    (before,) = inputs_of(node, 1)
    return before if _swaps_last(node, before) else None


def _of_product(node: ir.Node, write: Writer) -> Written:
    """Transpose, of a product: (A' B)' = B' A."""
    (product,) = inputs_of(node, 1)
    before = product.producer()
    if before is None or not is_transposed_product(before):
        raise RefusedError("it is not of such a product")
    if only_reader(product) is not node or not _swaps_last(node, product):
        raise RefusedError("the product is needed as it is")
    a, b = inputs_of(before, 2)
    return operator(write, MATRIX_PRODUCT, [b, a], {"transA": 1})


def is_transposed_product(node: ir.Node) -> bool:
    """Whether a node is a product of ours whose first matrices alone are transposed, without a bias."""
    return (
        (node.domain, node.op_type) == (DOMAIN, MATRIX_PRODUCT)
        and bool(integer(node, "transA", 0))
        and not integer(node, "transB", 0)
        and len(node.inputs) == 2
    )


def _swaps_last(node: ir.Node, value: ir.Value) -> bool:
    """Whether Transpose makes of matrices their transposed ones."""
    count = known_rank(value)
    return count > 1 and integers(node, "perm", list(range(count))[::-1]) == last_swapped(count)


def last_swapped(count: int) -> list[int]:
    """The order of so many axes in which matrices are transposed."""
    return [*range(count - 2), count - 1, count - 2]


def _product(
    write: Writer,
    a: ir.Value,
    b: ir.Value,
    bias: ir.Value | None,
    transposed_a: bool,
    transposed_b: bool,
) -> Written:
    if transposed_a:
        if transposed_b or bias is not None:
            raise RefusedError("it is not a product of a transposed matrix alone")
        _check_columns(a, b)
        return operator(write, MATRIX_PRODUCT, [a, b], {"transA": 1})
    _check_weight(a, b)
    if bias is not None:
        columns = fixed_size(b, 0 if transposed_b else 1)
        if bias.shape is None or list(bias.shape) != [columns]:
            raise RefusedError("what is added is no number for each column")
    factors = [a, b] if bias is None else [a, b, bias]
    return operator(write, MATRIX_PRODUCT, factors, {"transB": int(transposed_b)})


def _check_columns(a: ir.Value, b: ir.Value) -> None:
    """Refuses matrices of few columns, or that are not known to be as many."""
    last = known_rank(a) - 1
    if rank(b) != last + 1 or a.shape is None or b.shape is None:
        raise RefusedError("its matrices have other axes")
    for of_a, of_b in zip(list(a.shape)[:-2], list(b.shape)[:-2]):
        if of_a != of_b or of_a == ir.SymbolicDim(None):
            raise RefusedError("its matrices are not known to be as many")
    fewest = _FEWEST if last == 1 else _FEWEST_OF_MANY
    if min(fixed_size(a, last), fixed_size(b, last)) < fewest:
        raise RefusedError("it is small")


def _check_weight(a: ir.Value, b: ir.Value) -> None:
    """Refuses anything but many rows and one large matrix that multiplies them all."""
    if known_rank(b) != 2 or known_rank(a) < 2:
        raise RefusedError("it is not of one matrix")
    if min(fixed_size(b, 0), fixed_size(b, 1)) < _FEWEST or _known_rows(a) < _FEWEST:
        raise RefusedError("it is small")


def _known_rows(value: ir.Value) -> int:
    """How many rows there are at least, as far as sizes are fixed, also of what is reshaped to be it."""
    most, columns = 1, max(1, fixed_size(value, known_rank(value) - 1))
    source: ir.Value | None = value
    while source is not None and source.shape is not None:
        most = max(most, prod(size for size in source.shape if isinstance(size, int)) // columns)
        node = source.producer()
        source = node.inputs[0] if node is not None and node.op_type == "Reshape" else None
    return most


MATRIX_PRODUCTS: dict[str, Rule] = {
    "FusedMatMul": _of_attributes,
    "Gemm": _of_attributes,
    "MatMul": _of_transpose,
    "Transpose": _of_product,
}
