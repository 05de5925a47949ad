"""Make what a step changes besides parameters an output of the graph."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from svgd_onnx.step_names import NEW_SUFFIX
from svgd_onnx.transforms.states import states_of


class StateOutputs(ir.passes.InPlacePass):
    """Gives r and the running statistics of BatchNormalization outputs of their own.

    Operators of the training session overwrite both where they lie. A BatchNormalization that is used
    several times updates its statistics as often, each time from where the last left them.

    Requires: r and running statistics are graph inputs.
    Ensures: for each there is one output, its name with `NEW_SUFFIX`.
    """

    def requires(self, model: ir.Model) -> None:
        for node in model.graph:
            for position, _ in states_of(node):
                state = node.inputs[position]
                if state is None or not state.is_graph_input():
                    raise ir.passes.PreconditionError(f"a state of '{node.name}' is no graph input")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        latest: dict[ir.Value, ir.Value] = {}
        for node in graph:
            for position, output in states_of(node):
                state = node.inputs[position]
                assert state is not None
                if state in latest:
                    node.replace_input_with(position, latest[state])
                latest[state] = node.outputs[output]
        for state, value in latest.items():
            value.name = f"{state.name}{NEW_SUFFIX}"
            value.type, value.shape = state.type, state.shape
            graph.outputs.append(value)
        return ir.passes.PassResult(model, modified=bool(latest))

    def ensures(self, model: ir.Model) -> None:
        outputs = Counter(value.name for value in model.graph.outputs)
        for node in model.graph:
            for position, _ in states_of(node):
                state = node.inputs[position]
                if state is None or not state.is_graph_input():
                    continue  # where an earlier use has left it
                if outputs[f"{state.name}{NEW_SUFFIX}"] != 1:
                    raise ir.passes.PostconditionError(f"'{state.name}' has not one output")
