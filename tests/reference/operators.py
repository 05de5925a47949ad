"""The operators: OPERATORS maps an ONNX op type to its rule.

A rule takes the node's attributes and inputs and returns an `Evaluation`: the outputs, and for each
input the function that turns the gradient of output 0, dy, into the gradient of that input (its
vector-Jacobian product). One function an input, so that a weight can be fed another dy than the
activation beside it. The attributes hold one entry more than the node's: "opset", the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .windows import Windows

Array = np.ndarray
Attributes = Mapping[str, Any]
Backward = Callable[[Array], Array]


@dataclass(frozen=True)
class Evaluation:
    """A node's outputs, and its backward function for each input (None: no gradient)."""

    outputs: tuple[Array, ...]
    backward: tuple[Backward | None, ...]


Rule = Callable[..., Evaluation]


def single(y: Array, *backward: Backward | None) -> Evaluation:
    """The evaluation of a node with one output; inputs past the last function have no gradient."""
    return Evaluation((np.asarray(y),), backward)


def real(x: Array) -> Array:
    """x (...) in float64 if it is of a floating type, else as it is."""
    return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x


def unbroadcast(dy: Array, shape: tuple[int, ...]) -> Array:
    """dy (a broadcast of `shape`) -> its sum over the broadcast axes, `shape`."""
    dy = dy.sum(axis=tuple(range(dy.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and dy.shape[i] != 1)
    return dy.sum(axis=stretched, keepdims=True)


def reshaped(x: Array, shape: tuple[int, ...]) -> Evaluation:
    """x (...) -> `shape`, in the same order."""
    return single(x.reshape(shape), lambda dy: dy.reshape(x.shape))


# --- element by element ---------------------------------------------------------------------------


def add(_: Attributes, a: Array, b: Array) -> Evaluation:
    """a, b broadcast to y."""
    return single(
        a + b,
        lambda dy: unbroadcast(dy, a.shape),
        lambda dy: unbroadcast(dy, b.shape),
    )


def sub(_: Attributes, a: Array, b: Array) -> Evaluation:
    """a, b broadcast to y."""
    return single(
        a - b,
        lambda dy: unbroadcast(dy, a.shape),
        lambda dy: unbroadcast(-dy, b.shape),
    )


def mul(_: Attributes, a: Array, b: Array) -> Evaluation:
    """a, b broadcast to y."""
    return single(
        a * b,
        lambda dy: unbroadcast(dy * b, a.shape),
        lambda dy: unbroadcast(dy * a, b.shape),
    )


def div(_: Attributes, a: Array, b: Array) -> Evaluation:
    """a, b broadcast to y; integers divide towards zero."""
    if np.issubdtype(a.dtype, np.integer):
        return single(np.trunc(a / b).astype(a.dtype))
    return single(
        a / b,
        lambda dy: unbroadcast(dy / b, a.shape),
        lambda dy: unbroadcast(-dy * a / b**2, b.shape),
    )


def relu(_: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...); the gradient at 0 is 0."""
    return single(np.maximum(x, 0.0), lambda dy: dy * (x > 0.0))


def sigmoid(_: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...)."""
    y = 0.5 * (1.0 + np.tanh(0.5 * x))
    return single(y, lambda dy: dy * y * (1.0 - y))


def tanh(_: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...)."""
    y = np.tanh(x)
    return single(y, lambda dy: dy * (1.0 - y**2))


def identity(_: Attributes, x: Array, *__: Array | None) -> Evaluation:
    """x (...) -> (...): Identity, and Dropout that drops nothing."""
    return single(x, lambda dy: dy)


def cast(attributes: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...); every floating type stands for float64."""
    y = real(x.astype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]), copy=False))
    both = np.issubdtype(x.dtype, np.floating) and np.issubdtype(y.dtype, np.floating)
    return single(x, lambda dy: dy) if both else single(y)


# --- products -------------------------------------------------------------------------------------


def gemm(attributes: Attributes, a: Array, b: Array, c: Array | None = None) -> Evaluation:
    """a' (M, K), b' (K, N), c broadcast to (M, N) -> (M, N); a', b' transposed where asked."""
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    turn_a, turn_b = attributes.get("transA", 0), attributes.get("transB", 0)
    left, right = a.T if turn_a else a, b.T if turn_b else b

    def backward_a(dy: Array) -> Array:
        d_left = alpha * dy @ right.T
        return d_left.T if turn_a else d_left

    def backward_b(dy: Array) -> Array:
        d_right = alpha * left.T @ dy
        return d_right.T if turn_b else d_right

    product = alpha * left @ right
    if c is None:
        return single(product, backward_a, backward_b)
    return single(
        product + beta * c,
        backward_a,
        backward_b,
        lambda dy: unbroadcast(beta * dy, c.shape),
    )


