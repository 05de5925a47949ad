"""The losses: each takes (prediction, target) and settings, and returns the loss and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Loss = Callable[..., "tuple[float, np.ndarray]"]


def cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    class_axis: int = 1,
    ignore_index: int | None = None,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """logits (N, C, ...), integer labels (N, ...) -> the mean over labels, gradient (N, C, ...).

    As PyTorch documents its CrossEntropyLoss: the target of a label is 1 - e at its class, and e / C
    at every class, times the weight of the class; the mean divides by the weights of the labels.
    """
    logits = np.moveaxis(logits, class_axis, -1)
    classes = logits.shape[-1]
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights, np.float64)
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    target = (1.0 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes
    target *= weights * counted[..., np.newaxis]
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    gradient = np.exp(log_p) * target.sum(axis=-1, keepdims=True) - target
    size = (weights[labels] * counted).sum() if reduction == "mean" else 1.0
    return -float((target * log_p).sum()) / size, np.moveaxis(gradient, -1, class_axis) / size


def mse(
    prediction: np.ndarray, target: np.ndarray, *, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """prediction, target (...) -> the mean over all elements, gradient (...)."""
    error = difference(prediction, target)
    return reduced(error**2, 2.0 * error, reduction)


def l1(
    prediction: np.ndarray, target: np.ndarray, *, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """prediction, target (...) -> the mean over all elements, gradient (...)."""
    error = difference(prediction, target)
    return reduced(np.abs(error), np.sign(error), reduction)


def huber(
    prediction: np.ndarray, target: np.ndarray, *, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """prediction, target (...) -> the mean over all elements, gradient (...)."""
    error = difference(prediction, target)
    size = np.abs(error)
    each = np.where(size <= 1, error**2 / 2, size - 0.5)
    return reduced(each, np.where(size <= 1, error, np.sign(error)), reduction)


def bce_with_logits(
    logits: np.ndarray, target: np.ndarray, *, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """logits, target (...) in [0, 1] -> the mean over all elements, gradient (...)."""
    sigmoid = 0.5 * (1.0 + np.tanh(0.5 * logits))
    each = np.logaddexp(0.0, logits) - target * logits
    return reduced(each, difference(sigmoid, target), reduction)


def reduced(each: np.ndarray, gradient: np.ndarray, reduction: str) -> tuple[float, np.ndarray]:
    """The mean or the sum of all elements (...), and its gradient (...) from those of each."""
    size = each.size if reduction == "mean" else 1
    return float(each.sum()) / size, gradient / size


def difference(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """prediction (...) minus target (...), of one shape: nothing is broadcast unseen."""
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {prediction.shape} and target {target.shape} differ in shape")
    return prediction - target


LOSSES: dict[str, Loss] = {
    "bce_with_logits": bce_with_logits,
    "cross_entropy": cross_entropy,
    "huber": huber,
    "l1": l1,
    "mse": mse,
}
