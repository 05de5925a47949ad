"""What a trained model says of rows of features."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.estimators.fitting import Fitted, shaped
from svgd_onnx.training.prediction import open_session

_ROWS_AT_ONCE = 256


def predictions(fitted: Fitted, X: np.ndarray, threads: int | None) -> np.ndarray:  # noqa: N803
    """The prediction for each row, as the model gives it: (n, numbers) float32.

    Args:
        fitted: the model.
        X: (n, features), or of the model's own shape.
        threads: within an operator; None for one a core.

    Raises:
        UserError: X does not fit the model.
    """
    session = _session(fitted.model, threads)
    (tensor,), name = fitted.manifest.inputs, fitted.manifest.prediction
    if name not in {value.name for value in session.get_outputs()}:
        raise UserError(
            f"'{name}' is no output of the model, by which an estimator predicts: choose another "
            f"{option('prediction')}."
        )
    rows = shaped(X, tensor)
    fixed = next(value.shape[0] for value in session.get_inputs())
    # always as many rows, so that what is said of one does not depend on its company
    size = fixed if isinstance(fixed, int) else min(_ROWS_AT_ONCE, _power_of_two(len(rows)))
    parts = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        (answers,) = session.run([name], {tensor.name: padded})
        if answers.shape[:1] != (size,):
            raise UserError(
                f"The prediction '{name}' has shape {answers.shape} for {size} examples, and no axis with one "
                f"place for each: choose another {option('prediction')}."
            )
        parts.append(answers[: len(part)].reshape(len(part), -1))
    return np.concatenate(parts)


def _power_of_two(count: int) -> int:
    return max(8, 1 << (count - 1).bit_length())


# Not within the estimator, which is pickled, cloned and compared.
@functools.lru_cache(maxsize=4)
def _session(model: bytes, threads: int | None) -> Any:
    return open_session(model, threads, "the trained model")
