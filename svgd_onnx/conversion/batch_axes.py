"""Along which axis of each input, of the label and of each output examples lie, or that it has no such axis.

A file does not say it. What tells it are the layers that have examples along one axis by their definition, as
recurrent ones have them; or the name of the axis: the one that the prediction shares with inputs.
An input without an axis of that name (edges of a graph, a set of references, a sampling rate) is given whole
at every step. Where no tensor has it, the model takes one example a step.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.conversion.axis_origins import origins, told_by_layers
from svgd_onnx.conversion.picked_rows import picks_rows
from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.step_names import unquoted

BatchAxes = Mapping[str, "int | None"]

_BATCH_NAME = re.compile(r"n|b|bs|bsz|.*batch.*|n_?samples|num_?samples", re.IGNORECASE)
# What tf2onnx and onnx's shape inference call an axis that they know nothing of.
_NO_NAME = re.compile(r"unk__\d+|\?|None|")


@dataclass(frozen=True)
class _Sizes:
    """The axes of a tensor: sizes, names of open ones, None for those without a name."""

    axes: Sequence[int | str | None]

    def __len__(self) -> int:
        return len(self.axes)

    @property
    def first(self) -> int | str | None:
        return self.axes[0] if self.axes else None

    def places(self, symbol: str | None) -> list[int]:
        """The axes of a name."""
        return [
            axis for axis, size in enumerate(self.axes) if symbol is not None and size == symbol
        ]

    @property
    def names(self) -> list[str]:
        return [size for size in self.axes if isinstance(size, str)]


def find_batch_axes(
    graph: ir.Graph, prediction: str | None, given: BatchAxes | None = None
) -> dict[str, int | None]:
    """The axis of examples of each input and output, None for one without.

    Args:
        graph: in canonical form, shapes inferred.
        prediction: the output that the loss compares; None for the first.
        given: what a user says of inputs and outputs, which decides.

    Raises:
        UserError: a name in `given` is no input or output, has no such axis, or one that cannot be that of
            examples.
    """
    given = _as_named(graph, given or {})
    inputs = {value.name or "": _sizes(value) for value in graph.inputs}
    outputs = {value.name or "": value for value in graph.outputs}
    sizes = {**inputs, **{name: _sizes(value) for name, value in outputs.items()}}
    own = _checked(given, sizes)
    name = prediction if prediction is not None else next(iter(outputs))
    of_inputs = {each: axis for each, axis in own.items() if each in inputs}
    carried = _Carried(outputs[name])
    told = carried.onward({**told_by_layers(graph), **_axes(of_inputs)})
    symbol = _symbol(inputs, sizes[name], told)
    if not _axes(own) and _takes_one_example(graph, inputs, sizes[name], symbol, told):
        found: dict[str, int | None] = dict.fromkeys(inputs)
    else:
        fixed = _fixed_size(inputs, sizes[name], told)
        found = {each: told.get(each, _axis(inputs[each], symbol, fixed)) for each in inputs}
    found.update(of_inputs)
    _check_sizes(of_inputs, found, inputs)
    alone = all(axis is None for axis in found.values())
    for each, value in outputs.items():
        of_output = carried if each == name else _Carried(value)
        if not alone:
            places = (*of_output.places(found), *sizes[each].places(symbol))
            found[each] = next(iter(places), 0 if len(sizes[each]) else None)
        found[each] = own[each] if each in own else found.get(each)
    _check_carried(own, found, carried, set(inputs))
    if not own and _of_other_size(found, inputs, sizes[name], name):
        return dict.fromkeys(found)
    return found


def _sizes(value: ir.Value) -> _Sizes:
    dims: list[int | str | None] = []
    for dim in value.shape or ():
        name = dim if isinstance(dim, int) else dim.value
        dims.append(None if isinstance(name, str) and _NO_NAME.fullmatch(name) else name)
    return _Sizes(dims)


def _as_named(graph: ir.Graph, given: BatchAxes) -> BatchAxes:
    """By the names that the graph has for them."""
    values = (*graph.inputs, *graph.outputs)
    names = {unquoted(value.name or ""): value.name or "" for value in values}
    return {names.get(name, name): axis for name, axis in given.items()}


def _checked(given: BatchAxes, tensors: Mapping[str, _Sizes]) -> dict[str, int | None]:
    """What a user says, axes counted from the front."""
    checked: dict[str, int | None] = {}
    for name, axis in given.items():
        if name not in tensors:
            raise UserError(
                f"{option('batch_axis')} names '{name}', which is no input or output: there is "
                f"{listed(tensors)}."
            )
        rank = len(tensors[name])
        if axis is not None and not -rank <= axis < rank:
            raise UserError(
                f"{option('batch_axis')} says axis {axis} of '{name}', which has {rank} axes."
            )
        checked[name] = axis if axis is None or axis >= 0 else axis + rank
    return checked


class _Carried:
    """Which axes of inputs an output still has."""

    def __init__(self, output: ir.Value) -> None:
        self.output = output
        self._axes = [origins(output, axis) for axis in range(len(output.shape or ()))]

    @property
    def known(self) -> bool:
        """Whether there is no other than those that are found."""
        return all(each.known for each in self._axes) and bool(self._axes)

    def places(self, axes: BatchAxes) -> list[int]:
        """The axes of the output that are one of the inputs' axes."""
        return [
            place
            for place, each in enumerate(self._axes)
            if any(axes.get(value.name or "") == axis for value, axis in each.axes)
        ]

    def onward(self, told: Mapping[str, int]) -> dict[str, int]:
        """Axes of inputs, and those that are one with them in the output; none where that has lost them."""
        places = self.places(told)
        if not places:
            return {} if self.known else dict(told)
        joined: dict[str, set[int]] = {}
        for value, axis in self._axes[places[0]].axes:
            joined.setdefault(value.name or "", set()).add(axis)
        alike = {name: axes.pop() for name, axes in joined.items() if len(axes) == 1}
        return {**alike, **told}


