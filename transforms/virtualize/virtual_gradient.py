"""Insert T: a parameter's gradient reads T(dY), everything else reads dY."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradient_graph import gradient_name
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.virtualize.sigma_prime import ParameterUse

DOMAIN = "ai.svgd"
VERSION = 1
OP_TYPE = "VirtualGradient"


@dataclass(frozen=True)
class VirtualGradientAttributes:
    """T's hyper-parameters (paper Algorithm 1).

    Attributes:
        scale: s, the factor of T.
        rho: decay of r, in [0, 1).
        epsilon: added to r under the root, > 0.
    """

    scale: float
    rho: float
    epsilon: float


class VirtualGradient(ir.passes.InPlacePass):
    """Puts T before the gradient nodes of the parameters in sigma-prime (paper Eq. 10, Fig. 6).

    The nodes between the gradient dY of an operation's output and the gradient of its parameter are
    found by data flow and doubled: the doubles read T(dY) and give the parameter's gradient, the
    originals keep dY and give the gradients of the layer below and of the bias. So one ConvGrad
    becomes two, and an original that nothing needs any more goes.

    Args:
        uses: sigma-prime; elements without a state are left alone.
        attributes: T's hyper-parameters.

    Requires: the gradients of all uses' inputs are graph outputs.
    Ensures: one T for each use with a state, its r a graph input.
    """

    def __init__(
        self,
        uses: Sequence[ParameterUse],
        attributes: VirtualGradientAttributes,
    ) -> None:
        super().__init__()
        self._uses = [use for use in uses if use.state is not None]
        self._attributes = attributes

    def requires(self, model: ir.Model) -> None:
        outputs = {value.name for value in model.graph.outputs}
        for use in self._uses:
            if gradient_name(use.input) not in outputs:
                raise ir.passes.PreconditionError(f"'{use.input}' has no gradient")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        gradient_values = _gradient_values(graph)
        produced = {value.name: value for node in graph for value in node.outputs}
        for use in self._uses:
            output_gradient = produced[gradient_name(use.output)]
            gradient = produced[gradient_name(use.input)]
            self._insert(graph, use, output_gradient, gradient, gradient_values)
        if self._uses:
            graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified=bool(self._uses))

    def _insert(
        self,
        graph: ir.Graph,
        use: ParameterUse,
        output_gradient: ir.Value,
        gradient: ir.Value,
        gradient_values: Collection[ir.Value],
    ) -> None:
        state = ir.val(use.state, ir.DataType.FLOAT, use.state_shape)
        graph.inputs.append(state)
        virtual = ir.node(
            OP_TYPE,
            [output_gradient, state],
            {
                "scale": float(self._attributes.scale),
                "rho": float(self._attributes.rho),
                "epsilon": float(self._attributes.epsilon),
            },
            domain=DOMAIN,
            name=f"{use.state}/{OP_TYPE}",
            outputs=[
                ir.Value(name=f"{use.state}/gradient", type=output_gradient.type),
                ir.Value(name=f"{use.state}/updated", type=state.type, shape=state.shape),
            ],
        )
        path = _path(output_gradient, gradient, gradient_values)
        doubles = {output_gradient: virtual.outputs[0]}
        new_nodes = [_double(node, doubles, str(use.state)) for node in path]
        # After the originals, so that the layer below reads dY before T may overwrite it.
        graph.insert_after(path[-1], [virtual, *new_nodes])
        name = gradient.name
        gradient.name = f"{use.state}/raw/{name}"
        doubles[gradient].name = name
        gradient.replace_all_uses_with(doubles[gradient], replace_graph_outputs=True)
        for node in reversed([*path, *new_nodes]):
            _drop_unused(graph, node)

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        inserted = [node for node in model.graph if node.op_type == OP_TYPE]
        if len(inserted) != len(self._uses):
            raise ir.passes.PostconditionError("not every use has its T")
        if any(use.state not in inputs for use in self._uses):
            raise ir.passes.PostconditionError("a state is not a graph input")


def _gradient_values(graph: ir.Graph) -> set[ir.Value]:
    """The values that are computed from the gradient of the loss by itself, 1."""
    seed = gradient_name(LOSS_OUTPUT)
    values = {graph.initializers[seed]}
    for node in graph:
        if any(value in values for value in node.inputs):
            values.update(node.outputs)
    return values


def _path(start: ir.Value, end: ir.Value, gradient_values: Collection[ir.Value]) -> list[ir.Node]:
    """The nodes on data-flow paths from one gradient to another, in topological order.

    Only gradients are followed: forward values that a gradient node reads do not come from `start`.
    """
    order: list[ir.Node] = []

    def visit(value: ir.Value) -> None:
        if value is start:
            return
        node = value.producer()
        if node is None:
            raise ir.passes.PassError(f"'{end.name}' is not computed from '{start.name}' alone")
        if node in order:
            return
        for parent in node.inputs:
            if parent is not None and parent in gradient_values:
                visit(parent)
        order.append(node)

    visit(end)
    return order


def _double(node: ir.Node, doubles: dict[ir.Value, ir.Value], prefix: str) -> ir.Node:
    """A second `node` that reads the doubles of its inputs; adds its outputs to `doubles`."""
    copy = ir.Node(
        node.domain,
        node.op_type,
        [None if value is None else doubles.get(value, value) for value in node.inputs],
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        version=node.version,
        name=f"{prefix}/{node.name}",
    )
    for value, output in zip(copy.outputs, node.outputs):
        value.name = f"{prefix}/{output.name}" if output.name else ""
        value.type, value.shape = output.type, output.shape
        doubles[output] = value
    return copy


# Gradient operators that do not compute an output left without a name.
_OPTIONAL_OUTPUTS = frozenset({"ConvGrad"})


def _drop_unused(graph: ir.Graph, node: ir.Node) -> None:
    """Removes the node if nothing reads it, or else the outputs that nothing reads."""
    unused = [value for value in node.outputs if not value.uses() and not value.is_graph_output()]
    if len(unused) == len(node.outputs):
        graph.remove(node, safe=True)
    elif node.op_type in _OPTIONAL_OUTPUTS:
        for value in unused:
            value.name = ""
