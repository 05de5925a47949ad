"""From artifacts and a checkpoint to a plain ONNX model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import training_binding
from svgd_onnx.targets import ORT_TRAINING

PathLike = Union[str, "os.PathLike[str]"]


def export(folder: PathLike, path: PathLike) -> None:
    """Writes the model of a folder's checkpoint as plain ONNX.

    Args:
        folder: training artifacts.
        path: the file to write; it is replaced all at once. Of artifacts of the target ort-training,
            tensors of more than 1.9 GB in all go into a second file, of the same name and `.data`
            after it.

    Raises:
        UserError: the folder holds no artifacts, or the file cannot be written.
    """
    source = Path(folder)
    manifest = Manifest.load(source)
    # Each only where it is wanted: a device without training has neither its layer nor onnx.
    if manifest.target == ORT_TRAINING:
        training_binding()
        from svgd_onnx.targets.ort_training.export import export_checkpoint
    else:
        from svgd_onnx.targets.standard_onnx.export import export_checkpoint
    export_checkpoint(source, manifest, Path(path))
