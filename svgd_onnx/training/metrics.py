"""What tells how good a model is, beside its loss."""

from __future__ import annotations

import numpy as np

from svgd_onnx.manifest import Manifest


def right_answers(
    manifest: Manifest, prediction: np.ndarray, label: np.ndarray
) -> tuple[int, int] | None:
    """How many labels of a batch are predicted, and how many count; None without classification.

    Args:
        manifest: of the artifacts.
        prediction: the model's own output, (examples, ...): probabilities or logits.
        label: what it should have said, (examples, ...).
    """
    if manifest.loss == "cross-entropy":
        classes = prediction.argmax(axis=manifest.loss_settings.class_axis).reshape(label.shape)
        counted = label != manifest.loss_settings.ignore_index
        return int(np.sum((classes == label) & counted)), int(np.sum(counted))
    if manifest.loss == "bce-with-logits":
        # A probability is likely from 1/2 on, a logit from 0 on.
        threshold = 0.0 if manifest.logits == manifest.prediction else 0.5
        return int(np.sum((prediction > threshold) == (label > 0.5))), label.size
    return None


def batch_weight(manifest: Manifest, batch: list[np.ndarray]) -> float:
    """What the loss of a batch was divided by, so that losses of several can be put together.

    Args:
        manifest: of the artifacts.
        batch: arrays of (examples, ...), as a step takes them.
    """
    settings = manifest.loss_settings
    label = batch[-1]
    if manifest.loss == "cross-entropy":
        counted = label != settings.ignore_index
        if settings.class_weights is not None:
            return float(np.sum(np.asarray(settings.class_weights)[label[counted]]))
        return float(counted.sum())
    return float(len(label))
