"""What a model states of the shape of a large value, beside what follows from its inputs.

A run shows what is stated wrong; but a step that is made for a large value is large before anything runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.value_sizes import largest_value

_LARGE = 1 << 29


def refuse_wrong_statement(model: ir.Model) -> None:
    """Refuses a model that states another shape of its largest value than follows, where that is large.

    Raises:
        UserError: names the value and both shapes.
    """
    value, size = largest_value(model.graph)
    if value is None or size <= _LARGE:
        return
    copy = model.clone()
    made = {each.name: each for node in copy.graph for each in node.outputs}
    for each in made.values():
        each.shape = None
    InferShapes()(copy)
    if value.name not in made:
        return
    stated, follows = list(value.shape or ()), made[value.name].shape
    if follows is not None and differ(stated, list(follows)):
        raise UserError(
            f"The model says that '{value.name}' has the shape ({shown(stated)}), but it follows that it "
            f"has ({shown(follows)}): export it with the right shape, or without one."
        )


def differ(stated: Sequence[int | ir.SymbolicDim], follows: Sequence[int | ir.SymbolicDim]) -> bool:
    """Whether two shapes have other fixed sizes, or another number of axes."""
    pairs = zip(stated, follows)
    fixed = [pair for pair in pairs if all(isinstance(each, int) for each in pair)]
    return len(stated) != len(follows) or any(a != b for a, b in fixed)


def shown(sizes: Sequence[int | ir.SymbolicDim] | ir.Shape) -> str:
    """Sizes of axes, or their names, as a message has them."""
    return ", ".join(str(dim if isinstance(dim, int) else dim.value or "?") for dim in sizes)
