"""Passes one after another."""

from __future__ import annotations

import onnx_ir as ir


def run(model: ir.Model, *passes: ir.passes.PassBase) -> ir.Model:
    """Runs passes in order, and returns the last one's model.

    Unlike `ir.passes.Sequential` it lets through what a pass raises: a `UserError` is for the user.
    """
    for each in passes:
        model = each(model).model
    return model
