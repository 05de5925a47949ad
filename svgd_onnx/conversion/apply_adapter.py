"""From a model and a file of adapters to the model that was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx.conversion.map_types import save_with_maps
from svgd_onnx.conversion.model import files_of, load_model, model_at_fault
from svgd_onnx.errors import UserError
from svgd_onnx.files import PathLike, check_destination, whole_file
from svgd_onnx.hashes import sha256
from svgd_onnx.records import Adapter
from svgd_onnx.training.adapter_file import AdapterMetadata, read_adapter
from svgd_onnx.training.adapters import with_change
from svgd_onnx.training.exported_model import DATA_TYPES, Named, complete
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.canonicalize import (
    EmbedConstants,
    InferenceMode,
    canonicalize,
    source_form,
)
from svgd_onnx.transforms.finetune import (
    LowRankAdapters,
    NewHead,
    adaptable_weights,
    complete_shapes,
    factor_shapes,
    stored_shape,
)
from svgd_onnx.transforms.finetune.linear_layers import CONVOLUTION
from svgd_onnx.transforms.stored_tensors import store, tensor_of

# Smaller tensors are written with the graph.
_SMALL = 1024

Tensors = Mapping[str, np.ndarray]


def apply_adapter(
    model: PathLike | onnx.ModelProto,
    adapter: PathLike,
    output: PathLike,
    *,
    external_data: PathLike | None = None,
) -> None:
    """Writes a model with adapters on it: added to weights that are real numbers, beside those that are not.

    Args:
        model: the ONNX file that the adapters were trained over, or the model itself, of which no SHA-256 is
            compared.
        adapter: what `export_adapter` wrote.
        output: the file to write. Of more than 1.9 GB, tensors go into a second file, of the same name and
            `.data` after it.
        external_data: the folder of the files that a model in memory names.

    Raises:
        UserError: a file is not what it should be, or the adapters are another model's, and how that differs.

    Example:
        >>> manifest = svgd_onnx.convert("model.onnx", "adapted", lora=2, lora_targets=["fc1.weight"])
        >>> adapted = svgd_onnx.Trainer("adapted")
        >>> result = adapted.train(examples, epochs=1, batch_size=16, learning_rate=0.1)
        >>> adapted.export_adapter("adapter.safetensors")
        >>> svgd_onnx.apply_adapter("model.onnx", "adapter.safetensors", "tuned.onnx")
    """
    metadata, tensors = read_adapter(adapter)
    with model_at_fault(model):
        source = source_form(load_model(model, external_data))
        check_destination(Path(output), [Path(adapter), *files_of(source)])
        _check_source(source, metadata, adapter)
        _apply(source, metadata, tensors, str(adapter))
        InferenceMode()(source)
        _save(source, Path(output))


def _check_source(source: ir.Model, metadata: AdapterMetadata, adapter: PathLike) -> None:
    found = sorted(sha256(file) for file in files_of(source))
    if found and metadata.source and found != metadata.source:
        raise UserError(
            f"'{adapter}' was trained over another model than '{files_of(source)[0]}' (its SHA-256 is "
            f"{found[0][:12]}…, not {metadata.source[0][:12]}…): give the model that was converted."
        )


def _apply(source: ir.Model, metadata: AdapterMetadata, tensors: Tensors, adapter: str) -> None:
    graph = source.graph
    if metadata.num_classes is not None:
        if metadata.prediction not in [value.name for value in graph.outputs]:
            raise _misfit(adapter, f"the model has no output '{metadata.prediction}'")
        # before room for the head is taken: the file holds it too
        sizes = {size for name in metadata.lora.whole for size in metadata.shapes[name]}
        if metadata.num_classes < 1 or metadata.num_classes not in sizes:
            raise _misfit(adapter, f"it has no head of {metadata.num_classes} classes")
        NewHead(metadata.prediction, metadata.num_classes)(source)
    places = {value.name: value for each in with_bodies(graph) for value in values_of(each)}
    for name in metadata.lora.whole:
        _put(places.get(name), name, tensors, adapter)
    layers, obstacles = adaptable_weights(graph)
    beside = []
    for each in metadata.lora.adapters:
        if each.weight not in layers:
            why = obstacles.get(each.weight)
            raise _misfit(
                adapter,
                f"the model has no layer of '{each.weight}'"
                if why is None
                else f"'{each.weight}' {why}",
            )
        layer = layers[each.weight][0]
        if stored_shape(layer) != tuple(each.shape):
            raise _misfit(
                adapter,
                f"'{each.weight}' is of the shape {list(stored_shape(layer))} in the model, not {each.shape}",
            )
        factors = [tensors[name].shape for name in (each.down, each.up)]
        other = (layer.kind == CONVOLUTION) != (each.kind == CONVOLUTION)
        if other or factors != list(factor_shapes(each, metadata.lora.rank)):
            raise _misfit(adapter, f"the factors of '{each.weight}' are of other shapes")
        if layer.quantized:
            beside.append(each)
        else:
            _merge(layer.weight, each, tensors, adapter)
    LowRankAdapters(beside, tensors)(source)
    if metadata.num_classes is not None:
        complete_shapes(source, canonicalize(source.clone()))


def _merge(weight: ir.Value, adapter: Adapter, tensors: Tensors, file: str) -> None:
    before = tensor_of(weight)
    assert before is not None
    # what is whole in the file has the precision that the model's type may lack
    numbers = tensors.get(adapter.weight, before.numpy()).astype(np.float32)
    changed = with_change(numbers, tensors[adapter.down], tensors[adapter.up], adapter)
    _store(weight, changed, file)


def _put(place: ir.Value | None, name: str, tensors: Tensors, file: str) -> None:
    before = None if place is None else tensor_of(place)
    if place is None or before is None or not before.dtype.is_floating_point():
        raise _misfit(file, f"the model has no place for the numbers of '{name}'")
    if list(before.shape.numpy()) != list(tensors[name].shape):
        raise _misfit(
            file,
            f"'{name}' is of the shape {list(before.shape.numpy())} in the model, not "
            f"{list(tensors[name].shape)}",
        )
    _store(place, tensors[name], file)


def _store(value: ir.Value, numbers: np.ndarray, file: str) -> None:
    store(value, numbers)
    after = tensor_of(value)
    assert after is not None
    if np.isfinite(numbers).all() and not np.isfinite(after.numpy().astype(np.float32)).all():
        raise _misfit(file, f"'{value.name}' has grown beyond what its type, {after.dtype}, holds")


def _save(model: ir.Model, path: Path) -> None:
    """Writes a model, its large tensors behind it."""
    graph = model.graph
    large = {
        name: value.const_value
        for name, value in graph.initializers.items()
        if value.const_value is not None
        and value.const_value.nbytes > _SMALL
        and value.const_value.dtype.name.lower() in _TYPES
    }
    EmbedConstants(large)(model)
    for name in large:
        graph.initializers[name].const_value = None
        del graph.initializers[name]
    with whole_file(path) as temporary:
        save_with_maps(model, temporary)
        complete(temporary, path, _named(large), sum(each.nbytes for each in large.values()))


# onnx-ir's names of element types -> those of weights.
_TYPES = {"float": "float32", **{name: name for name in DATA_TYPES}}


def _named(tensors: Mapping[str, ir.TensorProtocol]) -> Iterator[Named]:
    for name, tensor in tensors.items():
        array = tensor.numpy()
        if array.dtype.name == "bfloat16":
            array = array.view(np.uint16)
        yield (
            name,
            _TYPES[tensor.dtype.name.lower()],
            np.asarray(array).astype(array.dtype.newbyteorder("<"), copy=False),
        )


def _misfit(adapter: str, why: str) -> UserError:
    return UserError(f"'{adapter}' does not fit ({why}): give the model that was converted.")
