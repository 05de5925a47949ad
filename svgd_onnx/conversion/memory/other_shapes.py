"""Shapes of what operators outside of ONNX give: onnxruntime's, and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

Shape = tuple[int, ...]
Found = list[tuple[Sequence[int] | None, int | None]]
"""Of each output its shape, and its element type; None for that of the first input."""
Rule = Callable[[Sequence[Shape | None], Sequence[np.ndarray | None], Mapping[str, Any]], Found]
"""From the shapes of the inputs, the numbers of those that are known, and the attributes."""


def _as_inputs(*places: int, kind: int | None = None) -> Rule:
    """Each output has the shape of an input."""

    def rule(
        shapes: Sequence[Shape | None], sizes: Sequence[np.ndarray | None], _: Mapping[str, Any]
    ) -> Found:
        return [(shapes[place] if place < len(shapes) else None, kind) for place in places]

    return rule


def _stated_by(place: int) -> Rule:
    """The output has the shape that an input says."""

    def rule(
        shapes: Sequence[Shape | None], sizes: Sequence[np.ndarray | None], _: Mapping[str, Any]
    ) -> Found:
        stated = sizes[place]
        return [(None if stated is None else stated.tolist(), TensorProto.FLOAT)]

    return rule


def _windows(sizes: Sequence[int], attributes: Mapping[str, Any]) -> list[int]:
    """How many windows there are along each axis of an image."""
    kernel, pads = attributes["kernel_shape"], attributes["pads"]
    counts = []
    for axis, size in enumerate(sizes):
        reach = (kernel[axis] - 1) * attributes["dilations"][axis] + 1
        room = size + pads[axis] + pads[len(sizes) + axis] - reach
        counts.append(room // attributes["strides"][axis] + 1)
    return counts


def _convolution(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], attributes: Mapping[str, Any]
) -> Found:
    x, weight = shapes[0], shapes[1]
    assert x is not None and weight is not None
    return [((x[0], *_windows(x[1:-1], attributes), weight[0]), None)]


def _convolution_weight(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], attributes: Mapping[str, Any]
) -> Found:
    dy, x = shapes[0], shapes[1]
    assert dy is not None and x is not None
    weight = (dy[-1], x[-1] // attributes["group"], *attributes["kernel_shape"])
    return [(weight, None), ((dy[-1],), None)]


def _attention(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], __: Mapping[str, Any]
) -> Found:
    q, v = shapes[0], shapes[2]
    assert q is not None and v is not None
    return [((*q[:-1], v[-1]), None), (q[:-1], None), (q[:-1], None)]


def _max_pool(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], attributes: Mapping[str, Any]
) -> Found:
    (x,) = shapes
    assert x is not None
    y = (x[0], *_windows(x[1:-1], attributes), x[-1])
    return [(y, None), (y, TensorProto.UINT8)]


def _conv_grad(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], __: Mapping[str, Any]
) -> Found:
    x, weight = shapes[1], shapes[2]
    return [(x, None), (weight, None), (None if weight is None else weight[:1], None)]


def _product(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], given: Mapping[str, Any]
) -> Found:
    """Of matrices, perhaps several."""
    a, b = list(shapes[0] or ()), list(shapes[1] or ())
    if given.get("transBatchA") or given.get("transBatchB") or min(len(a), len(b)) < 2:
        return [(None, None)]
    rows = a[-1] if given.get("transA") else a[-2]
    columns = b[-2] if given.get("transB") else b[-1]
    return [((*np.broadcast_shapes(tuple(a[:-2]), tuple(b[:-2])), rows, columns), None)]


def _of_t(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], __: Mapping[str, Any]
) -> Found:
    """T(dY) and r, the size of r, and dY summed over all axes but its last."""
    dy, r = shapes[0], shapes[1]
    assert dy is not None
    return [(dy, None), (r, None), ((), None), (dy[-1:], None)]


def _factors(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], given: Mapping[str, Any]
) -> Found:
    """T's factors, of r's shape, or in the order of dY; and the rest as T's."""
    dy, r = shapes[0], shapes[1]
    assert dy is not None
    factors = dy[1:] if given.get("channels_last") else r
    return [(factors, None), *_of_t(shapes, _, given)[1:]]


def _joined(
    shapes: Sequence[Shape | None], _: Sequence[np.ndarray | None], attributes: Mapping[str, Any]
) -> Found:
    parts = [shape for shape in shapes if shape is not None]
    axis = attributes["axis"] % len(parts[0])
    joined = list(parts[0])
    joined[axis] = sum(part[axis] for part in parts)
    return [(joined, None), ((len(parts),), TensorProto.INT64)]


