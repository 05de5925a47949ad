"""MaxPool with the places of the maxima, and its gradient."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.convolutions import last_sizes
from svgd_onnx.transforms.channels_last.layout import FEWEST_AXES, Last, Layout, Rule, Written
from svgd_onnx.transforms.channels_last.windows import window_attributes
from svgd_onnx.transforms.rule import (
    RefusedError,
    inputs_of,
    integer,
    integers,
    known_rank,
    static_shape,
)

MAX_POOL, MAX_POOL_GRADIENT = "MaxPoolWithPlaces", "MaxPoolGradient"

_GRADIENT = "MaxPoolGrad"
_MOST_AXES, _MOST_ELEMENTS = 5, 255


def _attributes(node: ir.Node) -> dict[str, list[int]]:
    """The operators' own attributes, each of which is given.

    Raises:
        RefusedError: the operators do not take the window.
    """
    kernel = integers(node, "kernel_shape", ())
    if prod(kernel) > _MOST_ELEMENTS:
        raise RefusedError("its window is too large")
    return window_attributes(node, kernel)


def _max_pool(node: ir.Node, layout: Layout) -> Written:
    """The places are of our own kind: nothing else than gradients may read them."""
    (x,) = inputs_of(node, 1)
    rank = known_rank(x)
    if not FEWEST_AXES <= rank <= _MOST_AXES:
        raise RefusedError(f"it has {rank} axes")
    if x.dtype not in (None, ir.DataType.FLOAT):
        raise RefusedError(f"it is of {x.dtype}")
    attributes = _attributes(node)
    if integer(node, "ceil_mode", 0) and not _is_rounded_down(node, x, attributes):
        raise RefusedError("its last windows lie beyond the image")
    places = node.outputs[1] if len(node.outputs) > 1 else None
    if places is not None and (
        places.is_graph_output()
        or any(
            reader.op_type != _GRADIENT or reader.graph is not node.graph
            for reader, _ in places.uses()
        )
    ):
        raise RefusedError("its places are read")
    y, of_maxima = layout.operator(MAX_POOL, [layout.last(x)], attributes, 2)
    of_maxima.type = ir.TensorType(ir.DataType.UINT8)
    if places is not None:
        layout.pooled[places] = x
    return [Last(y), None if places is None else Last(of_maxima)]


def _is_rounded_down(node: ir.Node, x: ir.Value, attributes: dict[str, list[int]]) -> bool:
    """Whether windows that lie inside are as many as there are."""
    before, after = static_shape(x, 2), static_shape(node.outputs[0], 2)
    if before is None or after is None:
        return False
    pads = attributes["pads"]
    for index, (size, found) in enumerate(zip(before, after)):
        reach = (attributes["kernel_shape"][index] - 1) * attributes["dilations"][index] + 1
        room = size + pads[index] + pads[len(before) + index] - reach
        if room // attributes["strides"][index] + 1 != found:
            return False
    return True


def _gradient(node: ir.Node, layout: Layout) -> Written:
    gradient, places = inputs_of(node, 2)
    x = layout.pooled.get(places)
    if x is None:
        raise RefusedError("its places are of ONNX's kind")
    forward = places.producer()
    assert forward is not None
    dy = layout.last(gradient)
    inputs = [dy, layout.last(places), last_sizes(layout, x, dy)]
    (dx,) = layout.operator(MAX_POOL_GRADIENT, inputs, _attributes(forward))
    return [Last(dx)]


POOLING: dict[str, Rule] = {"MaxPool": _max_pool, _GRADIENT: _gradient}
