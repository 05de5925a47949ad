"""Which weights low-rank adapters can stand beside, and why others cannot have one."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from math import prod

import onnx_ir as ir

from svgd_onnx.errors import UserError, check_several, listed, option
from svgd_onnx.transforms import constants
from svgd_onnx.transforms.finetune.linear_layers import (
    CONVOLUTION,
    MATRIX,
    LinearLayer,
    linear_layer,
    readers_of,
)
from svgd_onnx.transforms.rule import integer
from svgd_onnx.transforms.stored_tensors import tensor_of

# The modules around a node, from the outermost to the node's own name, as a list of Python.
_SCOPES = "pkg.torch.onnx.name_scopes"

Layers = dict[str, list[LinearLayer]]


def adaptable_weights(graph: ir.Graph) -> tuple[Layers, dict[str, str]]:
    """The layers of each stored weight that adapters can stand beside; and of the others, why not.

    An adapter changes its weight wherever that is read, so all that reads it must be layers of one kind.
    """
    layers: Layers = {}
    for node in graph:
        layer = linear_layer(node)
        if layer is not None:
            layers.setdefault(layer.name, []).append(layer)
    obstacles = {name: why for name, each in layers.items() if (why := _obstacle(each))}
    return {name: each for name, each in layers.items() if name not in obstacles}, obstacles


def chosen_weights(graph: ir.Graph, globs: Sequence[str], head: Sequence[str]) -> list[str]:
    """The weights that adapters are to stand beside.

    Args:
        graph: of the model as it came.
        globs: for names of weights, of the nodes that take them, or of the modules that PyTorch says of these;
            none for all that adapters can stand beside but the head's and those of transforms.
        head: the names of the last layer's weights.

    Raises:
        UserError: there are none, or a glob matches none, or one that has an obstacle.
    """
    check_several("lora_targets", globs)
    layers, obstacles = adaptable_weights(graph)
    if not globs:
        chosen = [
            name for name, each in layers.items() if name not in head and not _is_fixed(each[0])
        ]
        if not chosen:
            why = listed(f"'{name}' {why}" for name, why in obstacles.items()) or "there is none"
            raise UserError(
                f"The model has no weight of a Gemm, MatMul or Conv for {option('lora')}, but that of its "
                f"head: {why}."
            )
        return chosen
    names = {
        name: [name, *(called for layer in each for called in _names(layer.node))]
        for name, each in layers.items()
    }
    for glob in globs:
        if any(fnmatchcase(each, glob) for found in names.values() for each in found):
            continue
        refused = [f"'{name}' {why}" for name, why in obstacles.items() if fnmatchcase(name, glob)]
        if refused:
            raise UserError(
                f"{option('lora_targets')} '{glob}' matches what no adapter can stand beside: "
                f"{listed(refused)}."
            )
        raise UserError(
            f"{option('lora_targets')} '{glob}' matches no weight of a Gemm, MatMul or Conv, and no such "
            f"node; there are: {listed(each[-1] for each in names.values())}."
        )
    return [
        name
        for name, found in names.items()
        if any(fnmatchcase(each, glob) for each in found for glob in globs)
    ]


def _names(node: ir.Node) -> Iterator[str]:
    """A node's name, and that of the innermost module around it, where torch's exporter has written it."""
    yield node.name or ""
    with suppress(ValueError, SyntaxError):
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        if isinstance(scopes, list) and len(scopes) > 1:
            yield str(scopes[-2])


def _obstacle(layers: Sequence[LinearLayer]) -> str | None:
    """Why no adapter can stand beside a weight, a phrase that follows its name; None if one can."""
    first = layers[0]
    nodes = {layer.node for layer in layers}
    others = [reader for reader in readers_of(first.weight) if reader not in nodes]
    if others:
        return f"is read by {others[0].op_type} '{others[0].name}' too"
    for layer in layers:
        node = layer.node
        if layer.kind == CONVOLUTION and integer(node, "group", 1) != 1:
            return f"is of a Conv with groups, '{node.name}'"
        if node.op_type == "Gemm" and integer(node, "transA", 0):
            return f"is of a Gemm that transposes its input, '{node.name}'"
        if layer.kind == MATRIX and any(
            value is not None and position != 1 and value is node.inputs[1]
            for position, value in enumerate(node.inputs)
        ):
            return f"is taken twice by '{node.name}'"
    ways = {(layer.kind, layer.shape, layer.transposed, layer.dtype) for layer in layers}
    return None if len(ways) == 1 else "is read in several ways"


def _is_fixed(layer: LinearLayer) -> bool:
    """Whether a weight was written down, not learned: a sum, a window, a Fourier transform."""
    tensor = tensor_of(layer.weight)
    if layer.quantized or tensor is None or tensor.size > constants.LARGEST_WRITTEN:
        return False
    array = tensor.numpy()
    if constants.is_one_number(array):
        return True
    if layer.kind == CONVOLUTION:
        return constants.are_transform(array.reshape(-1, prod(layer.shape[2:])))
    return constants.are_transform(array if layer.transposed else array.T)
