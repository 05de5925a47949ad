"""Operators that read or write at places that another input says.

What is added to one place goes through ScatterElements, which on onnxruntime's CPU provider adds in order;
ScatterND adds in parallel, so that results would differ from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import product_of, reshaped_like, shape_of
from svgd_onnx.transforms.rule import fixed_size, inputs_of, integer, known_rank, text
from svgd_onnx.transforms.writer import Writer


def gather_elements(back: Backward) -> Gradients:
    x, indices = inputs_of(back.node, 2)
    axis = integer(back.node, "axis", 0)
    return back.training("GatherElementsGrad", back.dy, shape_of(back.write, x), indices, axis=axis)


def top_k(back: Backward) -> Gradients:
    """To where the values were taken from, which the second output says."""
    indices = back.named(1)
    axis = integer(back.node, "axis", -1)
    return back.training(
        "GatherElementsGrad", back.dy, shape_of(back.write, back.x), indices, axis=axis
    )


def gather(back: Backward) -> Gradients:
    x, indices = inputs_of(back.node, 2)
    axis = integer(back.node, "axis", 0)
    return back.training("GatherGrad", shape_of(back.write, x), indices, back.dy, axis=axis)


def gather_nd(back: Backward) -> Gradients:
    """As Gather of rows, of all axes that the indices go through as one."""
    x, indices = inputs_of(back.node, 2)
    write, batch = back.write, integer(back.node, "batch_dims", 0)
    first = batch + fixed_size(indices, known_rank(indices) - 1, "its indices")
    width = product_of(write, x, first, known_rank(x))
    shape = write.node("Concat", product_of(write, x, 0, first), width, axis=0)
    rows = _rows(write, x, indices, batch)
    dy = write.node("Reshape", back.dy, _row_shape(write, width))
    (dx,) = back.training("GatherGrad", shape, rows, dy, axis=0)
    return [reshaped_like(write, dx, x)]


def _row_shape(write: Writer, width: ir.Value) -> ir.Value:
    return write.node("Concat", write.integers(-1), width, axis=0)


def _rows(write: Writer, data: ir.Value, indices: ir.Value, batch: int) -> ir.Value:
    """Where the indices of GatherND or ScatterND point to, (M), if the axes they go through were one."""
    rank = known_rank(indices)
    depth = fixed_size(indices, rank - 1, "its indices")
    sizes = [product_of(write, data, axis, axis + 1) for axis in range(batch, batch + depth)]
    strides = [
        product_of(write, data, axis + 1, batch + depth) for axis in range(batch, batch + depth)
    ]
    positive = write.node(
        "Where",
        write.node("Less", indices, write.integer(0)),
        write.node("Add", indices, write.node("Concat", *sizes, axis=0)),
        indices,
    )
    steps = write.node("Mul", positive, write.node("Concat", *strides, axis=0))
    places = write.reduce("ReduceSum", steps, [rank - 1], keepdims=False)
    if batch:
        example = write.positions(product_of(write, data, 0, batch))
        start = write.node("Mul", example, product_of(write, data, batch, batch + depth))
        apart = write.node("Reshape", places, write.node(
            "Concat", product_of(write, data, 0, batch), write.integers(-1), axis=0
        ))  # fmt: skip
        places = write.node("Add", apart, write.node("Unsqueeze", start, write.integers(1)))
    return write.node("Reshape", places, write.integers(-1))


def scatter_elements(back: Backward) -> Gradients:
    data, indices, updates = inputs_of(back.node, 3)
    return _Scatter(back, data, indices, updates, back.y, back.dy).gradients()


def scatter_nd(back: Backward) -> Gradients:
    """As ScatterElements of rows."""
    data, indices, updates = inputs_of(back.node, 3)
    write = back.write
    first = fixed_size(indices, known_rank(indices) - 1, "its indices")
    width = product_of(write, data, first, known_rank(data))
    shape = _row_shape(write, width)

    def rows(value: ir.Value) -> ir.Value:
        return write.node("Reshape", value, shape)

    places = write.node("Unsqueeze", _rows(write, data, indices, 0), write.integers(1))
    places = write.node("Expand", places, write.node("Concat", write.integers(1), width, axis=0))
    scatter = _Scatter(back, rows(data), places, rows(updates), rows(back.y), rows(back.dy), axis=0)
    return [
        None if gradient is None else reshaped_like(write, gradient, value)
        for gradient, value in zip(scatter.gradients(), (data, indices, updates))
    ]


class _Scatter:
    """The gradients of a ScatterElements by its data and its updates, as PyTorch's scatter_reduce has them."""

    def __init__(
        self,
        back: Backward,
        data: ir.Value,
        indices: ir.Value,
        updates: ir.Value,
        y: ir.Value,
        dy: ir.Value,
        axis: int | None = None,
    ) -> None:
        self._back, self._write = back, back.write
        self._data, self._indices, self._updates = data, indices, updates
        self._y, self._dy = y, dy
        self._axis = integer(back.node, "axis", 0) if axis is None else axis

    def gradients(self) -> Gradients:
        reduction = text(self._back.node, "reduction", "none")
        if reduction == "mul":
            return self._back.each(self._product_of_data, None, self._product_of_update)
        if reduction in ("max", "min"):
            share, of_data, of_update = self._shares()
            node = self._write.node
            return self._back.each(
                lambda: node("Mul", of_data, share),
                None,
                lambda: node("Mul", of_update, self._gathered(share)),
            )
        return self._back.each(
            lambda: self._dy if reduction == "add" else self._overwritten(),
            None,
            lambda: self._gathered(self._dy),
        )

    def _gathered(self, value: ir.Value) -> ir.Value:
        return self._write.node("GatherElements", value, self._indices, axis=self._axis)

    def _scattered(self, onto: ir.Value, values: ir.Value, reduction: str) -> ir.Value:
        return self._write.node(
            "ScatterElements", onto, self._indices, values, axis=self._axis, reduction=reduction
        )

    def _filled(self, like: ir.Value, number: float) -> ir.Value:
        tensor = ir.tensor(np.array([number], np.float32))
        return self._write.node("ConstantOfShape", self._write.node("Shape", like), value=tensor)

    def _overwritten(self) -> ir.Value:
        """dY less what went to the updates."""
        return self._scattered(self._dy, self._filled(self._indices, 0), "none")

    def _product_of_data(self) -> ir.Value:
        """dY times all updates of the place."""
        factors = self._scattered(self._filled(self._data, 1), self._updates, "mul")
        return self._write.node("Mul", self._dy, factors)

    def _product_of_update(self) -> ir.Value:
        """dY times the datum and the other updates of the place: the product of those that are not 0."""
        write, node = self._write, self._write.node
        is_zero = node("Equal", self._updates, write.scalar(0))
        zero = write.cast(is_zero, "float32")
        filled = node("Where", is_zero, write.scalar(1), self._updates)
        zeros = self._gathered(self._scattered(self._filled(self._data, 0), zero, "add"))
        product = node("Mul", self._dy, self._scattered(self._data, filled, "mul"))
        none = node("Equal", node("Sub", zeros, zero), write.scalar(0))  # of the other updates
        others = node("Div", self._gathered(product), filled)
        return node("Where", none, others, write.scalar(0))

    def _shares(self) -> Sequence[ir.Value]:
        """dY in equal parts for all that are the extremum; which of the data, and of the updates are."""
        write, node = self._write, self._write.node
        of_data = write.cast(node("Equal", self._data, self._y), "float32")
        of_update = write.cast(node("Equal", self._updates, self._gathered(self._y)), "float32")
        share = node("Div", self._dy, self._scattered(of_data, of_update, "add"))
        return share, of_data, of_update


def max_unpool(back: Backward) -> Gradients:
    places = inputs_of(back.node, 2)[1]
    flat = back.write.node("Reshape", back.dy, back.write.integers(-1))
    return [back.write.node("Gather", flat, places)]


def one_hot(back: Backward) -> Gradients:
    """The values are that of the others and that of the place."""
    indices, depth, _ = inputs_of(back.node, 3)
    write = back.write
    zero_one = write.constant(np.array([0, 1], np.float32))
    axis = integer(back.node, "axis", -1)
    hot = write.node("OneHot", indices, depth, zero_one, axis=axis)
    flat = write.integers(1)

    def total(value: ir.Value) -> ir.Value:
        return write.node("Reshape", write.node("ReduceSum", value, keepdims=0), flat)

    on = total(write.node("Mul", back.dy, hot))
    off = write.node("Sub", total(back.dy), on)
    return [None, None, write.node("Concat", off, on, axis=0)]


SCATTERING: dict[str, GradientRule] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "MaxUnpool": max_unpool,
    "OneHot": one_hot,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
}
