"""Along which axis of each input, of the label and of each output examples lie, or that it has no such axis.

A file does not say it. What tells it is the name of the axis: the one that the prediction shares with inputs.
An input without an axis of that name (edges of a graph, a set of references, a sampling rate) is given whole
at every step. Where no tensor has it, the model takes one example a step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.conversion.picked_rows import picks_rows
from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.rule import integer

BatchAxes = Mapping[str, "int | None"]

_BATCH_NAME = re.compile(r"n|b|bs|bsz|.*batch.*|n_?samples|num_?samples", re.IGNORECASE)
# What tf2onnx and onnx's shape inference call an axis that they know nothing of.
_NO_NAME = re.compile(r"unk__\d+|\?|None|")
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


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
        UserError: a name in `given` is no input or output, or has no such axis.
    """
    given = _as_named(graph, given or {})
    inputs = {value.name or "": _sizes(value) for value in graph.inputs}
    outputs = {value.name or "": _sizes(value) for value in graph.outputs}
    own = _checked(given, {**inputs, **outputs})
    predicted = outputs[prediction] if prediction is not None else next(iter(outputs.values()))
    symbol = _symbol(graph, inputs, predicted, own)
    if _takes_one_example(graph, inputs, predicted, symbol, own):
        found: dict[str, int | None] = dict.fromkeys(inputs)
    else:
        fixed = _fixed_size(inputs, predicted)
        found = {name: _axis(sizes, symbol, fixed) for name, sizes in inputs.items()}
    found.update({name: axis for name, axis in own.items() if name in inputs})
    alone = all(axis is None for axis in found.values())
    for name, sizes in outputs.items():
        places = sizes.places(symbol)
        axis = places[0] if places else (0 if len(sizes) else None)
        found[name] = own.get(name, None if alone else axis)
    return found


def label_axis(prediction: int | None, class_axis: int | None) -> int | None:
    """The axis of examples of labels, which have the prediction's axes but that of classes."""
    if prediction is None or class_axis is None:
        return prediction
    return prediction - (class_axis < prediction)


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


def _symbol(
    graph: ir.Graph, inputs: Mapping[str, _Sizes], predicted: _Sizes, own: BatchAxes
) -> str | None:
    """The name of the axis of examples; None if it has none, or its size is fixed."""
    for name, axis in own.items():
        size = inputs[name].axes[axis] if name in inputs and axis is not None else None
        if isinstance(size, str):
            return size
    of_inputs = [name for sizes in inputs.values() for name in sizes.names]
    shared = [name for name in predicted.names if name in of_inputs]
    candidates = shared or of_inputs
    recurrent = _recurrent_names(graph)
    for name in candidates:
        if name in recurrent:
            return name
    for name in candidates:
        if _BATCH_NAME.fullmatch(name):
            return name
    first = next(iter(inputs.values()), _Sizes(()))
    if isinstance(first.first, int) and first.first == predicted.first:
        return None  # of fixed size, first
    if shared:
        return shared[0]
    return next((sizes.first for sizes in inputs.values() if isinstance(sizes.first, str)), None)


def _recurrent_names(graph: ir.Graph) -> set[str]:
    """The names that the axis of examples has where a recurrent layer says which one that is."""
    names = set()
    for node in graph:
        sequence = node.inputs[0] if node.op_type in _RECURRENT and node.domain == "" else None
        if sequence is not None and sequence.shape is not None and len(sequence.shape) == 3:
            name = _sizes(sequence).axes[1 - integer(node, "layout", 0)]
            names.update([name] if isinstance(name, str) else [])
    return names


def _takes_one_example(
    graph: ir.Graph,
    inputs: Mapping[str, _Sizes],
    predicted: _Sizes,
    symbol: str | None,
    own: BatchAxes,
) -> bool:
    """Whether the axis that all tensors share is not one of examples, and there is none.

    Rows of a graph's nodes refer to each other: by their numbers, or by a matrix of all pairs. A sequence
    may come without examples, or as the only one, in an axis of 1 that the prediction has not.
    """
    if symbol is None or any(axis is not None for axis in own.values()):
        return False
    if any(len(sizes.places(symbol)) > 1 for sizes in inputs.values()) or picks_rows(graph, symbol):
        return True
    if _BATCH_NAME.fullmatch(symbol) or symbol in _recurrent_names(graph):
        return False
    pairs = len(predicted.places(symbol)) > 1
    squeezed = any(sizes.first == 1 and sizes.places(symbol) for sizes in inputs.values())
    fixed = all(isinstance(size, int) for size in predicted.axes) and set(predicted.axes) - {1}
    return pairs or bool(fixed) or (squeezed and predicted.first == symbol)


def _fixed_size(inputs: Mapping[str, _Sizes], predicted: _Sizes) -> int | None:
    """The size of a first axis of examples that is fixed; None where one is open."""
    firsts = [sizes.first for sizes in inputs.values() if len(sizes)]
    if not firsts or any(not isinstance(size, int) for size in firsts):
        return None
    size = predicted.first if isinstance(predicted.first, int) else firsts[0]
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
