"""A transposed matrix times another, as gradients of weights are, where our product is the faster one."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    fixed_size,
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

PRODUCT = "TransposedProduct"

# Measured with tools.bench.products: below these packing costs more than onnxruntime's product loses.
_FEWEST = 512
_FEWEST_OF_MANY = 64  # of several products at once


def _of_attributes(node: ir.Node, write: Writer) -> Written:
    """Gemm, or FusedMatMul, which is onnxruntime's."""
    others = ("transB", "transBatchA", "transBatchB")
    if not integer(node, "transA", 0) or any(integer(node, name, 0) for name in others):
        raise RefusedError("its first matrix alone is not transposed")
    if number(node, "alpha", 1.0) != 1 or len(node.inputs) > 2:
        raise RefusedError("it is not a product alone")
    return _product(write, *inputs_of(node, 2))


def _of_transpose(node: ir.Node, write: Writer) -> Written:
    transposed, b = inputs_of(node, 2)
    before = transposed.producer()
    if before is None or (before.domain, before.op_type) != ("", "Transpose"):
        raise RefusedError("its first matrix is not transposed")
    (a,) = inputs_of(before, 1)
    if not swaps_last(before, a):
        raise RefusedError("its first matrix is not transposed")
    return _product(write, a, b)


def _of_product(node: ir.Node, write: Writer) -> Written:
    """Transpose, of such a product: (A' B)' = B' A."""
    (product,) = inputs_of(node, 1)
    before = product.producer()
    if before is None or (before.domain, before.op_type) != (DOMAIN, PRODUCT):
        raise RefusedError("it is not of such a product")
    if only_reader(product) is not node or not swaps_last(node, product):
        raise RefusedError("the product is needed as it is")
    a, b = inputs_of(before, 2)
    return operator(write, PRODUCT, [b, a])


def swaps_last(node: ir.Node, value: ir.Value) -> bool:
    """Whether Transpose makes of matrices their transposed ones."""
    count = known_rank(value)
    return count > 1 and integers(node, "perm", list(range(count))[::-1]) == last_swapped(count)


def last_swapped(count: int) -> list[int]:
    """The order of so many axes in which matrices are transposed."""
    return [*range(count - 2), count - 1, count - 2]


def _product(write: Writer, a: ir.Value, b: ir.Value) -> Written:
    last = known_rank(a) - 1
    if rank(b) != last + 1 or a.shape is None or b.shape is None:
        raise RefusedError("its matrices have other axes")
    for of_a, of_b in zip(list(a.shape)[:-2], list(b.shape)[:-2]):
        if of_a != of_b or of_a == ir.SymbolicDim(None):
            raise RefusedError("its matrices are not known to be as many")
    fewest = _FEWEST if last == 1 else _FEWEST_OF_MANY
    if min(fixed_size(a, last), fixed_size(b, last)) < fewest:
        raise RefusedError("it is small")
    return operator(write, PRODUCT, [a, b])


TRANSPOSED_PRODUCT: dict[str, Rule] = {
    "FusedMatMul": _of_attributes,
    "Gemm": _of_attributes,
    "MatMul": _of_transpose,
    "Transpose": _of_product,
}
