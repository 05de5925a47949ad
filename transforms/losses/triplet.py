"""Embeddings of one label nearer to each other than to all others: triplets of a batch (arXiv 1703.07737)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import NOTHING, Dim, Loss

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer

# Beyond every squared distance that is a number.
_FAR = float(np.finfo(np.float32).max)


class Triplet(Loss):
    """mean_a max(0, margin + max_p |x_a - x_p| - min_n |x_a - x_n|), batch-hard (Hermans et al. 2017).

    Embeddings x (N, D) float32 (further axes are taken as one with D), labels (N) int64, any numbers. p goes
    over the other examples of the batch of a's label, n over those of another one, and distances are Euclidean.
    The mean is over the examples a that have both; it is 0 where none has.
    """

    name = "triplet"
    says = NOTHING
    target = "labels"
    target_dtype = "int64"
    settings = Loss.settings | {"margin"}
    compares_examples = True
    least_examples = 4

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        dims = list(prediction.shape or ())
        if len(dims) < 2 or (isinstance(dims[0], int) and dims[0] < 3):
            raise UserError(
                f"The prediction '{prediction.name}' has shape ({', '.join(map(str, dims))}), but the loss "
                f"{self.name} compares 3 or more embeddings (N, D) of a batch: choose another "
                f"{option('prediction')} or {option('loss')}, or export the model with an open batch axis."
            )
        x = write.node("Reshape", prediction, write.integers(0, -1))
        farthest, nearest, has_both = _hardest(write, x, target)
        distances = [
            _distance(write, x, write.node("Gather", x, index, axis=0))
            for index in (farthest, nearest)
        ]
        difference = write.node("Add", write.node("Sub", *distances), write.scalar(settings.margin))
        each = write.node("Mul", write.node("Relu", difference), has_both)
        total = write.node("ReduceSum", each, keepdims=0)
        if settings.reduction != "mean":
            return total
        count = write.node("ReduceSum", has_both, keepdims=0)
        return write.node("Div", total, write.node("Max", count, write.scalar(1.0)))

    def target_shape(self, prediction: Sequence[Dim]) -> list[Dim]:
        return list(prediction[:1])

    def random_target(
        self,
        prediction: np.ndarray,
        class_axis: int | None,
        axes: int,
        random: np.random.Generator,
    ) -> np.ndarray:
        return random.permutation(np.arange(len(prediction)) // 2)

    def check_counting(self, target: np.ndarray, settings: LossSettings, array: str) -> None:
        if not _with_both(target).any():
            raise UserError(
                f"No label in {array} is there twice beside another one, so that there is no triplet: give "
                "several examples of each of several labels."
            )

    def batch_weight(
        self, examples: int, target: np.ndarray | None, settings: LossSettings
    ) -> float:
        assert target is not None
        return float(_with_both(target).sum())


def _with_both(labels: np.ndarray) -> np.ndarray:
    """Which examples have another one of their label, and one of another label; bool (N)."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    of_label = counts[place.reshape(-1)]
    return np.asarray((of_label > 1) & (of_label < labels.size))


def _hardest(
    write: Writer, x: ir.Value, labels: ir.Value | None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """For each example, the farthest other one of its label, the nearest of another, and whether it has both.

    The first two are int64 (N), the last float32 (N). They are told by x x^T, which takes less memory than all
    differences; what is learned from are the distances to those two alone.
    """
    products = write.node("MatMul", x, write.node("Transpose", x, perm=[1, 0]))
    squares = write.reduce("ReduceSum", write.node("Mul", x, x), [1])
    both = write.node("Add", squares, write.node("Transpose", squares, perm=[1, 0]))
    apart = write.node("Sub", both, write.node("Mul", products, write.scalar(2.0)))
    column, row = (write.node("Unsqueeze", labels, write.integers(axis)) for axis in (1, 0))
    alike = write.node("Equal", column, row)
    place = write.positions(write.node("Shape", x, start=0, end=1))
    own = write.node(
        "Equal",
        *(write.node("Unsqueeze", place, write.integers(axis)) for axis in (1, 0)),
    )
    positive = write.node("And", alike, write.node("Not", own))
    of_positive = write.node("Where", positive, apart, write.scalar(-_FAR))
    of_negative = write.node("Where", alike, write.scalar(_FAR), apart)
    farthest = write.node("ArgMax", of_positive, axis=1, keepdims=0)
    nearest = write.node("ArgMin", of_negative, axis=1, keepdims=0)
    found = [
        write.reduce("ReduceMax", write.cast(mask, "float32"), [1], keepdims=False)
        for mask in (positive, write.node("Not", alike))
    ]
    return farthest, nearest, write.node("Mul", *found)


def _distance(write: Writer, x: ir.Value, y: ir.Value) -> ir.Value:
    """|x_n - y_n|, float32 (N); of the same place it is 0, and so is its gradient."""
    difference = write.node("Sub", x, y)
    square = write.reduce(
        "ReduceSum", write.node("Mul", difference, difference), [1], keepdims=False
    )
    is_apart = write.node("Greater", square, write.scalar(0.0))
    root = write.node("Sqrt", write.node("Where", is_apart, square, write.scalar(1.0)))
    return write.node("Where", is_apart, root, write.scalar(0.0))
