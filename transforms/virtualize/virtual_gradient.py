"""Insert T: a parameter's gradient reads T(dY), everything else reads dY."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.gradient_values import gradient_values
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.virtualize.operator_t import (
    DOMAIN,
    FACTOR_OP_TYPE,
    OP_TYPE,
    VERSION,
    attributes_of_t,
    scaled_gradient,
    state_input,
    transformed,
)
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings
from svgd_onnx.transforms.virtualize.sigma_prime import ParameterUse, operations_with_t
from svgd_onnx.transforms.writer import Writer, second_node


class VirtualGradient(ir.passes.InPlacePass):
    """Puts T before the gradient nodes of the parameters in sigma-prime (paper Eq. 10, Fig. 6).

    The nodes between the gradient dY of an operation's output and the gradient of its parameter are
    found by data flow and doubled: the doubles read T(dY) and give the parameter's gradient, the
    originals keep dY and give the gradients of the layer below and of the bias. So one ConvGrad
    becomes two, and an original that nothing needs any more goes. Two parameters of one operation
    share its T.

    Where T is a factor for each channel and the weight is the smaller tensor, nothing is doubled: the
    gradient that the originals give is multiplied by `ai.svgd::GradientFactor` of dY, for the product
    of a channel with a factor is a factor of the product.

    Args:
        uses: sigma-prime; elements without a state are left alone.
        settings: T's hyper-parameters, and what feeds r.

    Requires: the gradients of all uses' inputs are graph outputs.
    Ensures: one T for each state, its r a graph input.
    """

    def __init__(self, uses: Sequence[ParameterUse], settings: VirtualGradientSettings) -> None:
        super().__init__()
        self._settings = settings
        self._operations = operations_with_t(uses)

    def requires(self, model: ir.Model) -> None:
        outputs = {value.name for value in model.graph.outputs}
        for use in itertools.chain.from_iterable(self._operations.values()):
            if gradient_name(use.input) not in outputs:
                raise ir.passes.PreconditionError(f"'{use.input}' has no gradient")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        # Each change of a value would search the graph's outputs; without them time stays linear.
        outputs = list(graph.outputs)
        graph.outputs.clear()
        rewriting = _Rewriting(graph, outputs)
        for uses in self._operations.values():
            rewriting.insert(uses, self._settings)
        graph.remove(rewriting.dead, safe=True)
        graph.outputs.extend(rewriting.replaced.get(value, value) for value in outputs)
        if self._operations:
            graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified=bool(self._operations))

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        inserted = [node for node in model.graph if node.op_type in (OP_TYPE, FACTOR_OP_TYPE)]
        if len(inserted) != len(self._operations):
            raise ir.passes.PostconditionError("not every operation has its T")
        if not inputs.issuperset(self._operations):
            raise ir.passes.PostconditionError("a state is not a graph input")


class _Rewriting:
    """One pass over one gradient graph.

    Attributes:
        replaced: parameter gradient -> the virtual gradient that takes its name.
        dead: nodes that nothing reads any more.
    """

    def __init__(self, graph: ir.Graph, outputs: Sequence[ir.Value]) -> None:
        self._graph = graph
        self._kept = set(outputs)
        self._produced = {value.name: value for node in graph for value in node.outputs}
        self._place = {node: place for place, node in enumerate(graph)}
        self._gradients = gradient_values(graph)
        self.replaced: dict[ir.Value, ir.Value] = {}
        self.dead: set[ir.Node] = set()

    def insert(self, uses: Sequence[ParameterUse], settings: VirtualGradientSettings) -> None:
        """Inserts the T of one operation, for all its parameters."""
        use = uses[0]
        output_gradient = self._produced[gradient_name(use.output)]
        gradients = [self._produced[gradient_name(use.input)] for use in uses]
        path = _path(output_gradient, gradients, self._gradients)
        path.sort(key=self._place.__getitem__)
        state = state_input(use)
        self._graph.inputs.append(state)
        write = Writer(str(use.state), self._graph.opset_imports[""])
        attributes = attributes_of_t(use, settings)
        if len(uses) == 1 and use.weight_axis is not None:
            scaled = scaled_gradient(
                write, output_gradient, gradients[0], state, attributes, use.weight_axis
            )
            write.insert_after(self._graph, path[-1])
            self._replace(use, gradients[0], scaled, keep=write.nodes)
            return
        virtual = transformed(write, output_gradient, state, attributes)
        doubles = {output_gradient: virtual}
        write.nodes += [_double(node, doubles, str(use.state)) for node in path]
        # After the originals, so that the layer below reads dY before T may overwrite it.
        write.insert_after(self._graph, path[-1])
        for gradient in gradients:
            self._replace(use, gradient, doubles[gradient])
        for node in reversed([*path, *write.nodes[1:]]):
            self._drop_unused(node)

    def _replace(
        self,
        use: ParameterUse,
        gradient: ir.Value,
        virtual: ir.Value,
        keep: Collection[ir.Node] = (),
    ) -> None:
        """Puts the virtual gradient in the place of the parameter's, except for the readers kept."""
        gradient.name, virtual.name = f"{use.state}/raw/{gradient.name}", gradient.name
        for node, position in tuple(gradient.uses()):
            if node not in keep:
                node.replace_input_with(position, virtual)
        self.replaced[gradient] = virtual
        self._kept.remove(gradient)
        self._kept.add(virtual)

    def _drop_unused(self, node: ir.Node) -> None:
        """Marks the node if nothing reads it, or leaves out the outputs that nothing reads."""
        unused = [
            value
            for value in node.outputs
            if value not in self._kept and all(reader in self.dead for reader, _ in value.uses())
        ]
        if len(unused) == len(node.outputs):
            self.dead.add(node)
        elif node.op_type in _OPTIONAL_OUTPUTS:
            for value in unused:
                value.name = ""


# Gradient operators that do not compute an output left without a name.
_OPTIONAL_OUTPUTS = frozenset({"ConvGrad"})


def _path(
    start: ir.Value, ends: Sequence[ir.Value], gradient_values: Collection[ir.Value]
) -> list[ir.Node]:
    """The nodes on data-flow paths from one gradient to others.

    Only gradients are followed: forward values that a gradient node reads do not come from `start`.
    """
    nodes: dict[ir.Node, None] = {}
    pending = list(ends)
    while pending:
        value = pending.pop()
        if value is start:
            continue
        node = value.producer()
        if node is None:
            names = ", ".join(f"'{end.name}'" for end in ends)
            raise ir.passes.PassError(f"{names} is not computed from '{start.name}' alone")
        if node not in nodes:
            nodes[node] = None
            pending.extend(v for v in read_by(node) if v is not None and v in gradient_values)
    return list(nodes)


def _double(node: ir.Node, doubles: dict[ir.Value, ir.Value], prefix: str) -> ir.Node:
    """A second `node` that reads the doubles of its inputs; adds its outputs to `doubles`."""
    inputs = [None if value is None else doubles.get(value, value) for value in node.inputs]
    copy = second_node(node, inputs, prefix)
    doubles.update(zip(node.outputs, copy.outputs))
    return copy
