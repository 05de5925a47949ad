"""Matrix products."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.broadcast import sum_to
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import reshaped_like
from svgd_onnx.transforms.rule import fixed_size, inputs_of, integer, known_rank, number
from svgd_onnx.transforms.writer import Writer


def gemm(back: Backward) -> Gradients:
    """Y = alpha A' B' + beta C, with A' and B' A and B or transposed."""
    write = back.write
    a, b = inputs_of(back.node, 2)
    trans_a, trans_b = (bool(integer(back.node, name, 0)) for name in ("transA", "transB"))
    alpha, beta = (number(back.node, name, 1.0) for name in ("alpha", "beta"))

    def product(
        first: ir.Value, second: ir.Value, trans_first: bool, trans_second: bool
    ) -> ir.Value:
        return write.node(
            "Gemm", first, second, transA=int(trans_first), transB=int(trans_second), alpha=alpha
        )

    def of_a() -> ir.Value:
        if trans_a:
            return product(b, back.dy, trans_b, True)
        return product(back.dy, b, False, not trans_b)

    def of_b() -> ir.Value:
        if trans_b:
            return product(back.dy, a, True, trans_a)
        return product(a, back.dy, not trans_a, False)

    def of_c() -> ir.Value:
        c = back.node.inputs[2]
        assert c is not None
        scaled = back.dy if beta == 1 else write.node("Mul", back.dy, write.scalar(beta))
        return sum_to(write, scaled, back.y, c)

    return back.each(of_a, of_b, of_c)


def matmul(back: Backward) -> Gradients:
    """dA = dY B^T, dB = A^T dY, summed over axes of the batch that were repeated.

    A vector is a matrix of one row (A) or one column (B), whose axis the output lacks.
    """
    write = back.write
    a, b = inputs_of(back.node, 2)
    rank_a, rank_b = known_rank(a), known_rank(b)
    rows, columns, dy = a, b, back.dy
    if rank_b == 1:
        columns, dy = _with_axis(write, b, 1), write.node("Unsqueeze", dy, write.integers(-1))
    if rank_a == 1:
        rows, dy = _with_axis(write, a, 0), write.node("Unsqueeze", dy, write.integers(-2))

    def gradient(product: ir.Value, operand: ir.Value, matrix: ir.Value) -> ir.Value:
        if back.y.shape is not None and matrix.shape is not None:
            batch = list(back.y.shape)[: len(back.y.shape) - (rank_a > 1) - (rank_b > 1)]
            product.type = back.dy.type
            product.shape = ir.Shape([*batch, *list(matrix.shape)[-2:]])
        total = sum_to(write, product, product, matrix)
        return total if matrix is operand else reshaped_like(write, total, operand)

    def of_a() -> ir.Value:
        (product,) = back.training("FusedMatMul", dy, columns, transB=1)
        return gradient(product, a, rows)

    def of_b() -> ir.Value:
        if rank_b == 2 and rank_a > 2:
            # one product over the whole batch
            return write.node("Gemm", _as_matrix(write, a), _as_matrix(write, dy), transA=1)
        (product,) = back.training("FusedMatMul", rows, dy, transA=1)
        return gradient(product, b, columns)

    return back.each(of_a, of_b)


def _with_axis(write: Writer, vector: ir.Value, axis: int) -> ir.Value:
    matrix = write.node("Unsqueeze", vector, write.integers(axis))
    sizes = list(vector.shape or ())
    sizes.insert(axis, 1)
    matrix.shape, matrix.type = ir.Shape(sizes), vector.type
    return matrix


def _as_matrix(write: Writer, value: ir.Value) -> ir.Value:
    """All axes but the last as one."""
    last = None if value.shape is None else value.shape[-1]
    if isinstance(last, int):
        return write.node("Reshape", value, write.integers(-1, last))
    size = write.node("Shape", value, start=-1)
    return write.node("Reshape", value, write.node("Concat", write.integers(-1), size, axis=0))


def determinant(back: Backward) -> Gradients:
    """dX = dY adj(X)^T, for a singular X too.

    The adjugate is what the recursion of Faddeev and LeVerrier ends with: M = X M - tr(X M) / k I.
    """
    write, x = back.write, back.x
    rank = known_rank(x)
    size = fixed_size(x, rank - 1)
    identity = write.constant(np.eye(size, dtype=np.float32))
    matrix: ir.Value = identity
    for k in range(1, size):
        product = write.node("MatMul", x, matrix)
        diagonal = write.node("Mul", product, identity)
        trace = write.reduce("ReduceSum", diagonal, [rank - 2, rank - 1])
        share = write.node("Mul", trace, write.scalar(-1 / k))
        matrix = write.node("Add", product, write.node("Mul", share, identity))
    turned = (
        write.node("Transpose", matrix, perm=[*range(rank - 2), rank - 1, rank - 2])
        if size > 1
        else matrix
    )
    dy = write.node("Unsqueeze", back.dy, write.integers(-2, -1))
    signed = dy if size % 2 else write.node("Neg", dy)
    return [write.node("Mul", signed, turned)]


PRODUCTS: dict[str, GradientRule] = {"Det": determinant, "Gemm": gemm, "MatMul": matmul}
