"""Long recurrent layers as several shorter ones, so that parts of a sequence can be computed again."""

from __future__ import annotations

from math import ceil, sqrt

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.decompose.recurrent import MOST_UNROLLED, PART_OF_LONGER
from svgd_onnx.transforms.rule import apply_rule, input_of, inputs_of, static_shape, text
from svgd_onnx.transforms.writer import Writer

_STATES = {"GRU": 1, "LSTM": 2, "RNN": 1}
_FIRST_STATE = 5
_SHORT = 16


class SplitSequences(ir.passes.InPlacePass):
    """Splits LSTM, GRU and RNN of one direction over T steps into about sqrt(T) layers over as many steps.

    Each takes the states that the one before ends with. Unrolled as one, a layer multiplies the whole sequence
    by its weights at once, forwards and backwards, and keeps both.

    Ensures: the same outputs.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [node for node in graph if node.op_type in _STATES and node.domain == ""]
        split = [apply_rule(graph, node, _split) for node in nodes]
        if any(split):
            InferShapes()(model)
        return ir.passes.PassResult(model, any(split))


def _split(node: ir.Node, write: Writer) -> list[ir.Value | None] | None:
    (x,) = inputs_of(node, 1)
    steps = static_shape(x, 0, 1)
    if steps is None or steps[0] <= _SHORT or text(node, "direction", "forward") != "forward":
        return None
    if "layout" in node.attributes or input_of(node, 4) is not None:
        return None
    count = ceil(sqrt(steps[0]))
    lengths = [steps[0] // count + (part < steps[0] % count) for part in range(count)]
    parts = write.nodes_with("Split", [x, write.integers(*lengths)], {"axis": 0}, count)
    last_state = _FIRST_STATE + _STATES[node.op_type]
    given = [input_of(node, index) for index in range(len(node.inputs))]
    given += [None] * (last_state - len(given))
    hidden = []
    states: list[ir.Value | None] = given[_FIRST_STATE:last_state]
    for part in parts:
        inputs = [part, *given[1:_FIRST_STATE], *states, *given[last_state:]]
        whole, *after = write.nodes_with(
            node.op_type,
            inputs,
            {name: attribute.value for name, attribute in node.attributes.items()},
            1 + len(states),
        )
        if steps[0] > MOST_UNROLLED:
            # unrolled, all of them together would be as large as it is long
            write.nodes[-1].metadata_props[PART_OF_LONGER] = "1"
        hidden.append(whole)
        states = list(after)
    return [write.node("Concat", *hidden, axis=0), *states][: len(node.outputs)]
