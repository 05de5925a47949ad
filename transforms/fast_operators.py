"""Names of operators of ours in fast forms that several passes write or know."""

from __future__ import annotations

ADAPTIVE_DESCENT = "AdaptiveDescent"
DESCENT = "Descent"
DESCENT_OF_ROWS = "DescentOfRows"
FINITE_LOSS = "FiniteLoss"
MATRIX_PRODUCT = "MatrixProduct"
NORMALIZATION = "BatchNormalizationTraining"
NORMALIZATION_GRADIENT = "BatchNormalizationGradient"
RELU_GRADIENT = "ReluGradient"
