"""Leave a step out within the graph where a gradient is not finite, and change the scale."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.records import State
from svgd_onnx.step_names import GOOD_STEPS, LEFT_OUT, LOSS, LOSS_SCALE, NEW_SUFFIX
from svgd_onnx.transforms.emit.finite_loss import PREFIX, plain_loss
from svgd_onnx.transforms.optimizers.loss_scale import LossScale
from svgd_onnx.transforms.writer import Writer, take_place

# At a smaller scale it is no matter of the scale that a gradient is not finite.
_LEAST = 2.0**-16
_MOST = 2.0**127


class LeaveOutSteps(ir.passes.InPlacePass):
    """Keeps all that a step changes as it was where a gradient is not finite, but for the scale.

    That is halved, and doubled after `interval` steps in a row that were not left out, as PyTorch's GradScaler
    does. The loss then stays as it is, so that programs take the step; but where it is not finite itself, or
    the scale is next to nothing, it says that something is wrong, as without a scale.

    Args:
        scale: a dynamic one.

    Attributes:
        is_fine: whether all gradients are finite.
        states: the scale, how many steps in a row were not left out, and how many were in all.

    Requires: `FiniteLoss` was there; the scale is an input; r and running statistics are outputs.
    Ensures: each of `states` is an input, and an output of its name with `NEW_SUFFIX`.
    """

    def __init__(self, scale: LossScale) -> None:
        super().__init__()
        self._interval = scale.interval
        self.is_fine: ir.Value | None = None
        self.states = [
            State(LOSS_SCALE, [], "loss_scale"),
            State(GOOD_STEPS, [], "good_steps"),
            State(LEFT_OUT, [], "left_out"),
        ]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        scale = inputs[LOSS_SCALE]
        write = Writer(f"{PREFIX}/left_out", graph.opset_imports[""])
        checked = next(value for value in graph.outputs if value.name == LOSS)
        fine = self.is_fine = write.node("Not", write.node("IsNaN", checked))
        scaled = write.node("Greater", scale, write.scalar(_LEAST))
        wrong = write.node(
            "Where", write.node("Or", fine, scaled), write.scalar(0), write.scalar(np.nan)
        )
        loss = write.node("Add", plain_loss(checked), wrong)
        for at, value in enumerate(list(graph.outputs)):
            name = value.name or ""
            if value is checked:
                graph.outputs[at] = loss
            elif name.endswith(NEW_SUFFIX):
                before = inputs[name.removesuffix(NEW_SUFFIX)]
                kept = write.node("Where", fine, value, before)
                take_place(kept, value)
                graph.outputs[at] = kept
        take_place(loss, checked)
        self._follow(write, graph, scale, fine)
        write.append_to(graph)
        return ir.passes.PassResult(model, modified=True)

    def _follow(self, write: Writer, graph: ir.Graph, scale: ir.Value, fine: ir.Value) -> None:
        """What the scale and the numbers of steps become."""
        good, left_out = (ir.val(name, ir.DataType.FLOAT, []) for name in (GOOD_STEPS, LEFT_OUT))
        graph.inputs.extend([good, left_out])
        one = write.scalar(1)
        count = write.node("Add", good, one)
        grows = write.node("GreaterOrEqual", count, write.scalar(self._interval))
        doubled = write.node("Min", write.node("Mul", scale, write.scalar(2)), write.scalar(_MOST))
        grown = write.node("Where", grows, doubled, scale)
        halved = write.node("Mul", scale, write.scalar(0.5))
        goes_on = write.node("And", fine, write.node("Not", grows))
        for before, after in (
            (scale, write.node("Where", fine, grown, halved)),
            (good, write.node("Where", goes_on, count, write.scalar(0))),
            (left_out, write.node("Where", fine, left_out, write.node("Add", left_out, one))),
        ):
            after.name = f"{before.name}{NEW_SUFFIX}"
            after.type, after.shape = before.type, before.shape
            graph.outputs.append(after)
