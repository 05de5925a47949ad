"""A batch axis that the file fixes: opened, or kept and why."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.conversion.batch_axes import BatchAxes, find_batch_axes
from svgd_onnx.manifest import FixedBatch
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.open_batch import OpenBatch

# In the metadata of a model.
_OUTCOME = "svgd.fixed_batch"


def open_batch(source: ir.Model, model: ir.Model, prediction: str | None, given: BatchAxes) -> None:
    """Opens the batch axis, where all inputs that have one have it fixed; `outcome` says what became of it.

    Args:
        source: as it came. An axis that is open in it was fixed by a user, and stays so.
        model: in canonical form.
        prediction: the output that the loss compares, as users call it; None for the only one.
        given: the batch axes that a user says.
    """
    graph = model.graph
    outputs = {unquoted(value.name or ""): value.name or "" for value in graph.outputs}
    name = outputs.get(prediction or "", next(iter(outputs.values())))
    found = find_batch_axes(graph, name, given)
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
    opening = OpenBatch(inputs, name)
    opening(model)
    reason = opening.refusal
    model.meta[_OUTCOME] = FixedBatch(size, None if reason is None else unquoted(reason))


def outcome(model: ir.Model) -> FixedBatch | None:
    """What became of a model's fixed batch axis; None if it has none, or none was to be opened."""
    found = model.meta.get(_OUTCOME)
    return found if isinstance(found, FixedBatch) else None
