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
    at every class, times the weight of the class; the mean divides by the weights of the labels. A label of a
    class of weight 0 does not count.
    """
    logits = np.moveaxis(logits, class_axis, -1)
    classes = logits.shape[-1]
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights, np.float64)
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    target = (1.0 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes
    target *= weights * (counted & (weights[labels] > 0))[..., np.newaxis]
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


def focal(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    class_axis: int = 1,
    ignore_index: int | None = None,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 2.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """logits (N, C, ...), integer labels (N, ...) -> the mean over labels, gradient (N, C, ...)."""
    logits = np.moveaxis(logits, class_axis, -1)
    own, share = own_class(logits, labels, ignore_index, class_weights)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    right = (p * own).sum(axis=-1)
    each = -((1 - right) ** focal_gamma) * np.log(right)
    slope = -((1 - right) ** focal_gamma) / right
    if focal_gamma:
        slope += focal_gamma * (1 - right) ** (focal_gamma - 1) * np.log(right)
    gradient = (share * slope * right)[..., np.newaxis] * (own - p)
    size = share.sum() if reduction == "mean" else 1.0
    return float((share * each).sum()) / size, np.moveaxis(gradient, -1, class_axis) / size


def hinge(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    class_axis: int = 1,
    ignore_index: int | None = None,
    class_weights: Sequence[float] | None = None,
    margin: float = 1.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """scores (N, C, ...), integer labels (N, ...) -> the mean over labels, gradient (N, C, ...)."""
    scores = np.moveaxis(scores, class_axis, -1)
    own, share = own_class(scores, labels, ignore_index, class_weights)
    excess = margin - (scores * own).sum(axis=-1, keepdims=True) + scores
    over = (excess > 0) * (1 - own)
    each = (over * excess).mean(axis=-1)
    gradient = (over - own * over.sum(axis=-1, keepdims=True)) / scores.shape[-1]
    size = share.sum() if reduction == "mean" else 1.0
    gradient = np.moveaxis(share[..., np.newaxis] * gradient, -1, class_axis)
    return float((share * each).sum()) / size, gradient / size


def own_class(
    logits: np.ndarray,
    labels: np.ndarray,
    ignore_index: int | None,
    class_weights: Sequence[float] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """1 where a class of logits (..., C) is that of the label (...), and what each label counts (...)."""
    classes = logits.shape[-1]
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights, np.float64)
    return np.eye(classes)[labels], weights[labels] * counted


def kl(
    logits: np.ndarray, target: np.ndarray, *, class_axis: int = 1, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """logits, distributions (N, C, ...) -> the mean over distributions, gradient (N, C, ...)."""
    shifted = logits - logits.max(axis=class_axis, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=class_axis, keepdims=True))
    log_t = np.log(np.where(target > 0, target, 1.0))
    gradient = np.exp(log_p) * target.sum(axis=class_axis, keepdims=True) - target
    size = target.size / target.shape[class_axis] if reduction == "mean" else 1.0
    return float((target * (log_t - log_p)).sum()) / size, gradient / size


def triplet(
    x: np.ndarray, labels: np.ndarray, *, margin: float = 1.0, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """embeddings (N, ...), labels (N) -> the mean over examples with a triplet, gradient (N, ...)."""
    flat = x.reshape(len(x), -1)
    gradient, each = np.zeros_like(flat), []
    for a, label in enumerate(labels):
        apart = np.sqrt(((flat[a] - flat) ** 2).sum(axis=1))
        positives = [p for p in np.flatnonzero(labels == label) if p != a]
        negatives = np.flatnonzero(labels != label)
        if not positives or not len(negatives):
            continue
        p = max(positives, key=lambda place: apart[place])
        n = min(negatives, key=lambda place: apart[place])
        value = margin + apart[p] - apart[n]
        each.append(max(0.0, value))
        for other, sign in ((p, 1.0), (n, -1.0)) if value > 0 else ():
            if apart[other]:
                way = sign * (flat[a] - flat[other]) / apart[other]
                gradient[a] += way
                gradient[other] -= way
    size = max(1, len(each)) if reduction == "mean" else 1
    return float(sum(each)) / size, gradient.reshape(x.shape) / size


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
    "focal": focal,
    "hinge": hinge,
    "huber": huber,
    "kl": kl,
    "l1": l1,
    "mse": mse,
    "triplet": triplet,
}
