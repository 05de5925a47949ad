"""Estimators of scikit-learn that train ONNX models: `OnnxClassifier` and `OnnxRegressor`."""

from __future__ import annotations

from svgd_onnx.errors import UserError

try:
    from sklearn.utils.validation import validate_data as _needed  # noqa: F401
except ImportError as error:
    raise UserError(
        "OnnxClassifier and OnnxRegressor need scikit-learn from 1.6 on: pip install "
        "'svgd-onnx[scikit-learn]'."
    ) from error
