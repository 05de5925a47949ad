"""The trained model: the evaluation model without its loss, with the weights of a checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.files import whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.step_names import LOSS, beside
from svgd_onnx.targets.ort_training.input_names import input_name
from svgd_onnx.targets.target import EVAL_MODEL, Values
from svgd_onnx.transforms.emit import InferenceModel
from svgd_onnx.transforms.validity import refused_by_checker

# Protocol buffers end at 2 GiB; the graph itself needs some room too.
_LARGEST_FILE = 1_900_000_000


def export_model(folder: Path, manifest: Manifest, value: Values, path: Path) -> None:
    """Writes the evaluation model without its loss.

    Args:
        folder: training artifacts.
        manifest: theirs.
        value: that of a parameter, by its name.
        path: the file to write.

    Raises:
        UserError: onnx's checker refuses the model.
    """
    model = ir.load(folder / EVAL_MODEL)
    parameters = {parameter.name: value(parameter.name) for parameter in manifest.parameters}
    own = manifest.own_names
    inputs = {input_name(tensor.name, own): tensor.name for tensor in manifest.inputs}
    InferenceModel(parameters, inputs, beside(LOSS, own))(model)
    for each in model.graph.inputs:
        each.name = inputs[each.name or ""]
    size = sum(array.nbytes for array in parameters.values())
    with whole_file(path) as temporary:
        if size < _LARGEST_FILE:
            ir.save(model, temporary)
            refused = refused_by_checker(temporary)
            if refused is not None:
                raise UserError(f"onnx's checker refuses what was exported ({refused}).")
        else:
            _save_with_data(model, temporary, f"{path.name}.data")


def _save_with_data(model: ir.Model, temporary: Path, data_name: str) -> None:
    """Writes the tensors beside the model, which calls their file by its final name."""
    with tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".export.") as folder:
        whole = Path(folder) / "model.onnx"
        ir.save(model, whole, external_data=data_name)
        (Path(folder) / data_name).replace(temporary.with_name(f"{temporary.name}.data"))
        whole.replace(temporary)
