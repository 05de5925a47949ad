"""Reading a model, and which of its outputs the loss compares."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError, first_line, listed, option
from svgd_onnx.files import PathLike

# An operator that a newer opset defines anew, and one of onnxruntime's in ONNX's domain.
_ALLOWED = ("is deprecated in domain_version", "No Op registered for SimplifiedLayerNormalization")


def load_model(model: PathLike | onnx.ModelProto) -> ir.Model:
    """Reads and checks an ONNX model.

    Raises:
        UserError: there is no such file, or it is not a valid ONNX model.
    """
    if isinstance(model, onnx.ModelProto):
        return ir.from_proto(model)
    path = Path(model)
    if path.is_dir():
        raise UserError(f"'{path}' is a folder: give the ONNX file.")
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    try:
        _check(path)
        return ir.load(path)
    except Exception as error:  # protobuf, the checker and the reader each raise their own
        raise UserError(
            f"'{path}' is not a valid ONNX model, or is cut short ({first_line(error)}): export it again."
        ) from error


def _check(path: Path) -> None:
    """The onnx package's check, less what onnxruntime runs all the same and exporters write."""
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        if not any(words in str(error) for words in _ALLOWED):
            raise


def choose_prediction(graph: ir.Graph, prediction: str | None) -> str:
    """The output that the loss compares.

    Raises:
        UserError: there is no such output, or there are several and none is named.
    """
    names = [value.name or "" for value in graph.outputs]
    if prediction is None:
        if len(names) == 1:
            return names[0]
        raise UserError(
            f"The model has several outputs ({listed(names)}): say with {option('prediction')} which "
            "one the loss compares."
        )
    if prediction not in names:
        raise UserError(
            f"{option('prediction')} '{prediction}' is no output of the model: it has {listed(names)}."
        )
    return prediction
