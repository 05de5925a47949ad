"""The checks that scikit-learn has of every estimator; none is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

import svgd_onnx


@parametrize_with_checks([svgd_onnx.OnnxClassifier(threads=1), svgd_onnx.OnnxRegressor(threads=1)])
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
