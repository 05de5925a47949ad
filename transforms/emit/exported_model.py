"""What is exported: the model as it came, with places for its parameters instead of their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.canonicalize.embed_constants import EmbedConstants
from svgd_onnx.transforms.canonicalize.fold_constants import FOLDED_FROM
from svgd_onnx.transforms.canonicalize.inference_mode import InferenceMode
from svgd_onnx.transforms.emit.final_names import FinalNames
from svgd_onnx.transforms.emit.own_scales import OwnScale, own_scales
from svgd_onnx.transforms.lower.fake_quantize import LowerFakeQuantize
from svgd_onnx.transforms.stored_tensors import tensor_of
from svgd_onnx.transforms.stored_types import QUANTIZATION, SINGLE, STORED_TENSOR, stored_as

# What onnxruntime 1.17 reads.
_IR_VERSION = 9


@dataclass(frozen=True)
class ExportedModel:
    """What `export` puts trained parameters into.

    Attributes:
        model: reads the parameters, and has no initializers for them.
        stored_as: the element type of each there, "float32" or another.
        own_scales: of quantized parameters, by the names that they came with; it has none of these either.
        obstacle: why it is the canonical form; None where it is the model as it came.
    """

    model: ir.Model
    stored_as: dict[str, str]
    own_scales: Mapping[str, OwnScale] = field(default_factory=dict)
    obstacle: str | None = None


class _NoPlaceError(Exception):
    """Why a parameter cannot be put into the model as it came."""


def exported_model(
    source: ir.Model,
    canonical: ir.Model,
    parameters: Collection[str],
    trained: Collection[str],
    own: Collection[str],
    merged: Collection[str] = (),
) -> ExportedModel:
    """The model as it came, where each parameter has a place in it, or else the canonical form.

    A parameter takes the place of the source's value of its name, if that holds the numbers that the
    parameter starts from: an initializer, of the main graph or of a body, or what a node computes from
    constants alone, which is then not computed any more.

    Args:
        source: the model as it came, in `source_form`; it is not to be used afterwards.
        canonical: the same in canonical form; it stays as it is.
        parameters: names of initializers of the canonical form.
        trained: those of them whose numbers training changes.
        own: the names of the model's inputs, outputs and parameters in the canonical form.
        merged: those of the parameters that export adds to others, so that the model as it came has no places
            for them; the canonical form has.
    """
    initial = {name: _initial(canonical.graph.initializers[name]) for name in parameters}
    try:
        _refuse_folded(canonical.graph, trained)
        _refuse_training_mode(source)
        values = _values_by_name(source)
        placed = [name for name in parameters if name not in merged]
        places = [_place(values, source.graph, name, initial.get(name)) for name in placed]
    except _NoPlaceError as why:
        model = canonical.clone()
        LowerFakeQuantize()(model)
        for name in parameters:
            del model.graph.initializers[name]
        model.ir_version = min(model.ir_version, _IR_VERSION)
        FinalNames(own)(model)
        return ExportedModel(model, dict.fromkeys(parameters, SINGLE), {}, str(why))
    InferenceMode()(source)
    quantized = [
        unquoted(name)
        for name in parameters
        if QUANTIZATION in canonical.graph.initializers[name].meta
    ]
    scales = own_scales(source.graph, quantized)
    for place in (*places, *(each.value for each in scales.values())):
        _clear(place)
    common.RemoveUnusedNodesPass()(source)
    EmbedConstants(())(source)
    types = {name: stored_as(canonical.graph.initializers[name]) for name in parameters}
    return ExportedModel(source, types, scales)


def _initial(value: ir.Value) -> ir.TensorProtocol | None:
    """What a parameter starts from, as the model as it came has it."""
    stored: ir.TensorProtocol | None = value.meta.get(STORED_TENSOR)
    return value.const_value if stored is None else stored


def _refuse_folded(graph: ir.Graph, trained: Collection[str]) -> None:
    for name in trained:
        if graph.initializers[name].meta.get(FOLDED_FROM):
            raise _NoPlaceError(f"constants were computed from '{unquoted(name)}'")


def _refuse_training_mode(model: ir.Model) -> None:
    """What a function gives in training mode may be read anywhere."""
    for function in model.functions.values():
        for node in function:
            if "training_mode" in node.attributes or (
                node.op_type == "Dropout" and len(node.inputs) > 2
            ):
                raise _NoPlaceError(f"a function has {node.op_type} in training mode")


def _values_by_name(model: ir.Model) -> dict[str, ir.Value | None]:
    """The values of the main graph and of bodies; None where several have one name."""
    found: dict[str, ir.Value | None] = {}
    for graph in with_bodies(model.graph):
        for value in values_of(graph):
            if value.name:
                found[value.name] = None if value.name in found else value
    return found


def _place(
    values: Mapping[str, ir.Value | None],
    main: ir.Graph,
    name: str,
    initial: ir.TensorProtocol | None,
) -> ir.Value:
    """The value of the model as it came that a parameter takes the place of.

    Raises:
        _NoPlaceError: it is in a function, or computed in a body, or another value has its name.
    """
    name = unquoted(name)
    value = values.get(name)
    if value is None or value.is_graph_input():
        raise _NoPlaceError(f"'{name}' has no place of that name in the model as it came")
    tensor = tensor_of(value)
    if value.graph is not main and (tensor is None or value.is_graph_output()):
        raise _NoPlaceError(f"'{name}' is computed or returned in a body")
    if tensor is not None and not _equal(tensor, initial):
        raise _NoPlaceError(f"'{name}' has other numbers in the model as it came")
    return value


def _clear(value: ir.Value) -> None:
    """Takes a value away, so that its readers read an initializer of the main graph to be."""
    if value.is_initializer():
        assert isinstance(value.graph, ir.Graph) and value.name is not None
        del value.graph.initializers[value.name]
        value.const_value = None
        return
    place = ir.val(value.name, type=value.type, shape=value.shape)
    value.name = f"{value.name}/replaced"
    value.replace_all_uses_with(place, replace_graph_outputs=True)


def _equal(tensor: ir.TensorProtocol, other: ir.TensorProtocol | None) -> bool:
    if other is None or list(tensor.shape.numpy()) != list(other.shape.numpy()):
        return False
    if tensor is other:
        return True
    numbers = tensor.numpy().astype(np.float32)
    return bool(np.array_equal(numbers, other.numpy().astype(np.float32), equal_nan=True))
