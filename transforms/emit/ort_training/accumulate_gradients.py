"""Give the gradient graph the form that onnxruntime's training session expects."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import require_outputs

LAZY_RESET = "lazy_reset_grad"


class AccumulateGradients(ir.passes.InPlacePass):
    """Adds each gradient to a buffer that the session owns.

    The names are those that onnxruntime's training API looks for: for a parameter w the input
    `w_grad.accumulation.buffer` and the output `w_grad.accumulation.out`, and one input
    `lazy_reset_grad` that says whether to overwrite the buffers instead. The session feeds the
    buffers, and hides the outputs.

    Args:
        parameters: the trainable parameters, in the order of their checkpoint.

    Requires: the loss and each gradient are graph outputs.
    Ensures: the first output is the loss; no gradient is an output any more; each has a buffer.
    """

    def __init__(self, parameters: Sequence[str]) -> None:
        super().__init__()
        self._parameters = list(parameters)

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, [LOSS_OUTPUT, *map(gradient_name, self._parameters)])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        outputs = {value.name: value for value in graph.outputs}
        gradients = [outputs.pop(gradient_name(name)) for name in self._parameters]
        reset = ir.val(LAZY_RESET, ir.DataType.BOOL, [1])
        kept = [outputs.pop(LOSS_OUTPUT), *outputs.values()]
        graph.outputs.clear()
        graph.outputs.extend(kept)
        for gradient in gradients:
            buffer = ir.val(
                f"{gradient.name}.accumulation.buffer", shape=gradient.shape, type=gradient.type
            )
            node = ir.node(
                "InPlaceAccumulatorV2",
                [buffer, gradient, reset],
                domain="com.microsoft",
                name=f"{gradient.name}/accumulate",
            )
            done = node.outputs[0]
            done.name = f"{gradient.name}.accumulation.out"
            done.dtype, done.shape = ir.DataType.BOOL, ir.Shape([1])
            graph.inputs.append(buffer)
            graph.append(node)
            graph.outputs.append(done)
        graph.inputs.append(reset)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if model.graph.outputs[0].name != LOSS_OUTPUT:
            raise ir.passes.PostconditionError("the first output is not the loss")
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        for gradient in map(gradient_name, self._parameters):
            if gradient in outputs:
                raise ir.passes.PostconditionError(f"'{gradient}' is still an output")
            if f"{gradient}.accumulation.buffer" not in inputs:
                raise ir.passes.PostconditionError(f"'{gradient}' has no buffer")
