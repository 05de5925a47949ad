"""Einsum: the gradient by an operand is an Einsum of dY and the other operands."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import sizes_of
from svgd_onnx.transforms.rule import inputs_of, known_rank, text
from svgd_onnx.transforms.writer import Writer

Labels = list[str]


def einsum(back: Backward) -> Gradients:
    operands = inputs_of(back.node, len(back.node.inputs))
    terms, result = _labels(text(back.node, "equation", ""), [known_rank(x) for x in operands])
    return back.each(
        *[
            lambda place=place: _by_operand(back, operands, terms, result, place)
            for place in range(len(operands))
        ]
    )


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of each operand's axes and of the result's, with letters for what an ellipsis stands for."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    terms = left.split(",")
    most = max(rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks))
    ellipsis = free[: max(most, 0)]

    def spelt_out(term: str, count: int) -> Labels:
        before, dots, after = term.partition("...")
        return [*before, *(ellipsis[len(ellipsis) - count :] if dots else []), *after]

    spelt = [
        spelt_out(term, rank - len(term.replace("...", ""))) for term, rank in zip(terms, ranks)
    ]
    if arrow:
        return spelt, spelt_out(right, len(ellipsis))
    once = sorted(letter for letter in set(left) - set(",.") if left.count(letter) == 1)
    return spelt, [*(ellipsis if "..." in left else []), *once]


def _by_operand(
    back: Backward, operands: Sequence[ir.Value], terms: list[Labels], result: Labels, place: int
) -> ir.Value:
    write, x = back.write, operands[place]
    repeated = _repeated_axes(operands, terms, place)
    own = [label for axis, label in enumerate(terms[place]) if axis not in repeated]
    values = [back.dy, *(value for other, value in enumerate(operands) if other != place)]
    labels = [result, *(term for other, term in enumerate(terms) if other != place)]
    given = {label for term in labels for label in term}
    axes: Labels = []
    for label in own:
        size = sizes_of(write, x, terms[place].index(label), terms[place].index(label) + 1)
        if label in axes:
            # only the diagonal was read
            fresh = next(each for each in string.ascii_letters if each not in given | {*own, *axes})
            values.append(_identity(write, size))
            labels.append([label, fresh])
            label = fresh
        elif label not in given:
            # summed over: each has the same gradient
            values.append(_filled(write, size, 1))
            labels.append([label])
        axes.append(label)
    equation = ",".join("".join(term) for term in labels) + "->" + "".join(axes)
    gradient = write.node("Einsum", *values, equation=equation)
    return write.node("Unsqueeze", gradient, write.integers(*repeated)) if repeated else gradient


def _repeated_axes(operands: Sequence[ir.Value], terms: list[Labels], place: int) -> list[int]:
    """The axes of size 1 whose label stands for more elsewhere."""
    sizes: dict[str, set[object]] = {}
    for value, term in zip(operands, terms):
        for label, size in zip(term, value.shape or ()):
            sizes.setdefault(label, set()).add(size)
    shape = operands[place].shape or ()
    return [
        axis
        for axis, (label, size) in enumerate(zip(terms[place], shape))
        if size == 1 and len(sizes[label]) > 1
    ]


def _filled(write: Writer, shape: ir.Value, number: float) -> ir.Value:
    return write.node("ConstantOfShape", shape, value=ir.tensor(np.array([number], np.float32)))


def _identity(write: Writer, size: ir.Value) -> ir.Value:
    return write.node("EyeLike", _filled(write, write.node("Concat", size, size, axis=0), 0))


EINSUM: dict[str, GradientRule] = {"Einsum": einsum}
