"""The losses: each takes (prediction, target) and returns the loss and its gradient."""

from __future__ import annotations

from typing import Callable

import numpy as np

Loss = Callable[[np.ndarray, np.ndarray], "tuple[float, np.ndarray]"]


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """logits (N, C, ...), integer labels (N, ...) -> the mean over labels, gradient (N, C, ...)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    at = np.expand_dims(labels, 1)
    gradient = np.exp(log_p)
    chosen = np.take_along_axis(gradient, at, axis=1)
    np.put_along_axis(gradient, at, chosen - 1.0, axis=1)
    return -float(np.take_along_axis(log_p, at, axis=1).mean()), gradient / labels.size


def mse(prediction: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """prediction, target (...) -> the mean over all elements, gradient (...)."""
    error = difference(prediction, target)
    return float((error**2).mean()), 2.0 * error / error.size


def l1(prediction: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """prediction, target (...) -> the mean over all elements, gradient (...)."""
    error = difference(prediction, target)
    return float(np.abs(error).mean()), np.sign(error) / error.size


def bce_with_logits(logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """logits, target (...) in [0, 1] -> the mean over all elements, gradient (...)."""
    sigmoid = 0.5 * (1.0 + np.tanh(0.5 * logits))
    each = np.logaddexp(0.0, logits) - target * logits
    return float(each.mean()), difference(sigmoid, target) / logits.size


def difference(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """prediction (...) minus target (...), of one shape: nothing is broadcast unseen."""
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
    return prediction - target


LOSSES: dict[str, Loss] = {
    "bce_with_logits": bce_with_logits,
    "cross_entropy": cross_entropy,
    "l1": l1,
    "mse": mse,
}
