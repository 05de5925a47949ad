"""Parameters made anew: what they start from by what they are to the operations that take them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, check_several, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.finetune.initial_values import generator, he_normal
from svgd_onnx.transforms.rearrangements import hands_on
from svgd_onnx.transforms.rule import integer
from svgd_onnx.transforms.stored_tensors import store, tensor_of
from svgd_onnx.transforms.stored_types import QUANTIZATION, STORED_TENSOR
from svgd_onnx.transforms.virtualize.linear_operators import role

# Deviation of an embedding's rows, as BERT and GPT-2 begin with.
_EMBEDDING = 0.02
_SLOPE = 0.25

# A shape, that which the operation takes, and random numbers -> values.
_Initial = Callable[[Sequence[int], int, np.random.Generator], np.ndarray]


def _number(value: float) -> _Initial:
    return lambda shape, _fan_in, _random: np.full(shape, value, np.float32)


_BY_ROLE: dict[str, _Initial] = {
    "weight": he_normal,
    "bias": _number(0),
    "shift": _number(0),
    "scale": _number(1),
    "slope": _number(_SLOPE),
    "mean": _number(0),
    "variance": _number(1),
    "embedding": lambda shape, _, random: random.normal(0, _EMBEDDING, shape).astype(np.float32),
}
_STATISTICS = {3: "mean", 4: "variance"}
# Weights for the input and for the state, biases, states before the first, peepholes.
_RECURRENT = {1: "weight", 2: "weight", 3: "bias", 5: "bias", 6: "bias", 7: "bias"}


def reset_parameters(
    source: ir.Model, canonical: ir.Model, names: Collection[str], globs: Sequence[str], seed: int
) -> list[str]:
    """Gives parameters other values, in both forms of a model.

    Args:
        source: the model as it came.
        canonical: the same in canonical form, shapes inferred.
        names: of its parameters and statistics.
        globs: which of them.
        seed: of random numbers.

    Returns:
        The names of those that match.

    Raises:
        UserError: a glob matches none, or one is quantized or not known to begin in any way.
    """
    check_several("reset", globs)
    for glob in globs:
        if not any(fnmatchcase(unquoted(name), glob) for name in names):
            raise UserError(
                f"{option('reset')} '{glob}' matches no parameter of the model; it has: {listed(names)}."
            )
    chosen = [name for name in names if any(fnmatchcase(unquoted(name), each) for each in globs)]
    places = {value.name: value for value in _values(source)} if chosen else {}
    for name in chosen:
        _reset(canonical.graph.initializers[name], places.get(unquoted(name)), seed)
    return chosen


def _reset(value: ir.Value, place: ir.Value | None, seed: int) -> None:
    name = unquoted(value.name or "")
    if QUANTIZATION in value.meta:
        raise UserError(
            f"'{name}' is quantized, and has no range to begin anew with: leave it out of {option('reset')}."
        )
    numbers = _initial(value, generator(seed, name))
    stored: ir.TensorProtocol | None = value.meta.get(STORED_TENSOR)
    if stored is not None:
        rounded = numbers.astype(stored.dtype.numpy())
        value.meta[STORED_TENSOR] = ir.Tensor(rounded, dtype=stored.dtype, name=value.name)
        numbers = rounded.astype(np.float32)
    value.const_value = ir.tensor(numbers, name=value.name)
    if place is not None and tensor_of(place) is not None:
        store(place, numbers)


def _initial(value: ir.Value, random: np.random.Generator) -> np.ndarray:
    tensor = value.const_value
    assert tensor is not None
    shape = [int(size) for size in tensor.shape.numpy()]
    uses = list(_uses(value, shape))
    for node, position, sizes in uses:
        known = _BY_ROLE.get(_role(node, position) or "")
        if known is not None:
            return known(shape, _fan_in(node, position, sizes), random)
    taken = f"{uses[0][0].op_type} '{uses[0][0].name}' takes it" if uses else "nothing takes it"
    raise UserError(
        f"What '{unquoted(value.name or '')}' would begin with is not known ({taken}): leave it out of "
        f"{option('reset')}."
    )


def _role(node: ir.Node, position: int) -> str | None:
    if node.op_type == "BatchNormalization" and position in _STATISTICS:
        return _STATISTICS[position]
    if node.op_type in ("GRU", "LSTM", "RNN"):
        return _RECURRENT.get(position)
    return role(node.op_type, position)


def _fan_in(node: ir.Node, position: int, sizes: Sequence[int]) -> int:
    """How many products one output adds up, of a weight with sizes as the operation takes it."""
    if len(sizes) < 2:
        return 1
    if node.op_type == "Conv":
        return int(np.prod(sizes[1:]))
    if node.op_type == "ConvTranspose":
        return int(sizes[0] * np.prod(sizes[2:]))
    if node.op_type == "Gemm":
        turned = bool(integer(node, "transA" if position == 0 else "transB", 0))
        return int(sizes[(position == 0) != turned])
    if node.op_type == "MatMul":
        return int(sizes[-1 if position == 0 else -2])
    return int(sizes[-1])


def _uses(value: ir.Value, sizes: Sequence[int]) -> Iterator[tuple[ir.Node, int, Sequence[int]]]:
    """The operations that take a value, as it is or rearranged, and its sizes there."""
    for node, position in value.uses():
        if not hands_on(node, position):
            yield node, position, sizes
            continue
        moved = node.outputs[0]
        known = moved.shape is not None and all(isinstance(size, int) for size in moved.shape)
        yield from _uses(moved, [int(str(size)) for size in moved.shape or ()] if known else sizes)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in with_bodies(model.graph):
        yield from values_of(graph)