def matmul(_: Attributes, a: Array, b: Array) -> Evaluation:
    """a (..., M, K), b (..., K, N) -> (..., M, N), batches broadcast; a (K), b (K) allowed."""
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    full = (left @ right).shape

    def backward_a(dy: Array) -> Array:
        product = dy.reshape(full) @ np.swapaxes(right, -1, -2)
        return unbroadcast(product, left.shape).reshape(a.shape)

    def backward_b(dy: Array) -> Array:
        product = np.swapaxes(left, -1, -2) @ dy.reshape(full)
        return unbroadcast(product, right.shape).reshape(b.shape)

    return single(a @ b, backward_a, backward_b)


def conv(attributes: Attributes, x: Array, w: Array, bias: Array | None = None) -> Evaluation:
    """x (N, C, *in), w (M, C/G, *kernel), bias (M) -> (N, M, *out), G the number of groups."""
    groups = attributes.get("group", 1)
    batch, spatial, kernel = len(x), x.shape[2:], w.shape[2:]
    rank = len(spatial)
    windows = Windows.of(attributes, spatial, kernel)
    padded = windows.pad(x)
    out = windows.view(padded).shape[2 : 2 + rank]
    matrix = w.reshape(groups, len(w) // groups, -1)  # (G, M/G, C/G * kernel)

    def columns() -> Array:
        """The windows as (G, C/G * kernel, N * out)."""
        view = windows.view(padded)
        view = view.reshape(batch, groups, -1, *view.shape[2:]) if groups > 1 else view[:, None]
        axes = (1, 2, *range(3 + rank, 3 + 2 * rank), 0, *range(3, 3 + rank))
        return view.transpose(axes).reshape(groups, matrix.shape[2], -1)

    def rows(dy: Array) -> Array:
        """dy (N, M, *out) as (G, M/G, N * out)."""
        return np.swapaxes(dy, 0, 1).reshape(groups, matrix.shape[1], -1)

    def backward_x(dy: Array) -> Array:
        d_columns = np.swapaxes(matrix, 1, 2) @ rows(dy)
        split = d_columns.reshape(x.shape[1], *kernel, batch, *out)
        axes = (1 + rank, 0, *range(2 + rank, 2 + 2 * rank), *range(1, 1 + rank))
        return windows.scatter(split.transpose(axes), spatial)

    def backward_w(dy: Array) -> Array:
        return (rows(dy) @ np.swapaxes(columns(), 1, 2)).reshape(w.shape)

    y = np.swapaxes((matrix @ columns()).reshape(len(w), batch, *out), 0, 1)
    if bias is None:
        return single(y, backward_x, backward_w)
    return single(
        y + bias.reshape(-1, *(1,) * rank),
        backward_x,
        backward_w,
        lambda dy: dy.sum(axis=(0, *range(2, dy.ndim))),
    )


# --- normalization --------------------------------------------------------------------------------


def batch_normalization(
    attributes: Attributes, x: Array, scale: Array, bias: Array, mean: Array, var: Array
) -> Evaluation:
    """x (N, C, ...), the others (C) -> y (N, C, ...), new mean (C), new var (C); training mode."""
    axes = (0, *range(2, x.ndim))
    momentum = attributes.get("momentum", 0.9)
    batch_mean, batch_var = x.mean(axes), x.var(axes)

    def wide(v: Array) -> Array:
        """v (C) -> (C, 1, ...), which broadcasts against x."""
        return v.reshape(-1, *(1,) * (x.ndim - 2))

    inverse = 1.0 / np.sqrt(batch_var + attributes.get("epsilon", 1e-5))
    normal = (x - wide(batch_mean)) * wide(inverse)

    def backward_x(dy: Array) -> Array:
        centred = dy - wide(dy.mean(axes)) - normal * wide((dy * normal).mean(axes))
        return wide(scale * inverse) * centred

    return Evaluation(
        (
            normal * wide(scale) + wide(bias),
            momentum * mean + (1.0 - momentum) * batch_mean,
            momentum * var + (1.0 - momentum) * batch_var,
        ),
        (backward_x, lambda dy: (dy * normal).sum(axes), lambda dy: dy.sum(axes)),
    )


def rows_of_softmax(attributes: Attributes, x: Array) -> tuple[Array, int]:
    """x and the axis to normalize; before opset 13 all axes from `axis` on are one: x (..., D)."""
    if attributes["opset"] >= 13:
        return x, attributes.get("axis", -1)
    axis = attributes.get("axis", 1) % x.ndim
    return x.reshape(*x.shape[:axis], -1), -1


def log_sum_exp(x: Array, axis: int) -> Array:
    """x (..., D, ...) -> (..., 1, ...)."""
    top = x.max(axis, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis, keepdims=True))


