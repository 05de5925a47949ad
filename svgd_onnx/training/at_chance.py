"""Whether a training has learned nothing: its loss is still that of guessing, which it is worth to say once."""

from __future__ import annotations

import warnings
from math import isfinite

from svgd_onnx.errors import Advice, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.transforms.losses import loss_named

# Fewer steps say nothing. A mean over an epoch is so near the loss of guessing, and has not come down further.
_LEAST_STEPS, _NEAR, _DOWN = 50, 0.02, 0.002


class AtChance:
    """Follows the losses of one call of `Trainer.train`.

    Args:
        manifest: of the artifacts; of several losses none is followed.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.of_guessing = _of_guessing(manifest)
        self._sums: dict[int, tuple[float, int]] = {}

    def note(self, epoch: int, loss: float) -> None:
        """Takes the loss of a step; one that was left out has none that is finite."""
        if isfinite(loss):
            total, count = self._sums.get(epoch, (0.0, 0))
            self._sums[epoch] = total + loss, count + 1

    def has_learned_nothing(self) -> bool:
        """Whether the mean loss of every epoch is that of guessing or worse, and that of the last no better.

        It takes two epochs, and a last one whose loss is near that of guessing: of others something else is to
        be said.
        """
        chance, steps = self.of_guessing, sum(count for _, count in self._sums.values())
        if chance is None or len(self._sums) < 2 or steps < _LEAST_STEPS:
            return False
        means = [total / count for total, count in self._sums.values()]
        return (
            min(means) >= chance * (1 - _NEAR)
            and means[-1] <= chance * (1 + _NEAR)
            and means[-1] >= min(means[0], chance) * (1 - _DOWN)
        )

    def warn(self) -> None:
        """Says so, if it is so.

        Warns:
            with the loss of guessing, and what to try.
        """
        if self.has_learned_nothing():
            warnings.warn(
                Advice(
                    f"The training loss is still that of guessing, {self.of_guessing:.3g}, and does not fall: "
                    f"begin anew with a lower {option('learning_rate')}, as a tenth of it, which convolutional "
                    "networks without BatchNormalization often want, or with a higher one if it is small "
                    "already."
                ),
                stacklevel=3,
            )


def _of_guessing(manifest: Manifest) -> float | None:
    """The loss of the one prediction that says the same of each class; None where it has none such."""
    if len(manifest.terms) != 1:
        return None
    (term,) = manifest.terms
    axis = term.settings.class_axis
    classes = None if axis is None else term.logits_shape[axis]
    count = classes if isinstance(classes, int) and classes > 1 else None
    return loss_named(term.loss).of_guessing(count, term.settings)
