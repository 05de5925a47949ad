"""Which of a model's initializers are its parameters, and which of those are trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.errors import UserError, check_several, listed, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.canonicalize.dequantized_weights import DEQUANTIZED_FROM
from svgd_onnx.transforms.canonicalize.fold_constants import SCALE
from svgd_onnx.transforms.learned import LearnedTensors, Verdict
from svgd_onnx.transforms.quantization import (
    QUANTIZED_TYPES,
    STRAIGHT_THROUGH,
    is_dequantizing,
)
from svgd_onnx.transforms.rearrangements import hands_on

# Written by training itself.
_RUNNING_STATISTICS = {"BatchNormalization": frozenset({3, 4})}
# Trees, support vector machines and other operators of classical machine learning.
_CLASSICAL = "ai.onnx.ml"
# Scale and shift of a normalization are exempt from weight decay.
_NORMALIZATIONS = frozenset(
    {
        "BatchNormalization",
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
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
        verdicts: why each floating-point initializer but the statistics is taken for a parameter, or for
            a constant.
    """

    trainable: tuple[str, ...]
    frozen: tuple[str, ...]
    statistics: tuple[str, ...]
    decayed: tuple[str, ...]
    verdicts: Mapping[str, Verdict]

    @property
    def all(self) -> tuple[str, ...]:
        """Everything that goes into the checkpoint."""
        return (*self.trainable, *self.untrained)

    @property
    def untrained(self) -> tuple[str, ...]:
        """What goes into the checkpoint without a gradient."""
        return (*self.frozen, *self.statistics)

    def freeze(self, names: Collection[str]) -> Selection:
        """The same without some of what is trained."""
        return replace(
            self,
            trainable=tuple(name for name in self.trainable if name not in names),
            frozen=(*self.frozen, *names),
            decayed=tuple(name for name in self.decayed if name not in names),
        )


def select_parameters(
    model: ir.Model,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    new: Mapping[str, str] | None = None,
) -> Selection:
    """Decides which initializers are trained.

    Args:
        model: in canonical form, weights as initializers.
        train: globs; only parameters that match one are trained. None: all are.
        freeze: globs; parameters that match one are not trained.
        new: initializers that are parameters whatever they hold, as users call them, and why.

    Raises:
        UserError: no parameter is left, a glob matches nothing, or one is not float32.
    """
    floats = {
        name: value
        for name, value in model.graph.initializers.items()
        if value.dtype is not None
        and value.dtype.is_floating_point()
        and value.dtype not in QUANTIZED_TYPES
    }
    statistics = {
        name: value for name, value in floats.items() if _used_as(value, _RUNNING_STATISTICS)
    }
    candidates = [name for name in floats if name not in statistics]
    tensors = LearnedTensors(model.graph, [floats[name] for name in candidates])
    reasons = {name: (new or {}).get(unquoted(name)) for name in candidates}
    verdicts = {
        name: tensors.verdict(floats[name]) if reason is None else Verdict(True, reason)
        for name, reason in reasons.items()
    }
    learned = [name for name in candidates if verdicts[name].learned]
    chosen = [
        name
        for name in (candidates if train else learned)
        if not train or matches(floats[name], train)
    ]
    for name, globs in (("train", train), ("freeze", freeze)):
        check_several(name, globs)
        for glob in globs:
            if not any(matches(floats[candidate], [glob]) for candidate in candidates):
                if any(matches(each, [glob]) for each in statistics.values()):
                    raise UserError(
                        f"{option(name, glob)} matches running statistics of BatchNormalization only, "
                        "which training writes itself: leave it out."
                    )
                raise UserError(
                    f"{option(name)} '{glob}' matches no parameter of the model; it has: "
                    f"{listed(learned)}."
                )
    trainable = {name: None for name in chosen if not matches(floats[name], freeze)}
    if not trainable:
        reason = "all of them are frozen" if chosen else _nothing_learned(model.graph)
        raise UserError(f"The model has no trainable parameter: {reason}.")
    for name in trainable:
        dtype = floats[name].dtype
        if dtype != ir.DataType.FLOAT:
            raise UserError(
                f"Parameter '{name}' is {str(dtype).lower()}, and only float32 can be trained: "
                "export the model in float32."
            )
    decayed = [
        name
        for name in trainable
        if not _used_in(floats[name], _NORMALIZATIONS) and not floats[name].meta.get(SCALE)
    ]
    frozen = [name for name in learned if name not in trainable]
    return Selection(tuple(trainable), tuple(frozen), tuple(statistics), tuple(decayed), verdicts)


def matches(value: ir.Value, globs: Sequence[str]) -> bool:
    """Whether a glob matches the name of an initializer, or of the quantized one that it was computed from."""
    names = (value.name, value.meta.get(DEQUANTIZED_FROM))
    return any(name and fnmatchcase(unquoted(name), glob) for name in names for glob in globs)


def _nothing_learned(graph: ir.Graph) -> str:
    """Why none of a model's initializers can be trained: they are quantized, or trees."""
    quantized = [f"'{name}'" for name, value in graph.initializers.items() if _is_quantized(value)]
    classical = [f"{node.op_type} '{node.name}'" for node in graph if node.domain == _CLASSICAL]
    if classical and not quantized:
        return (
            f"none of its initializers is a weight, and what {listed(classical)} may have learned is in "
            "attributes, which are not trained"
        )
    if not quantized:
        return "none of its initializers is a weight"
    return (
        f"its weights are quantized ({listed(quantized)}): train them with "
        f"{option('quantized', STRAIGHT_THROUGH)}, or name with {option('train')} which to dequantize"
    )


def _is_quantized(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or tensor.size <= 1:
        return False
    read = any(is_dequantizing(node) and position == 0 for node, position in value.uses())
    return read or (value.dtype in QUANTIZED_TYPES and len(tensor.shape) > 1)


def _used_as(value: ir.Value, inputs: Mapping[str, Collection[int]]) -> bool:
    return any(position in inputs.get(node.op_type, ()) for node, position in _uses(value))


def _used_in(value: ir.Value, operators: Collection[str]) -> bool:
    return any(node.op_type in operators for node, _ in _uses(value))


def _uses(value: ir.Value) -> Iterator[tuple[ir.Node, int]]:
    """The operations that take a value, as it is or rearranged."""
    for node, position in value.uses():
        if hands_on(node, position):
            yield from _uses(node.outputs[0])
        else:
            yield node, position
