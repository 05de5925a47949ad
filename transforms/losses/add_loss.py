"""Put a loss on top of the model's prediction."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.losses.loss import Loss

LOSS_OUTPUT = "loss"


class AddLoss(ir.passes.InPlacePass):
    """Adds the loss as the graph's first output and its target as the last input.

    Where the prediction ends in an activation that the loss contains (Softmax for cross-entropy),
    the loss reads the logits underneath; the activation stays, for the model's own output.

    Args:
        loss: which loss.
        prediction: name of the graph output to compare with the target.

    Ensures: the first output is the scalar float32 `loss`.
    After the call, `logits` names the value that the loss reads.
    """

    def __init__(self, loss: Loss, prediction: str) -> None:
        super().__init__()
        self._loss = loss
        self._prediction = prediction
        self.logits = ""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        taken = {value.name for value in (*graph.inputs, *graph.outputs)}
        for name in (self._loss.target, LOSS_OUTPUT):
            if name in taken:
                raise UserError(
                    f"The model already has an input or output named '{name}', the name that the "
                    "loss needs: rename it in the export."
                )
        output = next(value for value in graph.outputs if value.name == self._prediction)
        logits = find_logits(output, self._loss.contains)
        self.logits = logits.name or ""
        if logits.shape is None:
            raise UserError(
                f"The shape of '{self.logits}', which the loss reads, cannot be inferred: export "
                "the model with shapes."
            )
        target = ir.val(
            self._loss.target, self._loss.target_dtype, self._loss.target_shape(logits.shape)
        )
        nodes = self._loss.build(logits, target)
        for index, node in enumerate(nodes):
            node.name = f"loss/{node.op_type}_{index}"
            for position, value in enumerate(node.outputs):
                value.name = f"loss/{node.op_type}_{index}_{position}"
        loss = nodes[-1].outputs[0]
        loss.name, loss.dtype, loss.shape = LOSS_OUTPUT, ir.DataType.FLOAT, ir.Shape([])
        graph.extend(nodes)
        graph.inputs.append(target)
        graph.outputs.insert(0, loss)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if not model.graph.outputs or model.graph.outputs[0].name != LOSS_OUTPUT:
            raise ir.passes.PostconditionError("the first output is not the loss")


def find_logits(output: ir.Value, activations: frozenset[str]) -> ir.Value:
    """The value under the final activation of `output`, or `output` where there is none.

    Looks through Identity. An activation counts only where it acts on the class axis: 1, or the
    last of two.

    Raises:
        UserError: a Softmax acts on another axis, so the classes are not on axis 1.
    """
    value = output
    while (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]  # type: ignore[assignment]
    if node is None or node.op_type not in activations:
        return output
    logits = node.inputs[0]
    assert logits is not None
    if node.op_type == "Sigmoid":
        return logits
    rank = len(value.shape) if value.shape is not None else None
    attribute = node.attributes.get("axis")
    axis = attribute.as_int() if attribute is not None else -1
    if axis != 1 and not (axis == -1 and rank == 2):
        raise UserError(
            f"{node.op_type} '{node.name}' normalizes axis {axis} of '{value.name}', but "
            "cross-entropy needs the classes on axis 1."
        )
    return logits
