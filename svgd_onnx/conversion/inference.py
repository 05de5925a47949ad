"""Run a model on arrays, in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.runtime import inference_runtime


class NotRunError(UserError):
    """onnxruntime does not take a model, or not this data."""


def open_session(onnxruntime: Any, model: bytes | str) -> Any:
    """A session on the processor, of a model or a file; raises what onnxruntime raises."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is raised says it too
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    model: ir.Model, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Some outputs of a model; it is fed what it has inputs for.

    Raises:
        NotRunError: onnxruntime cannot run it, or not on this data.
        UserError: there is no onnxruntime.
    """
    runtime = inference_runtime()
    try:
        session = open_session(runtime, ir.to_proto(model).SerializeToString())
    except Exception as error:  # the binding has an exception class for each status
        raise NotRunError(f"onnxruntime cannot run the model ({first_line(error)}).") from error
    names = {value.name for value in session.get_inputs()}
    given = {name: array for name, array in feeds.items() if name in names}
    try:
        results: list[np.ndarray] = session.run(list(outputs), given)
    except Exception as error:
        raise NotRunError(
            f"onnxruntime cannot run the model on this data ({first_line(error)}): give data that fits "
            f"it with {option('data')}, {option('batch_size')} or {option('random_size')}."
        ) from error
    return results
