"""From artifacts and a checkpoint to a plain ONNX model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Union

import onnx
import onnx_ir as ir

from svgd_onnx import checkpoint
from svgd_onnx.conversion import CHECKPOINT, EVAL_MODEL
from svgd_onnx.files import whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.transforms.emit import InferenceModel
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT

# Protocol buffers end at 2 GiB; the graph itself needs some room too.
_LARGEST_FILE = 1_900_000_000

PathLike = Union[str, "os.PathLike[str]"]


def export(folder: PathLike, path: PathLike) -> None:
    """Writes the model of a folder's checkpoint as plain ONNX.

    Args:
        folder: training artifacts.
        path: the file to write; it is replaced all at once. Tensors of more than 1.9 GB in all go into
            a second file, of the same name and `.data` after it.

    Raises:
        UserError: the folder holds no artifacts, or the file cannot be written.
    """
    source = Path(folder)
    manifest = Manifest.load(source)
    export_model(source, manifest, checkpoint.load(source / CHECKPOINT), Path(path))


def export_model(folder: Path, manifest: Manifest, state: Any, path: Path) -> None:
    """Writes the evaluation model without its loss, with the parameters of a checkpoint state."""
    model = ir.load(folder / EVAL_MODEL)
    parameters = {
        parameter.name: checkpoint.array(state, parameter.name) for parameter in manifest.parameters
    }
    inputs = [tensor.name for tensor in manifest.inputs]
    InferenceModel(parameters, inputs, LOSS_OUTPUT)(model)
    size = sum(array.nbytes for array in parameters.values())
    with whole_file(path) as temporary:
        if size < _LARGEST_FILE:
            ir.save(model, temporary)
            onnx.checker.check_model(str(temporary))
        else:
            _save_with_data(model, temporary, f"{path.name}.data")


def _save_with_data(model: ir.Model, temporary: Path, data_name: str) -> None:
    """Writes the tensors beside the model, which calls their file by its final name."""
    with tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".export.") as folder:
        whole = Path(folder) / "model.onnx"
        ir.save(model, whole, external_data=data_name)
        (Path(folder) / data_name).replace(temporary.with_name(f"{temporary.name}.data"))
        whole.replace(temporary)
