"""What tells how good a model is, beside its loss."""

from __future__ import annotations

import numpy as np

from svgd_onnx.manifest import Manifest


def metrics(manifest: Manifest, prediction: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """The accuracy for losses of classification, nothing for others.

    Args:
        manifest: of the artifacts.
        prediction: the model's own output, (examples, ...): probabilities or logits.
        label: what it should have said, (examples, ...).
    """
    if manifest.loss == "cross-entropy":
        return {"accuracy": float(np.mean(prediction.argmax(axis=1) == label))}
    if manifest.loss == "bce-with-logits":
        # A probability is likely from 1/2 on, a logit from 0 on.
        threshold = 0.0 if manifest.logits == manifest.prediction else 0.5
        return {"accuracy": float(np.mean((prediction > threshold) == (label > 0.5)))}
    return {}
