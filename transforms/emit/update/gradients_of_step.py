"""What an update is made of: the mean of a step's gradients, a proximal term's with it, clipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx_ir as ir

from svgd_onnx.records import ANCHOR
from svgd_onnx.transforms.emit.finite_loss import guarded_by
from svgd_onnx.transforms.emit.update.groups import Group, joined
from svgd_onnx.transforms.emit.update.kept_tensors import KeptTensors
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.writer import Writer

# By which PyTorch keeps a norm of 0 from dividing.
_LITTLE = 1e-6


def gradients_of_step(
    graph: ir.Graph, groups: Iterable[Group], update: Update, kept: KeptTensors
) -> Iterator[tuple[Group, ir.Value]]:
    """Each group with its gradient, as one tensor.

    What is not finite is told by the loss before, by each batch's gradients as they are.

    Args:
        graph: nodes are put at its end; the loss is an output.
        groups: all of them.
        update: says what becomes of gradients.
        kept: where those of batches before are.
    """
    means = ((group, _mean(graph, group, update, kept)) for group in groups)
    if update.clip_norm is None:
        return means
    return _clipped(graph, list(means), update.clip_norm, kept)


def _mean(graph: ir.Graph, group: Group, update: Update, kept: KeptTensors) -> ir.Value:
    write = kept.writer(f"{group.prefix}/gradient")
    gradient = joined(write, group.gradients)
    if update.accumulation_steps > 1:
        gradient = kept.accumulate(write, group.parameters, gradient)
    if update.proximal:
        gradient = _drawn_to_anchors(write, group, gradient, update.proximal, kept)
    if update.clip_value is not None:
        most = update.clip_value
        gradient = write.node("Clip", gradient, write.scalar(-most), write.scalar(most))
    write.append_to(graph)
    return gradient


def _drawn_to_anchors(
    write: Writer, group: Group, gradient: ir.Value, mu: float, kept: KeptTensors
) -> ir.Value:
    """Adds the gradient of mu / 2 * |w - anchor|^2, as of a term of the loss (Li et al. 2020, FedProx)."""
    anchor = kept.as_one(write, group.parameters, ANCHOR)
    away = write.node("Sub", joined(write, group.parameters), anchor)
    return write.node("Add", gradient, write.node("Mul", away, write.scalar(mu)))


def _clipped(
    graph: ir.Graph, gradients: Sequence[tuple[Group, ir.Value]], most: float, kept: KeptTensors
) -> Iterator[tuple[Group, ir.Value]]:
    """Gradients whose norm, of all as one vector, is at most so large.

    A square that is infinite would make them all 0: the loss is NaN then.
    """
    write = kept.writer("svgd.clip")
    squares = [write.node("ReduceSumSquare", gradient, keepdims=0) for _, gradient in gradients]
    square = squares[0] if len(squares) == 1 else write.node("Sum", *squares)
    norm = write.node("Sqrt", square)
    ratio = write.node("Div", write.scalar(most), write.node("Add", norm, write.scalar(_LITTLE)))
    factor = write.node("Min", ratio, write.scalar(1))
    clipped = [(group, write.node("Mul", gradient, factor)) for group, gradient in gradients]
    if kept.is_last is not None and kept.leaves_out:
        square = write.node("Where", kept.is_last, square, write.scalar(0))
    write.append_to(graph)
    guarded_by(graph, square)
    yield from clipped
