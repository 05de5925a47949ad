"""Which of a model's initializers are its parameters, and which of those are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.errors import UserError, check_several, listed, option
from svgd_onnx.transforms.canonicalize.fold_constants import NO_WEIGHT
from svgd_onnx.transforms.rearrangements import REARRANGEMENTS

# Operator -> inputs that exporters fill with learned tensors.
_LEARNED_INPUTS: dict[str, frozenset[int]] = {
    "Gemm": frozenset({0, 1, 2}),
    "MatMul": frozenset({0, 1}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "BatchNormalization": frozenset({1, 2}),
    "LayerNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "Einsum": frozenset({0, 1}),
    "SimplifiedLayerNormalization": frozenset({1}),
    "PRelu": frozenset({1}),
    "Gather": frozenset({0}),
    "LSTM": frozenset({1, 2, 3}),
    "GRU": frozenset({1, 2, 3}),
    "RNN": frozenset({1, 2, 3}),
}
# A tensor added, multiplied in or spread is learned (a bias, a scale, a token); one number is not.
_ELEMENTWISE = frozenset({"Add", "Expand", "Mul"})
_MATRIX_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
# Written by training itself.
_RUNNING_STATISTICS = {"BatchNormalization": frozenset({3, 4})}
# Scale and shift of a normalization are exempt from weight decay.
_NORMALIZATIONS = frozenset(
    {
        "BatchNormalization",
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "SimplifiedLayerNormalization",
    }
)


@dataclass(frozen=True)
class Selection:
    """What becomes of a model's initializers; everything not named here stays a constant.

    Attributes:
        trainable: get a gradient.
        frozen: learned, but left as they are.
        statistics: running mean and variance, updated by BatchNormalization itself.
        decayed: trainable ones that weight decay acts on.
    """

    trainable: tuple[str, ...]
    frozen: tuple[str, ...]
    statistics: tuple[str, ...]
    decayed: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Everything that goes into the checkpoint."""
        return (*self.trainable, *self.untrained)

    @property
    def untrained(self) -> tuple[str, ...]:
        """What goes into the checkpoint without a gradient."""
        return (*self.frozen, *self.statistics)


def select_parameters(
    model: ir.Model, train: Sequence[str] = (), freeze: Sequence[str] = ()
) -> Selection:
    """Decides which initializers are trained.

    Args:
        model: in canonical form, weights as initializers.
        train: globs; only parameters that match one are trained. None: all are.
        freeze: globs; parameters that match one are not trained.

    Raises:
        UserError: no parameter is left, a glob matches nothing, or one is not float32.
    """
    floats = {
        name: value
        for name, value in model.graph.initializers.items()
        if value.dtype is not None and value.dtype.is_floating_point()
    }
    statistics = {
        name: None for name, value in floats.items() if _used_as(value, _RUNNING_STATISTICS)
    }
    candidates = [name for name in floats if name not in statistics]
    learned = [name for name in candidates if _is_learned(floats[name])]
    chosen = [
        name for name in (candidates if train else learned) if not train or _matches(name, train)
    ]
    for name, globs in (("train", train), ("freeze", freeze)):
        check_several(name, globs)
        for glob in globs:
            if not any(fnmatchcase(candidate, glob) for candidate in candidates):
                if any(fnmatchcase(each, glob) for each in statistics):
                    raise UserError(
                        f"{option(name, glob)} matches running statistics of BatchNormalization only, "
                        "which training writes itself: leave it out."
                    )
                raise UserError(
                    f"{option(name)} '{glob}' matches no parameter of the model; it has: "
                    f"{listed(learned)}."
                )
    trainable = {name: None for name in chosen if not _matches(name, freeze)}
    if not trainable:
        reason = "all of them are frozen" if chosen else "none of its initializers is a weight"
        raise UserError(f"The model has no trainable parameter: {reason}.")
    for name in trainable:
        dtype = floats[name].dtype
        if dtype != ir.DataType.FLOAT:
            raise UserError(
                f"Parameter '{name}' is {str(dtype).lower()}, and only float32 can be trained: "
                "export the model in float32."
            )
    decayed = [name for name in trainable if not _used_in(floats[name], _NORMALIZATIONS)]
    frozen = [name for name in learned if name not in trainable]
    return Selection(tuple(trainable), tuple(frozen), tuple(statistics), tuple(decayed))


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _uses(value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
    """The operations that take a value, as it is or rearranged."""
    for node, position in value.uses():
        if node.op_type in REARRANGEMENTS and position == 0:
            yield from _uses(node.outputs[0])
        else:
            yield node, position


def _used_as(value: ir.Value, inputs: dict[str, frozenset[int]]) -> bool:
    return any(position in inputs.get(node.op_type, ()) for node, position in _uses(value))


def _used_in(value: ir.Value, operators: frozenset[str]) -> bool:
    return any(node.op_type in operators for node, _ in _uses(value))


def _is_learned(value: ir.Value) -> bool:
    if value.meta.get(NO_WEIGHT):
        return False
    if _used_as(value, _LEARNED_INPUTS):
        return True
    size = value.const_value.size if value.const_value is not None else 0
    return (size > 1 and _used_in(value, _ELEMENTWISE)) or _is_bias_of_one_number(value)


def _is_bias_of_one_number(value: ir.Value) -> bool:
    """Whether a value of at least one axis is added to the output of a matrix product."""
    if value.const_value is None or not len(value.const_value.shape):
        return False
    others = (node.inputs[1 - position] for node, position in value.uses() if node.op_type == "Add")
    return any(other is not None and _op_type(other) in _MATRIX_PRODUCTS for other in others)


def _op_type(value: ir.Value) -> str | None:
    node = value.producer()
    return None if node is None else node.op_type
