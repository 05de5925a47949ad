"""T from standard operators, for a session without the custom operator library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import apply_rule, inputs_of, known_rank, number
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN, FACTOR_OP_TYPE
from svgd_onnx.transforms.writer import Writer

# onnxruntime's training session hides outputs of this suffix from its user.
HIDDEN_OUTPUT_SUFFIX = "_grad.accumulation.out"


class PortableVirtualGradient(ir.passes.InPlacePass):
    """Replaces `ai.svgd::VirtualGradient` and `GradientFactor` by Mul, ReduceMean, Add, Sqrt and Div.

    Where the new r is no output of the graph, it is written back in place with
    `com.microsoft.InPlaceAccumulatorV2` (overwrite), which every onnxruntime training session has.

    Args:
        writes_back: whether it is; else what reads the new r hands it on.

    Ensures: no operator of the domain `ai.svgd` is left.
    """

    def __init__(self, *, writes_back: bool = True) -> None:
        super().__init__()
        self._writes_back = writes_back

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [node for node in graph if node.domain == DOMAIN]
        for node in nodes:
            if self._writes_back and not node.outputs[1].is_graph_output():
                _write_back(graph, node)
            apply_rule(graph, node, standard_t)
        graph.opset_imports.pop(DOMAIN, None)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def ensures(self, model: ir.Model) -> None:
        if any(node.domain == DOMAIN for node in model.graph):
            raise ir.passes.PostconditionError(f"an operator of {DOMAIN} is left")


def standard_t(
    node: ir.Node, write: Writer, over_ranks: Callable[[ir.Value], ir.Value] | None = None
) -> list[ir.Value | None]:
    """T(dY), or T's factors, and the new r, by standard operators.

    Args:
        node: T, or T's factors.
        write: where to.
        over_ranks: makes of what r is fed from the share of a batch that of the whole; None where the whole
            batch is here.
    """
    gradient, state = inputs_of(node, 2)
    rho = number(node, "rho", 0.0)
    channel = node.attributes.get("channel_axis")
    axes = [0]
    if channel is not None:
        axes = [axis for axis in range(known_rank(gradient)) if axis != channel.as_int()]
    square = write.node("Mul", gradient, gradient)
    if over_ranks is None:
        mean = write.reduce("ReduceMean", square, axes, keepdims=False)
    else:
        mean = mean_of_means(write, square, axes)
    if "per_example" in node.attributes:
        # the gradient of an example's loss is dY times the size of the batch
        size = write.cast(write.node("Shape", gradient, start=0, end=1), "float32")
        mean = write.node("Mul", mean, write.node("Mul", size, size))
    if over_ranks is not None:
        mean.type, mean.shape = state.type, state.shape
        mean = over_ranks(mean)
    kept = write.node("Mul", state, write.scalar(rho))
    added = write.node("Mul", mean, write.scalar(1.0 - rho))
    updated = write.node("Add", kept, added)
    epsilon = write.scalar(number(node, "epsilon", 0.0))
    root = write.node("Sqrt", write.node("Add", updated, epsilon))
    factor = write.node("Div", write.scalar(number(node, "scale", 1.0)), root)
    if node.op_type == FACTOR_OP_TYPE:
        return [factor, updated]
    if channel is not None:
        after = range(1, known_rank(gradient) - channel.as_int())
        factor = write.node("Unsqueeze", factor, write.integers(*after)) if after else factor
    return [write.node("Mul", gradient, factor), updated]


def mean_of_means(write: Writer, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """The mean over axis 0 of the mean over others.

    With channels last onnxruntime adds up what lies along several axes one by one, in float32; so there are
    fewer to add up.
    """
    inner = [axis for axis in axes if axis != 0]
    if inner:
        value = write.reduce("ReduceMean", value, inner, keepdims=False)
    return write.reduce("ReduceMean", value, [0], keepdims=False)


def _write_back(graph: ir.Graph, node: ir.Node) -> None:
    """Overwrites r with its new value."""
    _, state = inputs_of(node, 2)
    write = Writer(f"{state.name}/write_back", graph.opset_imports[""])
    inputs = [state, node.outputs[1], write.constant(np.array([True]))]
    (done,) = write.nodes_with("InPlaceAccumulatorV2", inputs, {}, 1, domain="com.microsoft")
    done.name = f"{state.name}{HIDDEN_OUTPUT_SUFFIX}"
    done.dtype, done.shape = ir.DataType.BOOL, ir.Shape([1])
    write.insert_after(graph, node)
    graph.outputs.append(done)