def _joined_numbers(
    shapes: Sequence[Shape | None], sizes: Sequence[np.ndarray | None], given: Mapping[str, Any]
) -> list[np.ndarray | None]:
    axis = given["axis"]
    lengths = np.array([shape[axis] for shape in shapes if shape is not None])
    known = [each for each in sizes if each is not None]
    return [np.concatenate(known, axis) if len(known) == len(sizes) else None, lengths]


def _split(
    shapes: Sequence[Shape | None], sizes: Sequence[np.ndarray | None], given: Mapping[str, Any]
) -> Found:
    whole, lengths = shapes[0], sizes[1]
    if whole is None or lengths is None:
        return []
    axis = given.get("axis", 0) % len(whole)
    return [((*whole[:axis], int(each), *whole[axis + 1 :]), None) for each in lengths]


def _repeated_axes(
    shapes: Sequence[Shape | None], sizes: Sequence[np.ndarray | None], _: Mapping[str, Any]
) -> list[np.ndarray | None]:
    """The axes that each of two shapes is repeated along to be as the other."""
    a, b = (None if each is None else each.tolist() for each in sizes[:2])
    if a is None or b is None:
        return []
    rank = max(len(a), len(b))
    a, b = ([1] * (rank - len(each)) + each for each in (a, b))
    return [
        np.array([axis for axis in range(rank) if of[axis] == 1 != other[axis]], np.int64)
        for of, other in ((a, b), (b, a))
    ]


_SAME = _as_inputs(0)
OTHER_OPERATORS: Mapping[str, Rule] = {
    "AdaptiveDescent": _as_inputs(0, 1, 0, 0),
    "AddRows": _SAME,
    "BatchNormInternal": _as_inputs(0, 3, 4, 3, 4),
    "BatchNormalizationGrad": _as_inputs(1, 2, 2),
    "BatchNormalizationGradient": _as_inputs(0, 2, 2),
    "BatchNormalizationTraining": _as_inputs(0, 3, 4, 3, 4),
    "BiasGelu": _SAME,
    "BroadcastGradientArgs": lambda *_: [],
    "ConcatTraining": _joined,
    "DivGrad": _as_inputs(1, 2),
    "ConvGrad": _conv_grad,
    "Convolution": _convolution,
    "ConvolutionInputGradient": _stated_by(2),
    "ConvolutionWeightGradient": _convolution_weight,
    "CrossEntropyGradient": _as_inputs(1),
    "Descent": _as_inputs(0, 1),
    "DescentOfRows": _SAME,
    "DropoutGrad": _SAME,
    "EluGrad": _SAME,
    "FastGelu": _SAME,
    "FastGeluGrad": _SAME,
    "FiniteLoss": _SAME,
    "FusedMatMul": _product,
    "GatherElementsGrad": _stated_by(1),
    "GatherGrad": _stated_by(0),
    "Gelu": _SAME,
    "GeluGrad": _SAME,
    "GeluGradient": _SAME,
    "GradientFactor": _factors,
    "InPlaceAccumulatorV2": lambda *_: [((1,), TensorProto.BOOL)],
    "LayerNormalizationGrad": _as_inputs(1, 2, 2),
    "LayerNormalizationGradient": _as_inputs(1, 2, 2),
    "LeakyReluGrad": _SAME,
    "LogSoftmaxGrad_13": _SAME,
    "MatrixProduct": _product,
    "LogisticUnitGradient": _SAME,
    "MaxPoolGradient": _stated_by(2),
    "MaxPoolWithPlaces": _max_pool,
    "QuickGelu": _SAME,
    "QuickGeluGrad": _SAME,
    "ReluGrad": _SAME,
    "ReluGradient": _SAME,
    "Scale": _SAME,
    "ScaledDotProductAttention": _attention,
    "ScaledDotProductAttentionGradient": _as_inputs(1, 2, 3),
    "SigmoidGrad": _SAME,
    "SliceGrad": _stated_by(1),
    "SplitTraining": _split,
    "SoftmaxCrossEntropyLossGrad": _as_inputs(1),
    "SoftmaxGrad_13": _SAME,
    "SoftmaxGradient": _SAME,
    "TanhGrad": _SAME,
    "VirtualGradient": _of_t,
}

Numbers = Callable[
    [Sequence[Shape | None], Sequence[np.ndarray | None], Mapping[str, Any]],
    list[np.ndarray | None],
]
OTHER_NUMBERS: Mapping[str, Numbers] = {
    "BroadcastGradientArgs": _repeated_axes,
    "ConcatTraining": _joined_numbers,
}
"""Of operators whose outputs are sizes, these."""
