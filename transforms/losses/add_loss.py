"""Put a loss on top of the model's prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.rearrangements import REARRANGEMENTS

LOSS_OUTPUT = "svgd.loss"


class AddLoss(ir.passes.InPlacePass):
    """Adds the loss as the graph's first output and its target as the last input.

    Where the prediction ends in an activation that the loss contains (Softmax for cross-entropy),
    the loss reads the logits underneath; the activation stays, for the model's own output.

    Args:
        loss: which loss.
        prediction: name of the graph output to compare with the target.
        settings: of the loss.

    Ensures: the first output is the scalar float32 `svgd.loss`.
    After the call, `logits` names the value that the loss reads, and `class_axis` its axis of classes.
    """

    def __init__(self, loss: Loss, prediction: str, settings: LossSettings) -> None:
        super().__init__()
        self._loss = loss
        self._prediction = prediction
        self._settings = settings
        self.logits = ""
        self.class_axis: int | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        if self._loss.target in {value.name for value in (*graph.inputs, *graph.outputs)}:
            raise UserError(
                f"The model already has an input or output named '{self._loss.target}', the name "
                "that the loss needs: rename it in the export."
            )
        output = next(value for value in graph.outputs if value.name == self._prediction)
        logits, softmax_axis, nodes = find_logits(output, self._loss.contains)
        # made by nodes of ours, it has no name yet
        self.logits = logits.name or f"loss/{self._prediction}/logits"
        logits.name = self.logits
        if logits.shape is None:
            raise UserError(
                f"The shape of '{self.logits}', which the loss reads, cannot be inferred: export "
                "the model with shapes."
            )
        compared = logits
        if self._loss.target_dtype == ir.DataType.INT64:
            self.class_axis = _class_axis(logits, softmax_axis, self._settings)
            nodes += _classes_on_axis_1(logits, self.class_axis)
            compared = nodes[-1].outputs[0] if nodes else logits
        assert compared.shape is not None
        target = ir.val(
            self._loss.target, self._loss.target_dtype, self._loss.target_shape(compared.shape)
        )
        nodes += self._loss.build(compared, target, self._settings)
        append_loss(graph, nodes)
        graph.inputs.append(target)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if not model.graph.outputs or model.graph.outputs[0].name != LOSS_OUTPUT:
            raise ir.passes.PostconditionError("the first output is not the loss")


def append_loss(graph: ir.Graph, nodes: Sequence[ir.Node]) -> None:
    """Adds nodes, the last of which gives the loss, and makes that the first output."""
    for index, node in enumerate(nodes):
        node.name = f"loss/{node.op_type}_{index}"
        for position, value in enumerate(node.outputs):
            value.name = value.name or f"loss/{node.op_type}_{index}_{position}"
    loss = nodes[-1].outputs[0]
    loss.name, loss.dtype, loss.shape = LOSS_OUTPUT, ir.DataType.FLOAT, ir.Shape([])
    graph.extend(nodes)
    graph.outputs.insert(0, loss)


def find_logits(
    output: ir.Value, activations: frozenset[str]
) -> tuple[ir.Value, int | None, list[ir.Node]]:
    """The value under the final activation of `output`, or `output` where there is none.

    What rearranges the activation's result is done to its input too: an opset upgrade writes Softmax
    as Flatten, Softmax and Reshape, and a Squeeze may follow a Sigmoid.

    Returns:
        The logits, of the output's shape; the axis that a Softmax normalizes, if it can be told; and
        the nodes that make the logits, not yet in the graph.
    """
    steps: list[ir.Node] = []
    value = output
    while (node := value.producer()) is not None and node.op_type in REARRANGEMENTS:
        steps.insert(0, node)
        value = _first_input(node)
    if node is None or node.op_type not in activations:
        return output, None, []
    axis = None if node.op_type == "Sigmoid" else _softmax_axis(node, steps)
    logits = _first_input(node)
    nodes = []
    for step in steps:
        if step.op_type == "Identity":
            continue
        copy = ir.node(step.op_type, [logits, *step.inputs[1:]], step.attributes)
        logits = copy.outputs[0]
        logits.shape, logits.type = step.outputs[0].shape, step.outputs[0].type
        nodes.append(copy)
    if nodes:
        logits.shape = output.shape
    return logits, axis, nodes


def _first_input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _softmax_axis(node: ir.Node, steps: Sequence[ir.Node]) -> int | None:
    """The axis that a Softmax normalizes, as the steps after it leave it; None if that is unclear."""
    attribute = node.attributes.get("axis")
    axis = -1 if attribute is None else attribute.as_int()
    shape = node.outputs[0].shape
    if axis < 0 and shape is None:
        return None
    axis += len(shape or ()) if axis < 0 else 0
    for step in steps:
        before, after = _first_input(step).shape, step.outputs[0].shape
        if step.op_type == "Transpose" and "perm" in step.attributes:
            axis = list(step.attributes["perm"].as_ints()).index(axis)
        elif before is None or after is None or list(before)[: axis + 1] != list(after)[: axis + 1]:
            return None
    return axis


def _class_axis(logits: ir.Value, softmax_axis: int | None, settings: LossSettings) -> int:
    """The axis of classes, from the settings, a final Softmax, or by convention."""
    rank = len(logits.shape or ())
    if softmax_axis == 0:
        raise UserError(
            f"The model's final activation normalizes axis 0 of '{logits.name}', but cross-entropy "
            "needs examples there, and the classes on another axis."
        )
    axis = settings.class_axis
    if axis is None:
        axis = 1 if softmax_axis is None else softmax_axis
    elif -rank <= axis < 0:
        axis += rank
    if rank < 2 or not 1 <= axis < rank:
        raise UserError(
            f"The logits '{logits.name}' have {rank} axes, so axis {axis} cannot hold the classes: "
            "cross-entropy needs a batch axis and then one of classes, which --class-axis names."
        )
    if softmax_axis is not None and axis != softmax_axis:
        raise UserError(
            f"--class-axis is {settings.class_axis}, but the model's final activation normalizes "
            f"axis {softmax_axis}: leave --class-axis out."
        )
    classes = (logits.shape or ())[axis]
    if classes == 1:
        raise UserError(
            f"Axis {axis} of the logits '{logits.name}' has one class only, so cross-entropy is always "
            "0: use --loss bce-with-logits, or name another axis with --class-axis."
        )
    weights = settings.class_weights
    if weights is not None and isinstance(classes, int) and classes != len(weights):
        raise UserError(
            f"--class-weights has {len(weights)} weights, but axis {axis} of '{logits.name}' has "
            f"{classes} classes: give one weight a class."
        )
    return axis


def _classes_on_axis_1(logits: ir.Value, axis: int) -> list[ir.Node]:
    """Nodes that bring the classes to axis 1, and drop what comes after them if it is all 1."""
    assert logits.shape is not None
    dims = list(logits.shape)
    if len(dims) > 2 and axis == 1 and all(dim == 1 for dim in dims[2:]):
        axes = ir.tensor(np.arange(2, len(dims)))
        constant = ir.node("Constant", [], {"value": axes})
        node = ir.node("Squeeze", [logits, constant.outputs[0]])
        node.outputs[0].shape = ir.Shape(dims[:2])
        nodes = [constant, node]
    elif axis != 1:
        perm = [0, axis, *(i for i in range(1, len(dims)) if i != axis)]
        node = ir.node("Transpose", [logits], {"perm": perm})
        node.outputs[0].shape = ir.Shape([dims[i] for i in perm])
        nodes = [node]
    else:
        return []
    node.outputs[0].type = logits.type
    return nodes
