"""Bring the model to an opset that onnxruntime 1.19 can differentiate."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx_ir as ir
from onnx import version_converter

from svgd_onnx.errors import UserError, first_line
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.infer_shapes import symbols_of
from svgd_onnx.transforms.canonicalize.older_opset import OlderOpset
from svgd_onnx.transforms.passes import run
from svgd_onnx.transforms.stored_tensors import tensor_of

# BatchNormalization has an explicit training mode from 14 on, and 17 is what ORT's gradient
# builder was written against; 21 is the newest opset, and 10 the newest IR, that 1.19 loads.
OLDEST_OPSET = 17
NEWEST_OPSET = 21
OLDEST_IR = 8
NEWEST_IR = 10


_RESIZE_WITH_MODES = 11
# The converter looks into shapes and scales, and copies everything else several times.
_LARGE = 1024


class Opset(ir.passes.InPlacePass):
    """Converts opsets below 17 up, opsets above 21 down, and leaves those between alone.

    Up by onnx's converter, in which large weights take no part, so that they are never copied.

    Args:
        oldest: another than 17, below which opsets are converted up to it.

    Ensures: the default domain's opset lies in [17, 21], the IR version in [8, 10].
    """

    def __init__(self, oldest: int = OLDEST_OPSET) -> None:
        super().__init__()
        self._oldest = oldest

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        version = model.graph.opset_imports.get("", 0)
        target = min(max(version, self._oldest), NEWEST_OPSET)
        if version > target:
            run(model, OlderOpset(target))
        elif version < target:
            model.graph = _convert(model, version, target)
        model.ir_version = min(max(model.ir_version, OLDEST_IR), NEWEST_IR)
        return ir.passes.PassResult(model, modified=version != target)

    def ensures(self, model: ir.Model) -> None:
        version = model.graph.opset_imports.get("", 0)
        if not self._oldest <= version <= NEWEST_OPSET:
            raise ir.passes.PostconditionError(f"the opset is {version}")
        if not OLDEST_IR <= model.ir_version <= NEWEST_IR:
            raise ir.passes.PostconditionError(f"the IR version is {model.ir_version}")


def _convert(model: ir.Model, version: int, target: int) -> ir.Graph:
    _forget_statistics(model.graph)
    named = _names_of_axes(model.graph)
    metadata = {name: value.meta for name, value in model.graph.initializers.items()}
    weights = _take_out_weights(model.graph)
    proto = ir.to_proto(model)
    try:
        converted = ir.from_proto(version_converter.convert_version(proto, target)).graph
    except Exception as error:  # the converter raises RuntimeError and its own ConvertError
        raise UserError(
            f"The model's opset {version} cannot be converted to {target} ({first_line(error)}): "
            f"export it again with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}."
        ) from error
    _forget_other_names(converted, named)
    _put_back_weights(converted, weights)
    for name, value in converted.initializers.items():
        value.meta.update(metadata.get(name, {}))
    if version < _RESIZE_WITH_MODES:
        _keep_old_resize(converted)
    return converted


def _forget_statistics(graph: ir.Graph) -> None:
    """Takes away what BatchNormalization gives in training before opset 14, which cannot be converted."""
    for node in graph:
        if node.op_type == "BatchNormalization" and node.domain == "":
            read = [value.uses() or value.is_graph_output() for value in node.outputs[1:]]
            if not any(read):
                node.resize_outputs(1)


def _names_of_axes(graph: ir.Graph) -> set[str]:
    values = (*graph.inputs, *(value for node in all_nodes(graph) for value in node.outputs))
    return {name for value in values for name in symbols_of(value)}


def _forget_other_names(graph: ir.Graph, named: Container[str]) -> None:
    """Opens the axes that the converter named: of their sizes it knows nothing."""
    for node in all_nodes(graph):
        for value in node.outputs:
            if value.shape is not None and not all(name in named for name in symbols_of(value)):
                value.shape = ir.Shape(
                    [
                        dim if isinstance(dim, int) or dim.value in named else None
                        for dim in value.shape
                    ]
                )


def _keep_old_resize(graph: ir.Graph) -> None:
    """Says what Upsample, and Resize of opset 10, meant before there were words for it.

    onnx's converter leaves the new attributes at their defaults, which mean something else
    (onnx 1.23). onnxruntime rounds down when it enlarges and up when it shrinks.
    """
    for node in graph:
        if node.op_type != "Resize" or node.domain != "":
            continue
        scales = _constant(node.inputs[2] if len(node.inputs) > 2 else None)
        shrinks = scales is not None and bool((scales < 1).any())
        for name, value in (
            ("coordinate_transformation_mode", "asymmetric"),
            ("nearest_mode", "ceil" if shrinks else "floor"),
        ):
            node.attributes[name] = ir.AttrString(name, value)


def _constant(value: ir.Value | None) -> np.ndarray | None:
    tensor = None if value is None else tensor_of(value)
    return None if tensor is None else tensor.numpy()


def _take_out_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Turns large initializers into inputs; returns their values."""
    weights = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.size < _LARGE or value.is_graph_output():
            continue
        weights[name] = tensor
        del graph.initializers[name]
        value.const_value = None
        value.dtype, value.shape = tensor.dtype, ir.Shape(tensor.shape.numpy())
        if not value.is_graph_input():
            graph.inputs.append(value)
    return weights


def _put_back_weights(graph: ir.Graph, weights: dict[str, ir.TensorProtocol]) -> None:
    inputs = [value for value in graph.inputs if value.name not in weights]
    returned = [value for value in graph.inputs if value.name in weights]
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    for value in returned:
        value.const_value = weights[value.name or ""]
        graph.register_initializer(value)
