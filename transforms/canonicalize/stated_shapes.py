"""What a model states of the shapes of its values, beside what follows from its inputs.

A run shows what is stated wrong; but onnxruntime may end the process where a value is stated to have another
number of axes, and a gradient that is made for a size that is stated of an open axis (torch's exporter does so
of recurrent layers) is right at that size alone. A step that is made for a large value is large before anything
runs, and a run of a value that is large, and stated to be small, takes all memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.value_sizes import largest_value, size_in_bytes

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


class WrongStatements(ir.passes.InPlacePass):
    """Gives values the number of axes and the sizes that follow, where the model states others.

    Requires: no shapes inferred yet, which would follow from the wrong ones.
    Ensures: graph outputs are as they were; a run compares them.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        outputs = _given(model)
        if all(value.shape is None or value.is_graph_output() for value in outputs):
            return ir.passes.PassResult(model, modified=False)
        follows = {value.name: value for value in _given(_without_statements(model))}
        modified = False
        for value in outputs:
            other = follows[value.name]
            said, found = value.shape, other.shape
            if said is None or found is None or value.is_graph_output():
                continue
            if max(size_in_bytes(value), size_in_bytes(other)) > _LARGE:
                continue  # that is refused
            right = _right(said, found)
            if right is not None:
                value.shape, modified = right, True
        return ir.passes.PassResult(model, modified)


def _without_statements(model: ir.Model) -> ir.Model:
    """A copy in which values have the shapes that follow from those of the inputs alone."""
    copy = model.clone()
    for value in _given(copy):
        value.shape = None
    InferShapes()(copy)
    return copy


def _given(model: ir.Model) -> list[ir.Value]:
    return [value for node in model.graph for value in node.outputs]


def _right(stated: ir.Shape, follows: ir.Shape) -> ir.Shape | None:
    """The shape of a value; None where nothing that is stated of it is wrong."""
    if len(stated) != len(follows):
        return follows
    sizes = [
        known if isinstance(said, int) and _is_known(known) and said != known else said
        for said, known in zip(stated, follows)
    ]
    return None if sizes == list(stated) else ir.Shape(sizes)


def _is_known(size: int | ir.SymbolicDim) -> bool:
    """Whether a size is fixed, or has the name of an input's."""
    return isinstance(size, int) or size.value is not None


def refuse_wrong_statement(model: ir.Model) -> None:
    """Refuses a model that states another shape of its largest value than follows, where either is large.

    Raises:
        UserError: names the value and both shapes.
    """
    _, size = largest_value(model.graph)
    if size <= _LARGE and not any(node.op_type in _ENLARGE for node in model.graph):
        return
    copy = _without_statements(model)
    stated, follows = ({value.name: value for value in _given(each)} for each in (model, copy))
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
