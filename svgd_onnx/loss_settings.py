"""What there is to choose about a loss."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from svgd_onnx.errors import UserError

REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True)
class LossSettings:
    """The choices that a loss leaves open.

    Attributes:
        reduction: "mean" or "sum" over everything that the loss compares.
        class_axis: of cross-entropy: the logits' axis with an entry for each class; None for that of a
            final Softmax, or else 1.
        ignore_index: of cross-entropy: labels of this value do not count.
        class_weights: of cross-entropy: a positive weight for each class; the mean is then divided by
            the sum of the weights of the labels, as in ONNX's SoftmaxCrossEntropyLoss.
        label_smoothing: of cross-entropy: the share of the target that is spread over all classes, in
            [0, 1) (Szegedy et al., arXiv 1512.00567).
    """

    reduction: str = "mean"
    class_axis: int | None = None
    ignore_index: int | None = None
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    def check(self, loss: str) -> None:
        """Refuses values out of range, and settings that the loss does not have.

        Raises:
            UserError: names the setting as the option of the command line.
        """
        if self.reduction not in REDUCTIONS:
            raise UserError(
                f"Unknown reduction '{self.reduction}': choose from {', '.join(REDUCTIONS)}."
            )
        if loss == "none" and self.reduction != "mean":
            raise UserError(
                "--reduction does not go with --loss none: the loss is the model's own."
            )
        if loss != "cross-entropy":
            for option, value, default in (
                ("class-axis", self.class_axis, None),
                ("ignore-index", self.ignore_index, None),
                ("class-weights", self.class_weights, None),
                ("label-smoothing", self.label_smoothing, 0.0),
            ):
                if value != default:
                    raise UserError(f"--{option} goes with --loss cross-entropy only.")
        if self.ignore_index is not None and not -(2**63) <= self.ignore_index < 2**63:
            raise UserError(f"--ignore-index is {self.ignore_index}, but labels are int64.")
        if not (isfinite(self.label_smoothing) and 0 <= self.label_smoothing < 1):
            raise UserError(
                f"--label-smoothing is {self.label_smoothing}, but must be at least 0 and below 1."
            )
        for weight in self.class_weights or ():
            if not (isfinite(weight) and weight > 0):
                raise UserError(f"--class-weights has {weight}, but each must be positive.")
