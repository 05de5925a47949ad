"""What there is to choose about a loss."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from svgd_onnx.errors import UserError, check_choice, check_range, fits_float32, option

REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True)
class LossSettings:
    """The choices that a loss leaves open.

    Which of them a loss has, it says itself.

    Attributes:
        reduction: "mean" or "sum" over everything that the loss compares.
        class_axis: the logits' axis with an entry for each class; None for that of a final Softmax, of
            the last layer's outputs, or else 1.
        ignore_index: labels of this value do not count.
        class_weights: a weight for each class, 0 or more; the mean is then divided by the sum of the
            weights of the labels, as in ONNX's SoftmaxCrossEntropyLoss. Labels of a class of weight 0 do not
            count, as those to be ignored.
        label_smoothing: the share of the target that is spread over all classes, in [0, 1) (Szegedy et
            al., arXiv 1512.00567).
        from_logits: whether the prediction is logits as it stands, whatever it ends in and looks like.
        focal_gamma: the exponent of (1 - p) in the focal loss, 0 or more (Lin et al., arXiv 1708.02002).
        margin: of hinge, by how much a label's score should be above all others; of triplet, by how much
            farther others should be away than those of the same label. Above 0.

    Example:
        >>> settings = svgd_onnx.LossSettings(label_smoothing=0.1, ignore_index=-1)
        >>> manifest = svgd_onnx.convert("model.onnx", "new", loss_settings=settings)
        >>> manifest.loss_settings.label_smoothing
        0.1
    """

    reduction: str = "mean"
    class_axis: int | None = None
    ignore_index: int | None = None
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    from_logits: bool = False
    focal_gamma: float = 2.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        if self.class_weights is not None:  # an array too, as scikit-learn gives them
            object.__setattr__(self, "class_weights", tuple(map(float, self.class_weights)))

    def check(self) -> None:
        """Refuses values out of range; `transforms.losses.check_settings` also those of another loss.

        Raises:
            UserError: names the setting.
        """
        check_choice("reduction", self.reduction, REDUCTIONS)
        if self.ignore_index is not None and not -(2**63) <= self.ignore_index < 2**63:
            raise UserError(
                f"{option('ignore_index')} is {self.ignore_index}, but labels are int64."
            )
        smoothing = self.label_smoothing
        check_range("label_smoothing", smoothing, 0 <= smoothing < 1, "at least 0 and below 1")
        check_range("focal_gamma", self.focal_gamma, self.focal_gamma >= 0, "0 or more")
        check_range("margin", self.margin, self.margin > 0, "above 0")
        weights = self.class_weights
        for weight in weights or ():
            if not (fits_float32(weight) and weight >= 0):
                raise UserError(
                    f"{option('class_weights')} has {weight}, but each must be 0 or more, as float32."
                )
        if weights is not None and not any(weights):
            raise UserError(
                f"{option('class_weights')} has no weight above 0, so that no class counts."
            )


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one of several outputs.

    Attributes:
        loss: its name, or an ONNX file that computes it.
        weight: what it counts in the sum that is trained by; above 0.
        settings: what is chosen about it.

    Example:
        >>> loss = svgd_onnx.OutputLoss("cross-entropy", weight=0.5)
        >>> manifest = svgd_onnx.convert("model.onnx", "new", loss={"scores": loss})
        >>> [(each.prediction, each.weight) for each in manifest.terms]
        [('scores', 0.5)]
    """

    loss: str | os.PathLike[str] = "cross-entropy"
    weight: float = 1.0
    settings: LossSettings = field(default_factory=LossSettings)
