"""The Kullback-Leibler divergence of a target distribution from the softmax of logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import NOTHING, Loss

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class KLDivergence(Loss):
    """mean_n sum_c t[n, c] (log t[n, c] - log softmax(x)[n, c]); 0 log 0 is 0.

    Logits x and target t are of one shape, float32; t is a distribution along the axis of classes. n goes over
    every distribution: the mean is divided by how many there are, as PyTorch's KLDivLoss of (N, C) does with
    reduction="batchmean", of log_softmax(x).
    """

    name = "kl"
    says = NOTHING
    contains = frozenset({"Softmax", "LogSoftmax"})
    settings = Loss.settings | {"class_axis", "from_logits"}
    target_has_classes = True

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        assert settings.class_axis is not None and target is not None
        rank, axis = len(prediction.shape or ()), settings.class_axis
        if axis != rank - 1:
            # the classes last, where onnxruntime's LogSoftmax and its gradient take them in one piece
            perm = [*(i for i in range(rank) if i != axis), axis]
            prediction = write.node("Transpose", prediction, perm=perm)
            target = write.node("Transpose", target, perm=perm)
        some = write.node("Greater", target, write.scalar(0.0))
        log_target = write.node("Log", write.node("Where", some, target, write.scalar(1.0)))
        log_p = write.node("LogSoftmax", prediction, axis=-1)
        each = write.node("Mul", target, write.node("Sub", log_target, log_p))
        total = write.node("ReduceSum", each, keepdims=0)
        if settings.reduction != "mean":
            return total
        counts = write.node("ReduceProd", write.node("Shape", target, start=0, end=-1), keepdims=0)
        return write.node("Div", total, write.cast(counts, "float32"))

    def random_target(
        self,
        prediction: np.ndarray,
        class_axis: int | None,
        axes: int,
        random: np.random.Generator,
    ) -> np.ndarray:
        parts = random.uniform(size=prediction.shape)
        parts /= parts.sum(axis=class_axis, keepdims=True)
        return parts.astype(np.float32)

    def target_range(
        self, logits_shape: Sequence[int | str], settings: LossSettings
    ) -> tuple[int | None, int | None]:
        return 0, None
