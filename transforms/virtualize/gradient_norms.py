"""Norms of gradients and of virtual gradients as outputs of a step, for those who watch it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import GRADIENT_NORMS, VIRTUAL_GRADIENT_NORMS
from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.virtualize.operator_t import FACTOR_OP_TYPE, is_t
from svgd_onnx.transforms.writer import Writer, second_node


class GradientNorms(ir.passes.InPlacePass):
    """Adds the Euclidean norm of each parameter's gradient, without T and with it, to the outputs.

    Where T is a factor for each channel, the gradient without it is there. Else what lies between T and
    the parameter's gradient is computed once more, of dY.

    Args:
        parameters: the trainable parameters, in whose order norms are.

    Raises:
        UserError: a body of control flow reads T(dY).

    Requires: the gradient of each is an output, T is in the graph as `VirtualGradient` puts it there.
    Ensures: there is an output `svgd.gradient_norms`, float32 (parameters), and where there is a T also
        `svgd.virtual_gradient_norms`; no other output changes.
    """

    def __init__(self, parameters: Sequence[str]) -> None:
        super().__init__()
        self._parameters = list(parameters)

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, map(gradient_name, self._parameters))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        outputs = {value.name: value for value in graph.outputs}
        virtual = [outputs[gradient_name(name)] for name in self._parameters]
        plain = _without_t(graph)
        self._add(graph, GRADIENT_NORMS, [plain.get(value, value) for value in virtual])
        if plain:
            self._add(graph, VIRTUAL_GRADIENT_NORMS, virtual)
        return ir.passes.PassResult(model, modified=True)

    def _add(self, graph: ir.Graph, name: str, gradients: Sequence[ir.Value]) -> None:
        """Writes the norms of some tensors as one output."""
        write = Writer(name, graph.opset_imports[""])
        norms = []
        for gradient in gradients:
            flat = write.node("Reshape", gradient, write.integers(-1))
            norms.append(write.reduce("ReduceL2", flat, [0]))
        together = write.node("Concat", *norms, axis=0)
        together.name, together.shape = name, ir.Shape([len(norms)])
        together.dtype = ir.DataType.FLOAT
        write.append_to(graph)
        graph.outputs.append(together)

    def ensures(self, model: ir.Model) -> None:
        require_outputs(model, [GRADIENT_NORMS, *map(gradient_name, self._parameters)])


def _without_t(graph: ir.Graph) -> dict[ir.Value, ir.Value]:
    """What T has a part in, and the same without it, of nodes that are added for that."""
    plain: dict[ir.Value, ir.Value] = {}
    factors: set[ir.Value] = set()
    for node in list(graph):
        if is_t(node):
            if node.op_type == FACTOR_OP_TYPE:
                factors.add(node.outputs[0])
            else:
                plain[node.outputs[0]] = _first_input(node)
        elif factors.intersection(node.inputs):
            if node.op_type == "Reshape":
                factors.add(node.outputs[0])
            else:  # the gradient times T's factors
                plain[node.outputs[0]] = _first_input(node)
        elif plain.keys() & set(node.inputs):
            inputs = [None if value is None else plain.get(value, value) for value in node.inputs]
            second = second_node(node, inputs, GRADIENT_NORMS)
            graph.insert_after(node, second)
            plain.update(zip(node.outputs, second.outputs))
        elif plain.keys() & set(read_by(node)):
            raise UserError(
                f"{option('gradient_norms')} does not go with gradients in bodies of control flow "
                f"({node.op_type} '{node.name}'): leave it out."
            )
    return plain


def _first_input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value
