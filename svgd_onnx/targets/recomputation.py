"""Recomputation in a step, as targets ask for it."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.errors import Advice, option
from svgd_onnx.transforms.recompute import Recompute


def recompute(step: ir.Model, batch: Collection[str], *, says: bool) -> None:
    """Computes segments of the forward pass again, instead of keeping what they gave.

    Args:
        step: a gradient graph.
        batch: names of its inputs that hold a batch.
        says: whether to warn: of a step that has two forms, the fast one says it, which trains.

    Warns:
        where it keeps what it kept.
    """
    if not Recompute(batch)(step).modified and says:
        warnings.warn(
            Advice(
                f"{option('recompute')} changes nothing: no part of this model takes less memory where it is "
                "computed again."
            ),
            stacklevel=5,
        )
