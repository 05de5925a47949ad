"""Sizes that a user gives to open axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.names import LABEL


class FixSizes(ir.passes.InPlacePass):
    """Fixes open axes, wherever their names occur.

    Args:
        sizes: by the axis's name or a glob; the first that matches counts. An axis that has no name goes by
            INPUT.AXIS.

    Raises: UserError, where no input has an axis of such a name.
    Ensures: no input, output or value has an open axis whose name matches; an output has one without a name,
        until its size is inferred.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self._sizes = sizes

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        check_axes("size", self._sizes, model.graph.inputs)
        for name, (value, axis) in _unnamed(model.graph.inputs).items():
            if name in self._sizes and value.shape is not None:
                value.shape = ir.Shape(
                    [self._sizes[name] if at == axis else dim for at, dim in enumerate(value.shape)]
                )
        for graph in (model.graph, *model.graph.subgraphs()):
            for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
                sizes = [self._size(dim) for dim in value.shape or ()]
                if value.shape is None or not any(sizes):
                    continue
                # of an output that is the exporter's word, which may be wrong: inference says it
                is_said = value.is_graph_output() and value.graph is model.graph
                dims = [
                    (None if is_said else size) if size else dim
                    for size, dim in zip(sizes, value.shape)
                ]
                value.shape = ir.Shape(dims)
        return ir.passes.PassResult(model, modified=bool(self._sizes))

    def _size(self, dim: int | ir.SymbolicDim) -> int | None:
        if isinstance(dim, int) or not dim.value:
            return None
        given = (size for glob, size in self._sizes.items() if fnmatchcase(dim.value or "", glob))
        return next(given, None)


def check_axes(name: str, globs: Mapping[str, int], inputs: Sequence[ir.Value]) -> None:
    """Refuses globs that match no open axis of the inputs; "*" may match none.

    Raises:
        UserError: names the option and the axes that there are.
    """
    names, unnamed = list(dict.fromkeys(_names(inputs))), _unnamed(inputs)
    for glob in globs:
        if glob not in ("*", *unnamed) and not any(fnmatchcase(each, glob) for each in names):
            raise UserError(
                f"{option(name)} '{glob}' is no open axis of the model's inputs: it has "
                f"{listed(open_axes(inputs)) or 'none'}."
            )


def open_axes(inputs: Sequence[ir.Value]) -> list[str]:
    """What open axes of inputs go by: their names, or INPUT.AXIS."""
    return list(dict.fromkeys([*_names(inputs), *_unnamed(inputs)]))


def advice_on_sizes(graph: ir.Graph) -> str | None:
    """What to do where an open size is in the way; None if the model's inputs have no open axis."""
    names = open_axes([value for value in graph.inputs if not value.meta.get(LABEL)])
    return f"fix the sizes of open axes ({listed(names)}) with {option('size')}" if names else None


def _unnamed(inputs: Sequence[ir.Value]) -> dict[str, tuple[ir.Value, int]]:
    """Open axes without a name, by what they go by."""
    return {
        f"{unquoted(value.name or '')}.{axis}": (value, axis)
        for value in inputs
        for axis, dim in enumerate(value.shape or ())
        if not isinstance(dim, int) and not dim.value
    }


def _names(values: Sequence[ir.Value]) -> Iterator[str]:
    for value in values:
        for dim in value.shape or ():
            if not isinstance(dim, int) and dim.value:
                yield dim.value
