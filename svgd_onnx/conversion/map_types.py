"""Outputs that are maps, as ZipMap of ai.onnx.ml gives, whose types onnx-ir does not read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import onnx
import onnx_ir as ir

# In the metadata of a graph's output: its type, as it is written in a file.
_TYPE = "svgd.map_type"


def read_with_maps(proto: onnx.ModelProto) -> ir.Model:
    """A model of which some outputs may be maps, or sequences of them; `save_with_maps` writes it.

    Args:
        proto: it stays as it is.
    """
    types = {
        value.name: value.type.SerializeToString()
        for value in (*proto.graph.output, *proto.graph.value_info)
        if _has_maps(value.type)
    }
    model = ir.from_proto(_without_types(proto, types) if types else proto)
    for output in model.graph.outputs:
        if output.name in types:
            output.meta[_TYPE] = types[output.name]
    return model


def _without_types(proto: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for value in (*copy.graph.output, *copy.graph.value_info):
        if value.name in names:
            value.ClearField("type")
    return copy


def save_with_maps(model: ir.Model, path: Path) -> None:
    """Writes a model, and the types of its outputs that are maps."""
    types = {
        output.name: output.meta[_TYPE] for output in model.graph.outputs if _TYPE in output.meta
    }
    ir.save(model, path)
    if types:
        _write_types(types, path)


def _write_types(types: Mapping[str | None, bytes], path: Path) -> None:
    proto = onnx.load(path, load_external_data=False)
    for value in proto.graph.output:
        if value.name in types:
            value.type.ParseFromString(types[value.name])
    onnx.save(proto, path)


def _has_maps(given: onnx.TypeProto) -> bool:
    if given.HasField("sequence_type"):
        return _has_maps(given.sequence_type.elem_type)
    return bool(given.HasField("map_type"))
