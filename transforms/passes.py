"""Passes one after another."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir


def run(model: ir.Model, *passes: ir.passes.PassBase) -> ir.Model:
    """Runs passes in order, and returns the last one's model.

    Unlike `ir.passes.Sequential` it lets through what a pass raises: a `UserError` is for the user.
    """
    for each in passes:
        model = each(model).model
    return model


def require_outputs(model: ir.Model, names: Iterable[str]) -> None:
    """Refuses a model that lacks outputs, on behalf of a pass that needs them.

    Raises:
        PreconditionError: names those that it lacks.
    """
    missing = set(names) - {value.name for value in model.graph.outputs}
    if missing:
        raise ir.passes.PreconditionError(f"not outputs: {missing}")
