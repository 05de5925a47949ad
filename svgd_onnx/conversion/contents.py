"""What a model's protobuf messages hold, however deep: graphs in nodes, functions, tensors in attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx


def nodes(
    model: onnx.ModelProto | onnx.FunctionProto,
) -> Iterator[tuple[onnx.NodeProto, int]]:
    """The nodes of a model's graph and its bodies, or of a function; and in how many bodies each lies."""
    pending = [(model.graph if isinstance(model, onnx.ModelProto) else model, 0)]
    while pending:
        holder, depth = pending.pop()
        for node in holder.node:
            yield node, depth
            pending += [(body, depth + 1) for body in bodies(node)]


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """A model's graph, and those of its nodes and its functions' nodes."""
    yield model.graph
    for holder in (model, *model.functions):
        for node, _ in nodes(holder):
            yield from bodies(node)


def tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, str]]:
    """The tensors of a model, but for those in sparse ones, and what to call each: its name, or its node's."""
    for graph in graphs(model):
        for tensor in graph.initializer:
            yield tensor, tensor.name
    for attribute, name in _attributes(model):
        if attribute.HasField("t"):
            yield attribute.t, name
        yield from ((tensor, name) for tensor in attribute.tensors)


def sparse_tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.SparseTensorProto, str]]:
    """The sparse tensors of a model, and what to call each."""
    for graph in graphs(model):
        for sparse in graph.sparse_initializer:
            yield sparse, sparse.values.name
    for attribute, name in _attributes(model):
        if attribute.HasField("sparse_tensor"):
            yield attribute.sparse_tensor, name
        yield from ((sparse, name) for sparse in attribute.sparse_tensors)


def _attributes(model: onnx.ModelProto) -> Iterator[tuple[onnx.AttributeProto, str]]:
    """The attributes of all nodes, and what to call each: by its node."""
    for holder in (model, *model.functions):
        for node, _ in nodes(holder):
            name = next(iter(node.output), node.name)
            yield from ((attribute, name) for attribute in node.attribute)


def undecoded_texts(message: Any) -> Iterator[bytes]:
    """Texts in a message, however deep, that are not UTF-8: protobuf gives them as bytes."""
    for field, value in message.ListFields():
        repeated = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for each in value if repeated else [value]:
            if field.type == field.TYPE_MESSAGE:
                yield from undecoded_texts(each)
            elif isinstance(each, bytes):
                yield each
