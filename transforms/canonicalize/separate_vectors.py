"""Undo the sharing of equal vectors that exporters introduce."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Hashable, Iterable

import numpy as np
import onnx_ir as ir

# In the metadata of an initializer: the name of the one that its vector was stored under.
SEPARATED_FROM = "svgd.separated_from"

# Where torch.onnx's exporter writes down the modules around a node, the outermost first, the node last.
_SCOPES = "pkg.torch.onnx.name_scopes"
# What learned vectors are called, by operator and input.
_ROLES: dict[str, dict[int, str]] = {
    "Add": {0: "bias", 1: "bias"},
    "BatchNormalization": {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"},
    "Conv": {2: "bias"},
    "ConvTranspose": {2: "bias"},
    "Gemm": {2: "bias"},
    "GroupNormalization": {1: "weight", 2: "bias"},
    "InstanceNormalization": {1: "weight", 2: "bias"},
    "LayerNormalization": {1: "weight", 2: "bias"},
    "Mul": {0: "weight", 1: "weight"},
    "PRelu": {1: "weight"},
    "RMSNormalization": {1: "weight"},
    # onnxruntime's
    "Attention": {2: "bias"},
    "BiasGelu": {1: "bias"},
    "EmbedLayerNormalization": {5: "weight", 6: "bias"},
    "FastGelu": {1: "bias"},
    "FusedConv": {2: "bias"},
    "FusedGemm": {2: "bias"},
    "MultiHeadAttention": {3: "bias"},
    "SimplifiedLayerNormalization": {1: "weight"},
    "SkipLayerNormalization": {2: "weight", 3: "bias", 4: "bias"},
    "SkipSimplifiedLayerNormalization": {2: "weight", 3: "bias"},
}


class SeparateVectors(ir.passes.InPlacePass):
    """Gives each layer a vector of its own.

    PyTorch's exporters store equal tensors once, and hand out the others as Identity, or let many nodes
    read the one: in a model that is not trained yet the scales of all normalizations of one width. They
    are different parameters. A matrix that is shared this way (tied embeddings) stays shared, and so
    does a vector that a module takes with it wherever it is called: nodes of one module, or with one
    matrix. Only vectors of one number throughout are read directly by chance.

    Ensures: the metadata of a new initializer says which one it was stored under.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        separated = _separate_identities(graph)
        for value in list(graph.initializers.values()):
            separated |= _separate_readers(graph, value)
        return ir.passes.PassResult(model, separated)


def _separate_identities(graph: ir.Graph) -> bool:
    modified = False
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Identity" and node.domain == "" else None
        tensor = source.const_value if source is not None and source.is_initializer() else None
        output = node.outputs[0]
        if source is None or tensor is None or output.is_graph_output():
            continue
        if len(tensor.shape) <= 1:
            name, output.name = output.name or "", f"{output.name}/identity"
            output.replace_all_uses_with(_copy(graph, source, name))
        else:
            output.replace_all_uses_with(source)
        graph.remove(node, safe=True)
        modified = True
    return modified


def _separate_readers(graph: ir.Graph, value: ir.Value) -> bool:
    """Gives each module but the first that reads a vector one of its own."""
    uses = [(node, at) for node, at in value.uses() if at in _ROLES.get(node.op_type, ())]
    if len(uses) < 2 or len(uses) < len(value.uses()) or not _is_one_number(value):
        return False
    readers: dict[Hashable, list[tuple[ir.Node, int]]] = defaultdict(list)
    for node, at in uses:
        readers[_module(node, at)].append((node, at))
    for count, group in enumerate(list(readers.values())[1:], start=2):
        copy = _copy(graph, value, _name(graph, value, *group[0], count))
        for node, at in group:
            node.replace_input_with(at, copy)
    return len(readers) > 1


def _is_one_number(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or value.is_graph_input() or value.is_graph_output():
        return False
    if not tensor.dtype.is_floating_point() or len(tensor.shape) != 1 or tensor.size < 2:
        return False
    numbers = tensor.numpy()
    return bool((numbers == numbers[0]).all())


def _module(node: ir.Node, at: int) -> Hashable:
    """What tells the module that a node is of from others."""
    role = _ROLES[node.op_type][at]
    scope = _scope(node)
    if scope:
        return scope, role
    matrices = tuple(_matrices(node))
    return (matrices, role) if matrices else (node, at)


def _scope(node: ir.Node) -> str:
    """The path of a node's module, as torch has it; empty if the exporter did not write it."""
    written = node.metadata_props.get(_SCOPES)
    if written is not None:
        scopes = ast.literal_eval(written)
        return str(scopes[-2]) if len(scopes) > 1 else ""
    return (node.name or "").rpartition("/")[0].strip("/").replace("/", ".")


def _matrices(node: ir.Node) -> Iterable[ir.Value]:
    """The matrices of a node, or of the product that it adds to."""
    before = [value.producer() for value in node.inputs if value is not None]
    for each in (node, *(other for other in before if other is not None)):
        for value in each.inputs:
            tensor = None if value is None else value.const_value
            if value is not None and tensor is not None and len(tensor.shape) > 1:
                yield value


def _name(graph: ir.Graph, value: ir.Value, node: ir.Node, at: int, count: int) -> str:
    scope = _scope(node)
    name = f"{scope}.{_ROLES[node.op_type][at]}" if scope else f"{value.name}.{count}"
    while name in graph.initializers or any(name == each.name for each in graph.inputs):
        name += f".{count}"
    return name


def _copy(graph: ir.Graph, value: ir.Value, name: str) -> ir.Value:
    """An initializer of its own, with the same numbers."""
    assert value.const_value is not None
    numbers = np.array(value.const_value.numpy())
    own = ir.val(name, const_value=ir.tensor(numbers, name=name))
    own.meta.update(value.meta)
    own.meta[SEPARATED_FROM] = value.name
    graph.register_initializer(own)
    return own
