"""What a model states of the shapes of its values, beside what follows from its inputs.

A run shows what is stated wrong; but onnxruntime may end the process where a value is stated to have another
number of axes, a step that is made for a large value is large before anything runs, and a run of a value that
is large, and stated to be small, takes all memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.value_sizes import largest_value

_LARGE = 1 << 29
# They give more numbers than they are given, as many as other numbers say.
_ENLARGE = frozenset(
    {
        "ConstantOfShape",
        "Expand",
        "MaxUnpool",
        "OneHot",
        "Pad",
        "Range",
        "Resize",
        "Tile",
        "Upsample",
    }
)


def mend_statements(model: ir.Model) -> None:
    """Gives values the number of axes that follows, where the model states another.

    Args:
        model: with shapes inferred.

    Raises:
        UserError: it states another shape of its largest value than follows, where either is large; names the
            value and both shapes.
    """
    copy = model.clone()
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    InferShapes()(copy)
    stated, follows = (
        {value.name: value for node in each.graph for value in node.outputs}
        for each in (model, copy)
    )
    _refuse_large(model, copy, stated, follows)
    modified = False
    for name, value in stated.items():
        said, found = value.shape, follows[name].shape
        if said is None or found is None or value.is_graph_output():  # a run compares outputs
            continue
        if len(said) != len(found):
            value.shape, modified = found, True
    if modified:
        InferShapes()(model)


def _refuse_large(
    model: ir.Model,
    copy: ir.Model,
    stated: Mapping[str | None, ir.Value],
    follows: Mapping[str | None, ir.Value],
) -> None:
    _, size = largest_value(model.graph)
    if size <= _LARGE and not any(node.op_type in _ENLARGE for node in model.graph):
        return
    for graph in (model.graph, copy.graph):
        largest, size = largest_value(graph)
        if largest is None or size <= _LARGE or largest.name not in stated:
            continue
        said, found = stated[largest.name].shape, follows[largest.name].shape
        if said is not None and found is not None and differ(list(said), list(found)):
            raise UserError(
                f"The model says that '{largest.name}' has the shape ({shown(said)}), but it follows that it "
                f"has ({shown(found)}): export it with the right shape, or without one."
            )


def differ(stated: Sequence[int | ir.SymbolicDim], follows: Sequence[int | ir.SymbolicDim]) -> bool:
    """Whether two shapes have other fixed sizes, or another number of axes."""
    pairs = zip(stated, follows)
    fixed = [pair for pair in pairs if all(isinstance(each, int) for each in pair)]
    return len(stated) != len(follows) or any(a != b for a, b in fixed)


def shown(sizes: Sequence[int | ir.SymbolicDim] | ir.Shape) -> str:
    """Sizes of axes, or their names, as a message has them."""
    return ", ".join(str(dim if isinstance(dim, int) else dim.value or "?") for dim in sizes)