def softmax(attributes: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...)."""
    flat, axis = rows_of_softmax(attributes, x)
    y = np.exp(flat - log_sum_exp(flat, axis))

    def backward(dy: Array) -> Array:
        dy = dy.reshape(y.shape)
        return (y * (dy - (dy * y).sum(axis, keepdims=True))).reshape(x.shape)

    return single(y.reshape(x.shape), backward)


def log_softmax(attributes: Attributes, x: Array) -> Evaluation:
    """x (...) -> (...)."""
    flat, axis = rows_of_softmax(attributes, x)
    y = flat - log_sum_exp(flat, axis)

    def backward(dy: Array) -> Array:
        dy = dy.reshape(y.shape)
        return (dy - np.exp(y) * dy.sum(axis, keepdims=True)).reshape(x.shape)

    return single(y.reshape(x.shape), backward)


# --- pooling and means ----------------------------------------------------------------------------


def max_pool(attributes: Attributes, x: Array) -> Evaluation:
    """x (N, C, *in) -> (N, C, *out); of equal maxima the first takes the gradient."""
    spatial = x.shape[2:]
    windows = Windows.of(attributes, spatial, attributes["kernel_shape"])
    view = windows.view(windows.pad(x, -np.inf))
    flat = view.reshape(*view.shape[: x.ndim], -1)
    chosen = flat.argmax(-1)[..., None]

    def backward(dy: Array) -> Array:
        columns = np.zeros(flat.shape)
        np.put_along_axis(columns, chosen, dy[..., None], -1)
        return windows.scatter(columns.reshape(view.shape), spatial)

    return single(np.take_along_axis(flat, chosen, -1)[..., 0], backward)


def average_pool(attributes: Attributes, x: Array) -> Evaluation:
    """x (N, C, *in) -> (N, C, *out)."""
    spatial = x.shape[2:]
    windows = Windows.of(attributes, spatial, attributes["kernel_shape"])
    axes = tuple(range(x.ndim, x.ndim + len(spatial)))
    outside = float(attributes.get("count_include_pad", 0))
    counts = windows.view(windows.pad(np.ones((1, 1, *spatial)), outside)).sum(axes)
    view = windows.view(windows.pad(x))

    def backward(dy: Array) -> Array:
        columns = np.expand_dims(dy / counts, axes)
        return windows.scatter(np.broadcast_to(columns, view.shape), spatial)

    return single(view.sum(axes) / counts, backward)


def mean_over(x: Array, axes: tuple[int, ...], keepdims: bool) -> Evaluation:
    """x (...) -> its mean over `axes`."""
    wide = x.mean(axes, keepdims=True)

    def backward(dy: Array) -> Array:
        return np.broadcast_to(dy.reshape(wide.shape) * (wide.size / x.size), x.shape)

    return single(wide if keepdims else wide.squeeze(axes), backward)


def global_average_pool(_: Attributes, x: Array) -> Evaluation:
    """x (N, C, *in) -> (N, C, 1, ...)."""
    return mean_over(x, tuple(range(2, x.ndim)), keepdims=True)


def axes_of(attributes: Attributes, axes: Array | None) -> tuple[int, ...]:
    """The axes named by an attribute (older opsets) or by an input (A); empty where none are."""
    named = attributes.get("axes", ()) if axes is None else axes
    return tuple(int(axis) for axis in named)


def reduce_mean(attributes: Attributes, x: Array, axes: Array | None = None) -> Evaluation:
    """x (...), axes (A) -> x's mean over them, over all where none are named."""
    named = axes_of(attributes, axes)
    if not named and attributes.get("noop_with_empty_axes", 0):
        return identity(attributes, x)
    return mean_over(x, named or tuple(range(x.ndim)), bool(attributes.get("keepdims", 1)))


