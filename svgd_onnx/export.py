"""From artifacts and a checkpoint to a plain ONNX model."""

from __future__ import annotations

import os
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

PathLike = Union[str, "os.PathLike[str]"]


def export(folder: PathLike, path: PathLike) -> None:
    """Writes the model of a folder's checkpoint as plain ONNX.

    Args:
        folder: training artifacts.
        path: the file to write; it is replaced all at once.

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
    with whole_file(path) as temporary:
        onnx.save(ir.to_proto(model), temporary)
        onnx.checker.check_model(str(temporary))
