"""Reading a model, and which of its outputs the loss compares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir

from svgd_onnx.conversion.bounds import check_bounds, out_of_bounds
from svgd_onnx.conversion.contents import tensors
from svgd_onnx.conversion.external_data import (
    check_external_data,
    is_external,
    refuse_external_data,
)
from svgd_onnx.conversion.inference import open_session, refused_on_ones
from svgd_onnx.conversion.map_types import read_with_maps
from svgd_onnx.conversion.reading_order import check_reading_order
from svgd_onnx.errors import UserError, first_line, listed, option
from svgd_onnx.files import PathLike, UnchangedFiles, require_there
from svgd_onnx.runtime import inference_runtime
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import with_bodies
from svgd_onnx.transforms.validity import refused_by_checker

_STANDARD = ("", "ai.onnx")
# In a model's `meta`: the files that it was read from, itself and its external data.
_FILES = "svgd.files"
# And how they were before anything was read.
_AS_READ = "svgd.as_read"


def load_model(
    model: PathLike | onnx.ModelProto, external_data: PathLike | None = None
) -> ir.Model:
    """Reads and checks an ONNX model; large tensors in external data are not read yet.

    Args:
        model: a file, or a model.
        external_data: the folder of the files that a model names; None if none is named, or if it is a file,
            which has them beside it.

    Raises:
        UserError: there is no such file, it is not a valid ONNX model, it asks for more than any that is
            trained (`check_bounds`), a node reads what is not there (`check_reading_order`), or external data
            is missing or not in its folder (`check_external_data`).
    """
    require_model(model)
    if isinstance(model, onnx.ModelProto):
        return _in_memory(model, None if external_data is None else Path(external_data))
    if external_data is not None:
        raise UserError(
            f"{option('external_data')} is of models in memory: a file has its external data beside it."
        )
    path = Path(model)
    if path.is_dir():
        raise UserError(f"'{path}' is a folder: give the ONNX file.")
    require_there(path)
    try:
        proto = onnx.load(path, load_external_data=False)
        if not proto.HasField("graph"):
            raise ValueError("it has no graph")
    except Exception as error:  # protobuf and the reader each raise their own
        raise _invalid(path, error) from error
    _check_opset(proto, f"'{path}'")
    check_bounds(proto, f"'{path}'")
    beside = check_external_data(proto, path.parent, f"'{path}'")
    as_read = UnchangedFiles(beside)
    check_reading_order(proto, f"'{path}'")
    try:
        loaded = _read(proto)
    except Exception as error:  # each part of the reader raises its own
        raise _invalid(path, error) from error
    _look_in(path.parent, loaded)
    _check_validity(path, f"'{path}'")
    _check_outputs(loaded, f"'{path}'")
    loaded.meta[_FILES], loaded.meta[_AS_READ] = [path, *beside], as_read
    return loaded


def require_model(model: object) -> None:
    """Refuses what is neither a file nor a model.

    Raises:
        UserError: says what it is.
    """
    if not isinstance(model, str | os.PathLike | onnx.ModelProto):
        how = ", as onnx.load_from_string makes of them" if isinstance(model, bytes) else ""
        raise UserError(
            f"The model is of the type {type(model).__name__}: give an ONNX file, or an onnx.ModelProto{how}."
        )


def files_of(model: ir.Model) -> list[Path]:
    """The files that a model was read from, itself first; none if it was in memory."""
    files: list[Path] = model.meta.get(_FILES, [])
    return files


def beside_as_read(model: ir.Model) -> UnchangedFiles:
    """The files beside a model that hold tensors of it, as they were when it was read."""
    files: UnchangedFiles = model.meta.get(_AS_READ, UnchangedFiles())
    return files


def _in_memory(model: onnx.ModelProto, folder: Path | None) -> ir.Model:
    _check_opset(model, "the model")
    check_bounds(model, "the model")
    beside = []
    if folder is None:
        refuse_external_data(model)
    else:
        given, model = model, onnx.ModelProto()
        model.CopyFrom(given)  # what is small is read into it
        beside = check_external_data(model, folder, "the model")
    as_read = UnchangedFiles(beside)
    check_reading_order(model, "the model")
    _check_validity(model, "the model")
    loaded = _read(model)
    if folder is not None:
        _look_in(folder, loaded)
    loaded.meta[_AS_READ] = as_read
    _check_outputs(loaded, "The model")
    return loaded


def _read(proto: onnx.ModelProto) -> ir.Model:
    """A model whose initializers have the types and shapes of their tensors, whatever else a file states."""
    model = read_with_maps(proto)
    for graph in with_bodies(model.graph):
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is not None:
                value.type = ir.TensorType(tensor.dtype)
                value.shape = tensor.shape if isinstance(tensor.shape, ir.Shape) else value.shape
    return model


def _look_in(folder: Path, model: ir.Model) -> None:
    """Has tensors in external data read from a folder."""
    for graph in (model.graph, *(each.graph for each in model.functions.values())):
        ir.external_data.set_base_dir(graph, folder)


def _invalid(path: Path, error: Exception) -> UserError:
    return UserError(
        f"'{path}' is not a valid ONNX model, or is cut short ({first_line(error)}): export it again."
    )


def _check_opset(model: onnx.ModelProto, name: str) -> None:
    """Refuses an opset of which onnx knows nothing: its checker passes what it does not know."""
    newest = onnx.defs.onnx_opset_version()
    given = max(
        (each.version for each in model.opset_import if each.domain in _STANDARD), default=0
    )
    if given > newest:
        raise UserError(
            f"{name} is of opset {given}, and onnx {onnx.__version__} knows those up to {newest}: update onnx, "
            "or export again with an older opset."
        )


def _check_validity(model: Path | onnx.ModelProto, name: str) -> None:
    refused = refused_by_checker(model)
    if refused is not None:
        raise UserError(f"onnx's checker refuses {name} ({refused}): export it again.")


def _check_outputs(model: ir.Model, name: str) -> None:
    if not model.graph.outputs:
        raise UserError(f"{name} has no output, by which it could be trained: export it again.")


@contextmanager
def model_at_fault(model: PathLike | onnx.ModelProto) -> Iterator[None]:
    """Around what looks into a model: a fault within it is the model's if onnxruntime does not run that.

    Raises:
        UserError: says what onnxruntime has against the model.
    """
    try:
        with out_of_bounds():
            yield
    except UserError:
        raise
    except Exception as error:
        refused = _refused_by_runtime(model)
        if refused is None:
            raise
        raise UserError(
            f"onnxruntime does not run the model ({refused}): export it again."
        ) from error


def _refused_by_runtime(model: PathLike | onnx.ModelProto) -> str | None:
    """What the installed onnxruntime has against a model; None if nothing, or there is none."""
    try:
        onnxruntime = inference_runtime()
    except UserError:
        return None
    if isinstance(model, onnx.ModelProto) and any(is_external(each) for each, _ in tensors(model)):
        return None  # it cannot be asked of a model in memory
    try:
        given = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
        session = open_session(onnxruntime, given, fold=False)
    except Exception as error:  # the binding has an exception class for each status
        return first_line(error)
    return refused_on_ones(onnxruntime, session)


def choose_prediction(graph: ir.Graph, prediction: str | None, named_by: str = "prediction") -> str:
    """The output that the loss compares, as the graph calls it.

    Args:
        graph: of the model.
        prediction: the output as users call it; None for the only one.
        named_by: the option that names it.

    Raises:
        UserError: there is no such output, or there are several and none is named.
    """
    names = {unquoted(value.name or ""): value.name or "" for value in graph.outputs}
    if prediction is None:
        if len(names) == 1:
            return next(iter(names.values()))
        raise UserError(
            f"The model has several outputs ({listed(names)}): say with {option('prediction')} which "
            f"one the loss compares, or with {option('loss')}, by their names, the loss of each of several."
        )
    if prediction not in names:
        raise UserError(
            f"{option(named_by)} '{prediction}' is no output of the model: it has {listed(names)}."
        )
    return names[prediction]