# --- shapes ---------------------------------------------------------------------------------------


def flatten(attributes: Attributes, x: Array) -> Evaluation:
    """x (d0, ..., dn) -> (d0 * ... * d[axis-1], d[axis] * ... * dn)."""
    axis = attributes.get("axis", 1)
    rows = int(np.prod(x.shape[:axis]))
    return reshaped(x, (rows, x.size // rows))


def reshape(attributes: Attributes, x: Array, shape: Array) -> Evaluation:
    """x (...), shape (R) -> shape; 0 keeps x's axis, -1 is inferred."""
    keep = not attributes.get("allowzero", 0)
    return reshaped(
        x, tuple(x.shape[i] if n == 0 and keep else int(n) for i, n in enumerate(shape))
    )


def squeeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Evaluation:
    """x (...), axes (A) -> x without them, without every axis of length 1 where none are named."""
    return reshaped(x, np.squeeze(x, axes_of(attributes, axes) or None).shape)


def unsqueeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Evaluation:
    """x (...), axes (A) -> x with axes of length 1 at these places of the result."""
    return reshaped(x, np.expand_dims(x, axes_of(attributes, axes)).shape)


def transpose(attributes: Attributes, x: Array) -> Evaluation:
    """x (d0, ..., dn) -> (d[perm[0]], ..., d[perm[n]]), reversed where perm is not given."""
    order = tuple(attributes.get("perm") or reversed(range(x.ndim)))
    return single(x.transpose(order), lambda dy: dy.transpose(np.argsort(order)))


def concat(attributes: Attributes, *parts: Array) -> Evaluation:
    """parts (..., d_i, ...) -> (..., sum of d_i, ...)."""
    axis = attributes["axis"]
    ends = np.cumsum([part.shape[axis] for part in parts])

    def backward(i: int) -> Backward:
        return lambda dy: np.split(dy, ends[:-1], axis)[i]

    return single(np.concatenate(parts, axis), *map(backward, range(len(parts))))


def pad(
    attributes: Attributes,
    x: Array,
    pads: Array | None = None,
    value: Array | None = None,
    axes: Array | None = None,
) -> Evaluation:
    """x (d0, ..., dn), pads (2A), axes (A) -> (begin_i + d_i + end_i, ...), a constant around x."""
    if attributes.get("mode", "constant") != "constant":
        raise NotImplementedError("Pad other than constant")
    both = attributes["pads"] if pads is None else pads.tolist()
    fill = attributes.get("value", 0.0) if value is None else value.item()
    width = [(0, 0)] * x.ndim
    half = len(both) // 2
    for i, axis in enumerate(range(x.ndim) if axes is None else axes):
        width[int(axis)] = (both[i], both[half + i])
    inside = tuple(slice(begin, begin + n) for (begin, _), n in zip(width, x.shape))
    return single(np.pad(x, width, constant_values=fill), lambda dy: dy[inside])


def gather(attributes: Attributes, x: Array, indices: Array) -> Evaluation:
    """x (..., D, ...), indices (...) -> (..., *indices, ...)."""
    axis = attributes.get("axis", 0) % x.ndim
    place = (slice(None),) * axis + (indices,)

    def backward(dy: Array) -> Array:
        dx = np.zeros(x.shape)
        np.add.at(dx, place, dy)
        return dx

    return single(x[place], backward)


def shape_of(attributes: Attributes, x: Array) -> Evaluation:
    """x (d0, ..., dn) -> its shape (n + 1), or the part of it from start to end."""
    whole = np.asarray(x.shape, dtype=np.int64)
    return single(whole[attributes.get("start") : attributes.get("end")])


CONSTANTS: dict[str, Callable[[Any], Array]] = {
    "value": numpy_helper.to_array,
    "value_float": np.float64,
    "value_floats": np.float64,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def constant(attributes: Attributes) -> Evaluation:
    """-> the tensor that the attribute holds (...)."""
    name = next(name for name in CONSTANTS if name in attributes)
    return single(real(np.asarray(CONSTANTS[name](attributes[name]))))


OPERATORS: dict[str, Rule] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Concat": concat,
    "Constant": constant,
    "Conv": conv,
    "Div": div,
    "Dropout": identity,
    "Flatten": flatten,
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LogSoftmax": log_softmax,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": mul,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Sub": sub,
    "Tanh": tanh,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
