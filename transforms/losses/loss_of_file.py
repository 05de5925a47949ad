"""A loss of the user's own, an ONNX file: what a device needs to know of it."""

from __future__ import annotations

from svgd_onnx.transforms.losses.loss import NOTHING, Loss


class LossOfFile(Loss):
    """What an ONNX file makes of the prediction and a target; the graphs of artifacts have it in them.

    No answer is right or wrong, and a mean over batches weighs each by its examples. `build` is of conversion,
    which reads the file.

    Args:
        name: of the file.
    """

    says = NOTHING
    settings = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name
