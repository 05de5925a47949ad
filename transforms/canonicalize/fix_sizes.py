"""Sizes that a user gives to open axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import with_bodies
from svgd_onnx.transforms.names import LABEL


class FixSizes(ir.passes.InPlacePass):
    """Fixes open axes, wherever their names occur.

    Args:
        sizes: by the axis's name or a glob (`name_of_axis`); the first that matches counts.

    Raises: UserError, where no input has an axis of such a name.
    Ensures: no input, output or value has an open axis whose name matches; an output has one without a name,
        until its size is inferred.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self._sizes = sizes

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        check_axes("size", self._sizes, model.graph.inputs)
        for graph in with_bodies(model.graph):
            for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
                dims = list(value.shape or ())
                sizes = [self._size(value, axis) for axis in range(len(dims))]
                if any(sizes):
                    # of an output that is the exporter's word, which may be wrong: inference says it
                    is_said = value.is_graph_output() and value.graph is model.graph
                    value.shape = ir.Shape(
                        [
                            (None if is_said else size) if size else dim
                            for size, dim in zip(sizes, dims)
                        ]
                    )
        return ir.passes.PassResult(model, modified=bool(self._sizes))

    def _size(self, value: ir.Value, axis: int) -> int | None:
        name = name_of_axis(value, axis) if value.is_graph_input() else _own_name(value, axis)
        return None if name is None else size_of(name, self._sizes)


def size_of(name: str, sizes: Mapping[str, int]) -> int | None:
    """The size that is given for an axis by its name; None if none is."""
    return next((size for glob, size in sizes.items() if fnmatchcase(name, glob)), None)


def name_of_axis(value: ir.Value, axis: int) -> str | None:
    """What users call an open axis of an input: by its name, or x.1 if it has none; None of a fixed one."""
    dim = value.shape[axis] if value.shape is not None else 0
    if isinstance(dim, int):
        return None
    return dim.value or f"{unquoted(value.name or '')}.{axis}"


def _own_name(value: ir.Value, axis: int) -> str | None:
    dim = value.shape[axis] if value.shape is not None else 0
    return None if isinstance(dim, int) else dim.value


def check_axes(name: str, globs: Mapping[str, int], inputs: Sequence[ir.Value]) -> None:
    """Refuses globs that match no open axis of the inputs; "*" may match none.

    Raises:
        UserError: names the option and the axes that there are.
    """
    names = list(dict.fromkeys(_names(inputs)))
    for glob in globs:
        if glob != "*" and not any(fnmatchcase(each, glob) for each in names):
            raise UserError(
                f"{option(name)} '{glob}' is no open axis of the model's inputs: it has "
                f"{listed(names) or 'none'}."
            )


def advice_on_sizes(graph: ir.Graph) -> str | None:
    """What to do where an open size is in the way; None if the model's inputs have no open axis."""
    names = list(
        dict.fromkeys(_names([value for value in graph.inputs if not value.meta.get(LABEL)]))
    )
    return f"fix the sizes of open axes ({listed(names)}) with {option('size')}" if names else None


def _names(values: Iterable[ir.Value]) -> Iterator[str]:
    """The open axes of inputs, as users call them."""
    for value in values:
        for axis in range(len(value.shape or ())):
            name = name_of_axis(value, axis)
            if name is not None:
                yield name
