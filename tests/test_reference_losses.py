"""The reference's cross-entropy with settings: label by label, and against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import LOSSES

CLASSES = 5
WEIGHTS = (0.5, 1.0, 2.0, 0.25, 3.0)
SETTINGS: list[dict[str, Any]] = [
    {"reduction": "sum"},
    {"ignore_index": 1},
    {"class_weights": WEIGHTS},
    {"label_smoothing": 0.1},
    {"ignore_index": 1, "class_weights": WEIGHTS, "label_smoothing": 0.2},
    {"ignore_index": 1, "class_weights": WEIGHTS, "label_smoothing": 0.2, "reduction": "sum"},
]
each_setting = pytest.mark.parametrize("settings", SETTINGS, ids=" ".join)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 3, CLASSES))
LABELS = RANDOM.integers(CLASSES, size=(6, 3))


def label_by_label(
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> float:
    """As PyTorch documents its CrossEntropyLoss."""
    weights = np.ones(CLASSES) if class_weights is None else np.asarray(class_weights)
    total = divisor = 0.0
    for row, label in zip(LOGITS.reshape(-1, CLASSES), LABELS.reshape(-1)):
        if label == ignore_index:
            continue
        log_p = row - np.log(np.exp(row).sum())
        target = np.full(CLASSES, label_smoothing / CLASSES)
        target[label] += 1.0 - label_smoothing
        total -= float(np.sum(weights * target * log_p))
        divisor += weights[label]
    return total / divisor if reduction == "mean" else total


@each_setting
def test_value(settings: dict[str, Any]) -> None:
    value, _ = LOSSES["cross_entropy"](LOGITS, LABELS, class_axis=2, **settings)
    assert value == pytest.approx(label_by_label(**settings), rel=1e-12)


@each_setting
def test_gradient(settings: dict[str, Any]) -> None:
    def value(logits: np.ndarray) -> float:
        return LOSSES["cross_entropy"](logits, LABELS, class_axis=2, **settings)[0]

    _, gradient = LOSSES["cross_entropy"](LOGITS, LABELS, class_axis=2, **settings)
    assert gradient.shape == LOGITS.shape
    for direction in np.random.default_rng(1).normal(size=(4, *LOGITS.shape)):
        step = 1e-5 * direction
        slope = (value(LOGITS + step) - value(LOGITS - step)) / 2e-5
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-7, abs=1e-9)
