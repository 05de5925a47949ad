"""From artifacts and a checkpoint to a plain ONNX model."""

from __future__ import annotations

from pathlib import Path

from svgd_onnx.files import PathLike
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.training.exported_model import write_model
from svgd_onnx.training.kept_checkpoints import LAST, find


def export(
    folder: PathLike,
    path: PathLike,
    *,
    requantize: bool = False,
    checkpoint: str = LAST,
    trained: bool = False,
) -> None:
    """Writes the model of a folder's checkpoint as plain ONNX.

    Args:
        folder: training artifacts.
        path: the file to write; it is replaced all at once. Tensors of more than 1.9 GB in all go into
            a second file, of the same name and `.data` after it.
        requantize: whether scales of quantized weights are found anew, so that their range is that of what
            the weights have become.
        checkpoint: of which: "last", "best", "initial", or "step-1600" of those that training kept.
        trained: whether the parameters as they were trained are written where there are averages of them.

    Raises:
        UserError: the folder holds no artifacts or no such checkpoint, no scale can be found anew, or the
            file cannot be written.
    """
    source = Path(folder)
    manifest = Manifest.load(source)
    check_not_of_artifacts(Path(path), source)
    step = find(source, manifest, checkpoint)
    value = target_named(manifest.target).checkpoint(source, manifest, step)
    write_model(source, manifest, value, Path(path), requantize=requantize, trained=trained)
