"""Which quantized weights have a scale of their own, that may be found anew once they are trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.rule import input_of


@dataclass(frozen=True)
class OwnScale:
    """The scale of one quantized parameter.

    Attributes:
        value: the initializer.
        follows: the weight whose scale it is a multiple of, as that of a bias is; None for a weight's.
    """

    value: ir.Value
    follows: str | None = None


def own_scales(graph: ir.Graph, parameters: Collection[str]) -> dict[str, OwnScale]:
    """The scales that nothing but one parameter is quantized by, by the parameter's name.

    onnxruntime computes with a weight and its bias in integers, and takes the bias to be in steps of the
    input's scale times the weight's. So the two change together, or neither does.

    Args:
        graph: the model as it came.
        parameters: names of initializers of integers.
    """
    found = {name: scale for name in parameters if (scale := _of(graph, name)) is not None}
    biases: dict[str, set[str]] = {}
    own: dict[str, OwnScale] = {}
    for name, scale in found.items():
        if graph.initializers[name].dtype == ir.DataType.INT32:
            continue
        beside = list(_biases(graph.initializers[name]))
        fits = all(each in found and _size(found[each]) == _size(scale) for each in beside)
        if fits:
            own[name] = OwnScale(scale)
            for each in beside:
                biases.setdefault(each, set()).add(name)
    for bias, weights in biases.items():
        if len(weights) == 1:
            own[bias] = OwnScale(found[bias], *weights)
        else:
            for weight in weights:
                own.pop(weight, None)
    return {name: each for name, each in own.items() if each.follows is None or each.follows in own}


def _of(graph: ir.Graph, name: str) -> ir.Value | None:
    """The float32 scale of an initializer, if it is constant and nothing else is quantized by it."""
    value = graph.initializers.get(name)
    readers = [] if value is None else [node for node, _ in value.uses()]
    scales = {node.inputs[1] for node in readers}
    scale = scales.pop() if len(scales) == 1 else None
    if scale is None or not scale.is_initializer() or scale.graph is not graph:
        return None
    if scale.is_graph_output() or scale.dtype != ir.DataType.FLOAT:
        return None
    return scale if all(node in readers for node, _ in scale.uses()) else None


def _biases(weight: ir.Value) -> Iterator[str]:
    """The initializers that, dequantized, are added to products with a weight."""
    for dequantize, _ in weight.uses():
        for product, position in dequantize.outputs[0].uses():
            bias = input_of(product, 2) if position == 1 else None
            node = None if bias is None else bias.producer()
            if node is not None and node.op_type == "DequantizeLinear" and node.inputs[0]:
                yield node.inputs[0].name or ""


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.size
