"""Twins of the operations in sigma-prime: into the forward graph, and out of it again (paper Sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.virtualize.operator_t import (
    DOMAIN,
    VERSION,
    attributes_of_t,
    state_input,
)
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings
from svgd_onnx.transforms.virtualize.sigma_prime import ParameterUse, operations_with_t

TWIN = "Twin"
PARAMETERS, WEIGHT_AXIS = "parameters", "weight_axis"


class TwinOperators(ir.passes.InPlacePass):
    """Puts a twin in the place of each operation that T acts on: the same function with another gradient.

    `ai.svgd::Twin` takes an operation's output, all its inputs, and r. It hands on the output, and has
    all that its gradient needs (`differentiate/gradients/twin.py`): the gradient of `parameters`, which
    are positions among the operation's inputs, reads T(dY), and that of the other inputs dY. The
    operation may be decomposed behind it. Other attributes are T's, and with `weight_axis` T acts on the
    parameter's gradient.

    Args:
        uses: sigma-prime; elements without a state are left alone.
        settings: T's hyper-parameters, and what feeds r.

    Ensures: one twin for each state, its r a graph input.
    """

    def __init__(self, uses: Sequence[ParameterUse], settings: VirtualGradientSettings) -> None:
        super().__init__()
        self._operations = operations_with_t(uses)
        self._settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        produced = {value.name: node for node in graph for value in node.outputs}
        for uses in self._operations.values():
            state = state_input(uses[0])
            graph.inputs.append(state)
            node = produced[uses[0].output]
            graph.insert_after(node, _twin(node, state, uses, self._settings))
        if self._operations:
            graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified=bool(self._operations))

    def ensures(self, model: ir.Model) -> None:
        if len(_twins(model.graph)) != len(self._operations):
            raise ir.passes.PostconditionError("not every operation has its twin")


class PlainOperators(ir.passes.InPlacePass):
    """Takes twins out, so that the operations stand there as they were.

    Ensures: no twin is left.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        twins = _twins(model.graph)
        for node in twins:
            plain = node.inputs[0]
            assert plain is not None
            node.outputs[0].replace_all_uses_with(plain, replace_graph_outputs=True)
            model.graph.remove(node, safe=True)
        return ir.passes.PassResult(model, modified=bool(twins))

    def ensures(self, model: ir.Model) -> None:
        if _twins(model.graph):
            raise ir.passes.PostconditionError("a twin is left")


def _twin(
    node: ir.Node,
    state: ir.Value,
    uses: Sequence[ParameterUse],
    settings: VirtualGradientSettings,
) -> ir.Node:
    """The twin, which all readers of the operation's output read from now on."""
    attributes: dict[str, float | int | Sequence[int]] = {
        **attributes_of_t(uses[0], settings),
        PARAMETERS: [use.position for use in uses],
    }
    if len(uses) == 1 and uses[0].weight_axis is not None:
        attributes[WEIGHT_AXIS] = uses[0].weight_axis
    output = node.outputs[0]
    # its own readers do not include the twin
    twin = ir.node(
        TWIN, [None, *node.inputs, state], attributes, domain=DOMAIN, name=f"{node.name}/twin"
    )
    (result,) = twin.outputs
    result.name, result.type, result.shape = f"{output.name}/twin", output.type, output.shape
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    twin.replace_input_with(0, output)
    return twin


def _twins(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.domain == DOMAIN and node.op_type == TWIN]
