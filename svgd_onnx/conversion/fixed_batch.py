"""A batch axis that the file fixes: opened, or kept and why."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from svgd_onnx.conversion.batch_axes import BatchAxes, find_batch_axes
from svgd_onnx.manifest import FixedBatch
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.open_batch import OpenBatch

# In the metadata of a model.
_OUTCOME = "svgd.fixed_batch"


def open_batch(
    source: ir.Model, model: ir.Model, predictions: Iterable[str | None], given: BatchAxes
) -> None:
    """Opens the batch axis, where all inputs that have one have it fixed; `outcome` says what became of it.

    Args:
        source: as it came. An axis that is open in it was fixed by a user, and stays so.
        model: in canonical form.
        predictions: the outputs that losses compare, as users call them; None for the only one.
        given: the batch axes that a user says.
    """
    graph = model.graph
    outputs = {unquoted(value.name or ""): value.name or "" for value in graph.outputs}
    first = next(iter(outputs.values()))
    names = [outputs.get(each or "", first) for each in predictions]
    found = find_batch_axes(graph, names[0], given)
    axes = {value: found[value.name or ""] for value in graph.inputs}
    sizes = {value.shape[axis] for value, axis in axes.items() if axis is not None and value.shape}
    size = next(iter(sizes), None)
    if len(sizes) != 1 or not isinstance(size, int):
        return
    inputs = {value.name or "": axis for value, axis in axes.items() if axis is not None}
    shapes = {value.name: value.shape for value in source.graph.inputs}
    for name_of_input, axis in inputs.items():
        shape = shapes.get(unquoted(name_of_input))
        if shape is not None and not isinstance(shape[axis], int):
            return
    opening = OpenBatch(inputs, *names)
    opening(model)
    reason = opening.refusal
    model.meta[_OUTCOME] = FixedBatch(size, None if reason is None else unquoted(reason))


def outcome(model: ir.Model) -> FixedBatch | None:
    """What became of a model's fixed batch axis; None if it has none, or none was to be opened."""
    found = model.meta.get(_OUTCOME)
    return found if isinstance(found, FixedBatch) else None
