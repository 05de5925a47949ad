"""Models of float16 and bfloat16, and weights stored so, in the float32 in which they are trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import with_bodies
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.stored_types import STORED_AS, STORED_TENSOR

_HALVES = {ir.DataType.FLOAT16: "float16", ir.DataType.BFLOAT16: "bfloat16"}
_SINGLE = ir.DataType.FLOAT
# What operators call the type of their output, or of what they compute with.
_TYPE_ATTRIBUTES = frozenset({"dtype", "output_datatype", "output_dtype", "stash_type", "to"})
_CASTS = frozenset({"Cast", "CastLike"})


class SinglePrecision(ir.passes.InPlacePass):
    """Makes every tensor of 16 bits one of float32; numbers stay what they are.

    Inputs and outputs too: data may come in either. A Cast between such types goes, so that a weight
    stored in 16 bits is read directly.

    Ensures: no value, initializer or attribute is of float16 or bfloat16; the metadata of an initializer
        says in which of them it was stored.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        if not any(_is_half(graph) for graph in with_bodies(model.graph)):
            return ir.passes.PassResult(model, modified=False)
        InferShapes()(model)  # which Casts are of such types
        for graph in with_bodies(model.graph):
            _remove_casts(graph)
        for graph in with_bodies(model.graph):
            for value in _values(graph):
                value.type = _single(value.type)
            for initializer in graph.initializers.values():
                _convert(initializer)
            for node in graph:
                _convert_attributes(node)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if any(_is_half(graph) for graph in with_bodies(model.graph)):
            raise ir.passes.PostconditionError("something has 16 bits")


def _is_half(graph: ir.Graph) -> bool:
    if any(_single(value.type) is not value.type for value in _values(graph)):
        return True
    if any(value.dtype in _HALVES for value in graph.initializers.values()):
        return True
    return any(_half_attributes(node) for node in graph)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


def _single(given: ir.TypeProtocol | None) -> ir.TypeProtocol | None:
    """The type of float32 instead of one of 16 bits, also within sequences and optional values."""
    if isinstance(given, ir.TensorType):
        return ir.TensorType(_SINGLE) if given.dtype in _HALVES else given
    if isinstance(given, ir.SequenceType | ir.OptionalType):
        inner = _single(given.elem_type)
        return given if inner is given.elem_type or inner is None else type(given)(inner)
    return given


def _remove_casts(graph: ir.Graph) -> None:
    """Takes out what casts between types that become one."""
    for node in list(graph):
        if node.op_type not in _CASTS or node.domain != "":
            continue
        source, output = node.inputs[0], node.outputs[0]
        types = {None if source is None else source.dtype, output.dtype}
        if source is None or not types <= {*_HALVES, _SINGLE} or types == {_SINGLE}:
            continue
        if not output.is_graph_output():
            output.replace_all_uses_with(source)
            graph.remove(node, safe=True)


def _convert(value: ir.Value) -> None:
    tensor = value.const_value
    if tensor is None or tensor.dtype not in _HALVES:
        return
    value.meta[STORED_AS] = _HALVES[tensor.dtype]
    value.meta[STORED_TENSOR] = tensor
    value.const_value = _as_single(tensor, value.name)
    value.type = ir.TensorType(_SINGLE)


def _as_single(tensor: ir.TensorProtocol, name: str | None) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=name)


def _half_attributes(node: ir.Node) -> list[ir.Attr]:
    return [each for each in node.attributes.values() if _tells_half(each)]


def _tells_half(attribute: ir.Attr) -> bool:
    if attribute.is_ref():
        return False
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().dtype in _HALVES
    is_type = attribute.type == ir.AttributeType.INT and attribute.name in _TYPE_ATTRIBUTES
    return is_type and attribute.as_int() in _HALVES


def _convert_attributes(node: ir.Node) -> None:
    for attribute in _half_attributes(node):
        name = attribute.name
        if attribute.type == ir.AttributeType.INT:
            node.attributes[name] = ir.AttrInt64(name, _SINGLE.value)
        else:
            tensor = attribute.as_tensor()
            node.attributes[name] = ir.AttrTensor(name, _as_single(tensor, tensor.name))
