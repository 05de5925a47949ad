"""T from standard operators, for a session without the custom operator library."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.virtualize.virtual_gradient import DOMAIN, FACTOR_OP_TYPE

# onnxruntime's training session hides outputs of this suffix from its user.
HIDDEN_OUTPUT_SUFFIX = "_grad.accumulation.out"


class PortableVirtualGradient(ir.passes.InPlacePass):
    """Replaces `ai.svgd::VirtualGradient` and `GradientFactor` by Mul, ReduceMean, Add, Sqrt and Div.

    Where the new r is no output of the graph, it is written back in place with
    `com.microsoft.InPlaceAccumulatorV2` (overwrite), which every onnxruntime training session has.

    Ensures: no operator of the domain `ai.svgd` is left.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [node for node in graph if node.domain == DOMAIN]
        if not nodes:
            return ir.passes.PassResult(model, modified=False)
        constants = _Constants(graph)
        for node in nodes:
            _lower(graph, node, constants)
        del graph.opset_imports[DOMAIN]
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if any(node.domain == DOMAIN for node in model.graph):
            raise ir.passes.PostconditionError(f"an operator of {DOMAIN} is left")


class _Constants:
    """Initializers that all lowered nodes share."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph

    def __call__(self, name: str, array: np.ndarray) -> ir.Value:
        name = f"svgd.constant.{name}"
        if name not in self._graph.initializers:
            value = ir.val(name, const_value=ir.tensor(array, name=name))
            self._graph.register_initializer(value)
        return self._graph.initializers[name]


def _lower(graph: ir.Graph, node: ir.Node, constant: _Constants) -> None:
    gradient, state = node.inputs
    assert gradient is not None and state is not None and state.name is not None
    rho, epsilon, scale = (
        float(node.attributes[name].as_float()) for name in ("rho", "epsilon", "scale")
    )
    new: list[ir.Node] = []

    def apply(op_type: str, inputs: list[ir.Value], **attributes: Any) -> ir.Value:
        created = ir.node(op_type, inputs, attributes, name=f"{state.name}/{op_type}_{len(new)}")
        created.outputs[0].name = f"{state.name}/{op_type}_{len(new)}"
        created.outputs[0].dtype = ir.DataType.INT64 if op_type == "Shape" else ir.DataType.FLOAT
        new.append(created)
        return created.outputs[0]

    def scalar(name: str, value: float) -> ir.Value:
        return constant(name, np.array(value, np.float32))

    channel = node.attributes.get("channel_axis")
    rank = len(gradient.shape) if gradient.shape is not None else 0
    axes = [0] if channel is None else [i for i in range(rank) if i != channel.as_int()]
    square = apply("Mul", [gradient, gradient])
    if graph.opset_imports[""] < 18:
        mean = apply("ReduceMean", [square], axes=axes, keepdims=0)
    else:
        name = "axes_" + "_".join(map(str, axes))
        mean = apply("ReduceMean", [square, constant(name, np.array(axes))], keepdims=0)
    if "per_example" in node.attributes:
        # the gradient of an example's loss is dY times the size of the batch
        shape = apply("Shape", [gradient], start=0, end=1)
        size = apply("Cast", [shape], to=ir.DataType.FLOAT)
        mean = apply("Mul", [mean, apply("Mul", [size, size])])
    kept = apply("Mul", [state, scalar("rho", rho)])
    added = apply("Mul", [mean, scalar("one_minus_rho", 1.0 - rho)])
    updated = apply("Add", [kept, added])
    root = apply("Sqrt", [apply("Add", [updated, scalar("epsilon", epsilon)])])
    factor = apply("Div", [scalar("scale", scale), root])
    if node.op_type == FACTOR_OP_TYPE:
        output = factor
        output.shape = state.shape
    else:
        after = [] if channel is None else list(range(1, rank - channel.as_int()))
        if after:
            name = "axes_" + "_".join(map(str, after))
            factor = apply("Unsqueeze", [factor, constant(name, np.array(after))])
        output = apply("Mul", [gradient, factor])
        output.shape = gradient.shape
    if node.outputs[1].is_graph_output():
        updated.name, node.outputs[1].name = node.outputs[1].name, ""
        updated.shape = state.shape
        node.outputs[1].replace_all_uses_with(updated, replace_graph_outputs=True)
    else:
        new.append(_write_back(graph, state, updated, constant))
    replaced = node.outputs[0].name
    graph.insert_after(node, new)
    node.outputs[0].replace_all_uses_with(output)
    graph.remove(node, safe=True)
    output.name = replaced


def _write_back(
    graph: ir.Graph, state: ir.Value, updated: ir.Value, constant: _Constants
) -> ir.Node:
    node = ir.node(
        "InPlaceAccumulatorV2",
        [state, updated, constant("overwrite", np.array([True]))],
        domain="com.microsoft",
        name=f"{state.name}/write_back",
    )
    done = node.outputs[0]
    done.name = f"{state.name}{HIDDEN_OUTPUT_SUFFIX}"
    done.dtype, done.shape = ir.DataType.BOOL, ir.Shape([1])
    graph.outputs.append(done)
    return node
