"""Operators in the forms that real files have, by either differentiator beside central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx


def einsum(
    equation: str, x: tuple[int, ...], *weights: tuple[int, ...], y: tuple[Any, ...]
) -> onnx.ModelProto:
    """x (batch, ...) and weights, by an equation."""
    net = Network()
    names = [net.weight(f"w{place}", *shape, scale=0.7) for place, shape in enumerate(weights)]
    net.node("Tanh", net.node("Einsum", "x", *names, equation=equation), output="y")
    return net.model({"x": ("batch", *x)}, {"y": ("batch", *y)})


def of_one(equation: str, y: tuple[Any, ...]) -> onnx.ModelProto:
    """An Einsum of one operand, (batch, 3, 3)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 3, 3))
    net.node("Einsum", value, equation=equation, output="y")
    return net.model({"x": ("batch", 3, 3)}, {"y": ("batch", *y)})


def flipped(
    start: list[int], end: list[int], axes: list[int], steps: list[int], y: tuple[Any, ...]
) -> onnx.ModelProto:
    """Part of (batch, 6, 4), backwards."""
    net = Network()
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 3, 4)))
    bounds = [
        net.constant(f"b{i}", np.array(each)) for i, each in enumerate((start, end, axes, steps))
    ]
    net.node("Slice", value, *bounds, output="y")
    return net.model({"x": ("batch", 6, 3)}, {"y": y})


def by_vector(
    x: tuple[Any, ...], size: int, y: tuple[Any, ...], *, first: bool = False
) -> onnx.ModelProto:
    """A matrix product of data and a vector."""
    net = Network()
    operands = [net.node("Tanh", "x"), net.weight("v", size)]
    net.node("Tanh", net.node("MatMul", *(reversed(operands) if first else operands)), output="y")
    return net.model({"x": x}, {"y": y})


def pooled(size: Any, y: Any, **attributes: Any) -> onnx.ModelProto:
    net = Network()
    value = net.node("Conv", "x", net.weight("w", 4, 2, 3, 3, scale=1.0), pads=[1] * 4)
    net.node("MaxPool", value, output="y", **attributes)
    return net.model({"x": ("batch", 2, size, size)}, {"y": ("batch", 4, y, y)})


def split(
    read: list[int], outputs: int, width: int, *sizes: int, named: bool = False
) -> onnx.ModelProto:
    """The sums of some parts of (batch, width)."""
    net = Network()
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 3, width)))
    if sizes:
        net.node("Split", value, net.constant("sizes", np.array(sizes)), axis=1)
    else:
        net.node("Split", value, axis=1, num_outputs=outputs)
    net.nodes[-1].output[:] = [f"p{i}" if named or i in read else "" for i in range(outputs)]
    axis = net.constant("axis", np.array([1]))
    sums = [net.node("ReduceSum", f"p{place}", axis) for place in read]
    net.node("Concat", *sums, axis=1, output="y")
    return net.model({"x": ("batch", 3)}, {"y": ("batch", len(read))}, 18)


def size_of_a_part() -> onnx.ModelProto:
    """A Split of whose second part only the size is read."""
    net = Network()
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 3, 6)))
    net.node("Split", value, net.constant("sizes", np.array([4, 2])), axis=1)
    net.nodes[-1].output[:] = ["p0", "p1"]
    size = net.node("Gather", net.node("Shape", "p1"), net.constant("one", np.array(1)))
    net.node("Mul", "p0", net.node("Cast", size, to=onnx.TensorProto.FLOAT), output="y")
    return net.model({"x": ("batch", 3)}, {"y": ("batch", 4)})


def resized(mode: str, *, by_scales: bool) -> onnx.ModelProto:
    """An image, twice as large: by scales or sizes that are computed from its shape."""
    net = Network()
    value = net.node("Conv", "x", net.weight("w", 3, 2, 3, 3, scale=1.0), pads=[1] * 4)
    shape = net.node("Shape", value)
    bounds = [net.constant(f"at{i}", np.array([i])) for i in (0, 2, 4)]
    first, sides = (net.node("Slice", shape, *bounds[i : i + 2]) for i in (0, 1))
    larger = net.node("Mul", sides, net.constant("two", np.array([2])))
    if by_scales:
        both = [net.node("Cast", each, to=onnx.TensorProto.FLOAT) for each in (larger, sides)]
        ones = net.constant("ones", np.ones(2, np.float32))
        inputs = ["", net.node("Concat", ones, net.node("Div", *both), axis=0)]
    else:
        inputs = ["", "", net.node("Concat", first, larger, axis=0)]
    net.node("Resize", value, *inputs, mode=mode, output="y")
    return net.model({"x": ("batch", 2, "h", "w")}, {"y": ("batch", 3, "a", "b")})


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "Einsum of three": lambda: einsum("bi,ij,jk->bk", (3,), (3, 4), (4, 2), y=(2,)),
    "Einsum of four, no result given": lambda: einsum(
        "bi,ij,jk,kl", (3,), (3, 4), (4, 2), (2, 3), y=(3,)
    ),
    "Einsum with an ellipsis": lambda: einsum("...i,ij->...j", (5, 3), (3, 4), y=(5, 4)),
    "Einsum with spaces": lambda: einsum("b i, i j, j -> b", (3,), (3, 4), (4,), y=()),
    "Einsum of a diagonal": lambda: einsum("bi,ii->bi", (3,), (3, 3), y=(3,)),
    "Einsum of a product by elements": lambda: einsum("bi,i,i->bi", (3,), (3,), (3,), y=(3,)),
    "Einsum of one": lambda: of_one("bij->bji", (3, 3)),
    "Einsum of one, its diagonal": lambda: of_one("b i i -> b i", (3,)),
    "Slice backwards": lambda: flipped([-1], [-9999], [1], [-1], ("batch", 6, 4)),
    "Slice backwards on two axes": lambda: flipped(
        [5, 3], [0, -5], [1, 2], [-3, -1], ("batch", 2, 4)
    ),
    "Slice of the batch": lambda: flipped([-1], [-(2**31)], [0], [-1], ("batch", 6, 4)),
    "MatMul by a vector": lambda: by_vector(("batch", 5), 5, ("batch",)),
    "MatMul of three axes by a vector": lambda: by_vector(("batch", 4, 5), 5, ("batch", 4)),
    "MatMul of a vector by three axes": lambda: by_vector(
        ("batch", 4, 5), 4, ("batch", 5), first=True
    ),
    "MaxPool, ceil_mode": lambda: pooled(7, 4, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool, ceil_mode, open": lambda: pooled(
        "size", "half", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1
    ),
    "MaxPool, SAME_UPPER": lambda: pooled(
        7, 4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "MaxPool, SAME_LOWER": lambda: pooled(
        8, 4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "Split, one left out": lambda: split([0, 2], 3, 6, 2, 3, 1),
    "Split, two not read": lambda: split([1], 3, 6, 2, 3, 1, named=True),
    "Split that does not divide": lambda: split([0, 3], 4, 7),
    "Split, the size of a part": size_of_a_part,
    "Resize by computed scales": lambda: resized("linear", by_scales=True),
    "Resize by computed sizes": lambda: resized("nearest", by_scales=False),
}


@pytest.mark.parametrize("differentiator", ["auto", "own"])
@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_trained_with_the_right_gradient(name: str, differentiator: str) -> None:
    model = MODELS[name]()
    found = svgd_onnx.check(model, loss="mse", differentiator=differentiator, directions=1)
    (weights,) = (prop.value.split("\n") for prop in model.metadata_props)
    assert {each.parameter for each in found} == {*weights}
    assert max(each.error for each in found) < 1e-5
