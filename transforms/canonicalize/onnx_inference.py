"""onnx's own shape inference, read back into a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize.guarded_inference import infer_shapes

# Weights have more bytes; axes, sizes and bounds, whose numbers inference reads, do not.
_LARGEST = 1000


def infer_by_onnx(model: ir.Model, *, follow: bool, named: Callable[[str], bool]) -> None:
    """Notes what onnx's shape inference finds; of a model that it cannot take nothing is.

    Only types and shapes are read back: to make a second graph of what onnx returns, as onnx-ir's pass
    does, takes longer than all else.

    Args:
        model: it keeps all but types and shapes.
        follow: whether sizes are followed through what computes them.
        named: whether an axis may have a name, and is not of unknown size.

    Raises:
        UserError: the inference would end the process.
    """
    try:
        with _small(model):
            proto = ir.to_proto(model)
        inferred = infer_shapes(proto, follow=follow)
    except UserError:
        raise
    except Exception:  # the binding has no class of its own for each of its errors
        return
    _note(model.graph, inferred.graph, named)


@contextmanager
def _small(model: ir.Model) -> Iterator[None]:
    """The model with inputs for its initializers, and without the numbers of large ones."""
    graph = model.graph
    inputs, initializers = list(graph.inputs), list(graph.initializers.values())
    tensors = [value.const_value for value in initializers]
    for value, tensor in zip(initializers, tensors):
        if tensor is not None and value.shape is None:
            value.shape = ir.Shape(tensor.shape.numpy())
        if tensor is not None and value.dtype is None:
            value.dtype = tensor.dtype
        if not value.is_graph_input():
            graph.inputs.append(value)
        if tensor is None or tensor.nbytes > _LARGEST:
            del graph.initializers[value.name or ""]
            value.const_value = None
    try:
        yield
    finally:
        for value, tensor in zip(initializers, tensors):
            value.const_value = tensor
            graph.initializers.add(value)
        graph.inputs.clear()
        graph.inputs.extend(inputs)


def _note(graph: ir.Graph, inferred: onnx.GraphProto, named: Callable[[str], bool]) -> None:
    found = {
        each.name: each.type
        for values in (inferred.value_info, inferred.input, inferred.output)
        for each in values
    }
    for value in graph.inputs:
        _note_of(value, found.get(value.name or ""), named)
    for position, node in enumerate(graph):
        for value in node.outputs:
            _note_of(value, found.get(value.name or ""), named)
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                bodies = {each.name: each.g for each in inferred.node[position].attribute}
                _note(attribute.as_graph(), bodies[attribute.name], named)


def _note_of(value: ir.Value, found: onnx.TypeProto | None, named: Callable[[str], bool]) -> None:
    if found is None:
        return
    if not found.HasField("tensor_type"):
        _note_of_no_tensor(value, found, named)
        return
    tensor = found.tensor_type
    if tensor.elem_type and value.dtype != tensor.elem_type:
        value.dtype = ir.DataType(tensor.elem_type)
    if not tensor.HasField("shape"):
        return
    dims: list[int | str | None] = [
        dim.dim_value
        if dim.HasField("dim_value")
        else (dim.dim_param if dim.dim_param and named(dim.dim_param) else None)
        for dim in tensor.shape.dim
    ]
    if value.shape is None or value.shape != dims:
        value.shape = ir.Shape(dims)


def _note_of_no_tensor(
    value: ir.Value, found: onnx.TypeProto, named: Callable[[str], bool]
) -> None:
    """Of a sequence, an optional value or a sparse tensor; of a map, which onnx-ir has no type for, nothing."""
    try:
        shape = ir.serde.deserialize_type_proto_for_shape(found)
    except (NotImplementedError, ir.serde.SerdeError):
        return
    if shape is not None:
        shape = ir.Shape(
            dim if isinstance(dim, int) else (dim.value if dim.value and named(dim.value) else None)
            for dim in shape
        )
    if shape is not None and value.shape != shape:
        value.shape = shape
    kind = ir.serde.deserialize_type_proto_for_type(found)
    if kind is not None and value.dtype != kind.dtype:
        value.dtype = kind.dtype
