"""Numbers in a model that nothing else is to be done with than to run it, of which onnxruntime would die."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx

from svgd_onnx.conversion.bounds import called, check_counts
from svgd_onnx.conversion.contents import nodes
from svgd_onnx.conversion.external_data import is_external
from svgd_onnx.transforms.odd_constants import refuse_odd

_STANDARD = frozenset({"", "ai.onnx"})
# Of other domains a name may mean anything.
_KNOWN = _STANDARD | {"com.microsoft"}

_Constants = Mapping[str, onnx.TensorProto]


def refuse_odd_numbers(model: onnx.ModelProto, source: str) -> None:
    """Refuses a model with an attribute, or a constant, that no such number can be.

    Constants are those of the graph and of functions themselves: a body may never run. None is read of a file.

    Args:
        model: as it was read, without what lies in other files.
        source: what to call it in a message.

    Raises:
        UserError: names the node.
    """
    for holder in (model, *model.functions):
        for node, _ in nodes(holder):
            if node.domain in _KNOWN:
                check_counts(node, called(node, source))
        graph = holder.graph if isinstance(holder, onnx.ModelProto) else holder
        constants = _constants(graph)
        for node in graph.node:
            if node.domain in _STANDARD:
                name = node.name or next(iter(node.output), "")
                refuse_odd(node.op_type, name, partial(_value, node, constants))


def _constants(graph: onnx.GraphProto | onnx.FunctionProto) -> _Constants:
    found = {each.name: each for each in getattr(graph, "initializer", ())}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            values = (each.t for each in node.attribute if each.name == "value")
            found.update((node.output[0], value) for value in values)
    return {name: tensor for name, tensor in found.items() if not is_external(tensor)}


def _value(node: onnx.NodeProto, constants: _Constants, place: int) -> np.ndarray | None:
    tensor = constants.get(node.input[place]) if len(node.input) > place else None
    if tensor is None:
        return None
    try:
        return onnx.numpy_helper.to_array(tensor)
    except Exception:  # what is no tensor onnxruntime tells better
        return None