def _axes(given: BatchAxes) -> dict[str, int]:
    """Without what has none."""
    return {name: axis for name, axis in given.items() if axis is not None}


def _symbol(inputs: Mapping[str, _Sizes], predicted: _Sizes, told: Mapping[str, int]) -> str | None:
    """The name of the axis of examples; None if it has none, or its size is fixed."""
    if told:
        sizes = (inputs[name].axes[axis] for name, axis in told.items())
        return next((size for size in sizes if isinstance(size, str)), None)
    of_inputs = [name for sizes in inputs.values() for name in sizes.names]
    shared = [name for name in predicted.names if name in of_inputs]
    candidates = shared or of_inputs
    for name in candidates:
        if _BATCH_NAME.fullmatch(name):
            return name
    first = next(iter(inputs.values()), _Sizes(()))
    if isinstance(first.first, int) and first.first == predicted.first:
        return None  # of fixed size, first
    if shared:
        return shared[0]
    return next((sizes.first for sizes in inputs.values() if isinstance(sizes.first, str)), None)


def _takes_one_example(
    graph: ir.Graph,
    inputs: Mapping[str, _Sizes],
    predicted: _Sizes,
    symbol: str | None,
    told: Mapping[str, int],
) -> bool:
    """Whether the axis that all tensors share is not one of examples, and there is none.

    Rows of a graph's nodes refer to each other: by their numbers, or by a matrix of all pairs. A sequence
    may come without examples, or as the only one, in an axis of 1 that the prediction has not.
    """
    if symbol is None:
        return False
    if any(len(sizes.places(symbol)) > 1 for sizes in inputs.values()) or picks_rows(graph, symbol):
        return True
    if told or _BATCH_NAME.fullmatch(symbol):
        return False
    pairs = len(predicted.places(symbol)) > 1
    squeezed = any(sizes.first == 1 and sizes.places(symbol) for sizes in inputs.values())
    fixed = all(isinstance(size, int) for size in predicted.axes) and set(predicted.axes) - {1}
    return pairs or bool(fixed) or (squeezed and predicted.first == symbol)


def _fixed_size(
    inputs: Mapping[str, _Sizes], predicted: _Sizes, told: Mapping[str, int]
) -> int | None:
    """The size of an axis of examples that is fixed; None where one is open."""
    of_told = [inputs[name].axes[axis] for name, axis in told.items()]
    firsts = of_told or [sizes.first for sizes in inputs.values() if len(sizes)]
    if not firsts or any(not isinstance(size, int) for size in firsts):
        return None
    size = predicted.first if isinstance(predicted.first, int) and not told else firsts[0]
    return size if isinstance(size, int) else None


def _axis(sizes: _Sizes, symbol: str | None, fixed: int | None) -> int | None:
    """The axis of examples of an input."""
    places = sizes.places(symbol)
    if places:
        return places[0]
    first = sizes.first
    if isinstance(first, int):
        return 0 if first == fixed and symbol is None else None
    if not len(sizes):
        return None
    named = symbol is not None and isinstance(first, str)
    return None if named and not _BATCH_NAME.fullmatch(str(first)) else 0


def _of_other_size(
    found: BatchAxes, inputs: Mapping[str, _Sizes], predicted: _Sizes, name: str
) -> bool:
    """Whether the prediction has not an entry for each example, as all sizes are fixed and differ."""
    of_inputs = [inputs[each].axes[axis] for each, axis in _axes(found).items() if each in inputs]
    axis = found[name]
    size = None if axis is None else predicted.axes[axis]
    fixed = all(isinstance(each, int) for each in of_inputs)
    return fixed and bool(of_inputs) and isinstance(size, int) and size not in of_inputs


def _check_sizes(own: BatchAxes, found: BatchAxes, inputs: Mapping[str, _Sizes]) -> None:
    """Refuses axes of different sizes, one of which a user names."""
    sizes = {name: inputs[name].axes[axis] for name, axis in _axes(found).items()}
    fixed = {name: size for name, size in sizes.items() if isinstance(size, int)}
    if _axes(own) and len(set(fixed.values())) > 1:
        places = (f"axis {found[name]} of '{name}' has {size}" for name, size in fixed.items())
        raise UserError(
            f"As {option('batch_axis')} has it, inputs would have different numbers of examples: "
            f"{listed(places, 4)}; name another axis, or none for what is given whole."
        )


def _check_carried(
    own: BatchAxes, found: BatchAxes, predicted: _Carried, inputs: Collection[str]
) -> None:
    """Refuses an axis that the prediction does not have an entry for each example of."""
    of_inputs = {name: axis for name, axis in _axes(found).items() if name in inputs}
    output = predicted.output.name or ""
    if not predicted.known:
        return
    for each, axis in _axes(own).items():
        if each in inputs and not predicted.places({each: axis}):
            raise UserError(
                f"{option('batch_axis')} says axis {axis} of '{each}', but the prediction '{output}' has no "
                "axis that comes from it, and so no entry for each example: name another axis, or none if "
                "it is given whole."
            )
    if output in own and own[output] is not None and own[output] not in predicted.places(of_inputs):
        places = listed(f"axis {axis} of '{each}'" for each, axis in of_inputs.items())
        raise UserError(
            f"{option('batch_axis')} says axis {own[output]} of '{output}', which does not come from where "
            f"inputs have their examples ({places}): say for them too where that is."
        )
