"""Multiply the loss's gradient, and divide what T sees and what parameters get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.step_names import LOSS, LOSS_SCALE
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.optimizers.loss_scale import LossScale
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.virtualize.operator_t import OP_TYPE, is_t
from svgd_onnx.transforms.writer import Writer, take_place


class ScaleLoss(ir.passes.InPlacePass):
    """Scales gradients on their way, from the loss to the parameters.

    The gradient of the loss is multiplied by the scale; T reads dY divided by it, and what T gives is
    multiplied again, so that r is of the gradient as it is; gradients of parameters are divided. So
    nothing is other than without, but for what float16 rounds in between.

    Args:
        parameters: those that have a gradient.
        scale: how much.

    Requires: the loss and each gradient are outputs, T is one node.
    Ensures: they still are; a dynamic scale is an input, `LOSS_SCALE`.
    """

    def __init__(self, parameters: Sequence[str], scale: LossScale) -> None:
        super().__init__()
        self._parameters = list(parameters)
        self._scale = scale

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, [LOSS, *map(gradient_name, self._parameters)])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        one = graph.initializers[gradient_name(LOSS)]
        readers = list(one.uses())
        write = Writer("svgd.scaled", graph.opset_imports[""])
        if self._scale.is_dynamic:
            scale = ir.val(LOSS_SCALE, ir.DataType.FLOAT, [])
            graph.inputs.append(scale)
            inverse = write.node("Div", write.scalar(1.0), scale)
        else:
            scale = write.scalar(self._scale.initial)
            inverse = write.scalar(1.0 / np.float32(self._scale.initial))
        start = _times(write, one, scale)
        write.insert_before(graph, graph[0])
        for node, place in readers:
            node.replace_input_with(place, start)
        unscaled: dict[ir.Value, ir.Value] = {}
        for node in [each for each in graph if is_t(each)]:
            _unscale(graph, node, scale, inverse, unscaled)
        outputs = {value.name: at for at, value in enumerate(graph.outputs)}
        for name in self._parameters:
            at = outputs[gradient_name(name)]
            gradient = graph.outputs[at]
            write = Writer(f"svgd.unscaled/{name}", graph.opset_imports[""])
            result = _times(write, gradient, inverse)
            take_place(result, gradient)
            graph.outputs[at] = result
            write.append_to(graph)
        return ir.passes.PassResult(model, modified=True)


def _unscale(
    graph: ir.Graph,
    node: ir.Node,
    scale: ir.Value,
    inverse: ir.Value,
    unscaled: dict[ir.Value, ir.Value],
) -> None:
    """Has T, or T's factors, read dY as it is; and what reads T(dY), that with the scale."""
    gradient, result = node.inputs[0], node.outputs[0]
    assert gradient is not None
    if gradient not in unscaled:
        write = Writer(f"svgd.scaled/{node.name}/in", graph.opset_imports[""])
        unscaled[gradient] = _times(write, gradient, inverse)
        write.insert_before(graph, node)
    node.replace_input_with(0, unscaled[gradient])
    if node.op_type == OP_TYPE:
        readers = list(result.uses())
        write = Writer(f"svgd.scaled/{node.name}/out", graph.opset_imports[""])
        again = _times(write, result, scale)
        write.insert_after(graph, node)
        for reader, place in readers:
            reader.replace_input_with(place, again)


def _times(write: Writer, value: ir.Value, factor: ir.Value) -> ir.Value:
    product = write.node("Mul", value, factor)
    product.type, product.shape = value.type, value.shape
    return product
