"""From artifacts and a checkpoint to a plain ONNX model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Union

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx.files import whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import EVAL_MODEL, ORT_TRAINING
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
    export_model(source, manifest, _values(source, manifest), Path(path))


def export_model(
    folder: Path, manifest: Manifest, value: Callable[[str], np.ndarray], path: Path
) -> None:
    """Writes the evaluation model without its loss.

    Args:
        folder: training artifacts.
        manifest: theirs.
        value: that of a parameter, by its name.
        path: the file to write.
    """
    model = ir.load(folder / EVAL_MODEL)
    parameters = {parameter.name: value(parameter.name) for parameter in manifest.parameters}
    inputs = [tensor.name for tensor in manifest.inputs]
    InferenceModel(parameters, inputs, LOSS_OUTPUT)(model)
    size = sum(array.nbytes for array in parameters.values())
    with whole_file(path) as temporary:
        if size < _LARGEST_FILE:
            ir.save(model, temporary)
            onnx.checker.check_model(str(temporary))
        else:
            _save_with_data(model, temporary, f"{path.name}.data")


def _values(folder: Path, manifest: Manifest) -> Callable[[str], np.ndarray]:
    """The tensors of a folder's checkpoint, by name."""
    if manifest.target == ORT_TRAINING:
        from svgd_onnx.targets.ort_training import artifacts, checkpoint

        state = checkpoint.load(folder / artifacts.CHECKPOINT)
        return lambda name: checkpoint.array(state, name)
    from svgd_onnx.targets.standard_onnx import artifacts as standard
    from svgd_onnx.targets.standard_onnx import checkpoint as safetensors

    tensors, _ = safetensors.load(folder / standard.CHECKPOINT)
    return tensors.__getitem__


def _save_with_data(model: ir.Model, temporary: Path, data_name: str) -> None:
    """Writes the tensors beside the model, which calls their file by its final name."""
    with tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".export.") as folder:
        whole = Path(folder) / "model.onnx"
        ir.save(model, whole, external_data=data_name)
        (Path(folder) / data_name).replace(temporary.with_name(f"{temporary.name}.data"))
        whole.replace(temporary)
