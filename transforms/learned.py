"""Which initializers a training learned: by what they do, what they hold and who wrote them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms import constants
from svgd_onnx.transforms.canonicalize.fold_constants import NO_WEIGHT, REPARAMETRIZATIONS
from svgd_onnx.transforms.canonicalize.lift_constants import LIFTED
from svgd_onnx.transforms.data_flow import PERIODIC, DataFlow, feeds_waves
from svgd_onnx.transforms.quantization import scales_quantized_numbers
from svgd_onnx.transforms.rearrangements import REARRANGEMENTS
from svgd_onnx.transforms.stored_types import stored_as

# An Einsum has fewer.
_MOST_FACTORS = 26
# Operator -> inputs that exporters fill with learned tensors.
_LEARNED_INPUTS: dict[str, frozenset[int]] = {
    "Gemm": frozenset({0, 1, 2}),
    "MatMul": frozenset({0, 1}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "BatchNormalization": frozenset({1, 2}),
    "LayerNormalization": frozenset({1, 2}),
    "RMSNormalization": frozenset({1}),
    "InstanceNormalization": frozenset({1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "Einsum": frozenset(range(_MOST_FACTORS)),
    "PRelu": frozenset({1}),
    "Gather": frozenset({0}),
    "LSTM": frozenset({1, 2, 3, 7}),
    "GRU": frozenset({1, 2, 3}),
    "RNN": frozenset({1, 2, 3}),
}
_MATRIX_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
_BIAS = 2  # of those, the input
# A tensor added, multiplied in or spread is learned (a bias, a scale, a token); one number is not.
_ELEMENTWISE = frozenset({"Add", "Expand", "Mul"})
# As often a constant (a mean, a standard deviation, a bound) as a parameter.
_OFTEN_CONSTANT = frozenset({"Div", "Max", "Min", "Pow", "Sub", "Where"})


@dataclass(frozen=True)
class Verdict:
    """Whether a tensor was learned.

    Attributes:
        learned: whether it is taken for a parameter.
        reason: why, in a few words.
        doubtful: whether it may as well be otherwise.
        stands_as_weight: whether it is taken for a constant, in doubt, where a matrix product has its weight.
    """

    learned: bool
    reason: str
    doubtful: bool = False
    stands_as_weight: bool = False


class LearnedTensors:
    """Judges the floating-point initializers of a graph.

    Args:
        graph: in canonical form.
        candidates: initializers of it.
    """

    def __init__(self, graph: ir.Graph, candidates: Iterable[ir.Value]) -> None:
        self._flow = DataFlow(graph)
        self._candidates = list(candidates)
        # where weights are initializers, what is written as a Constant node is none
        self._has_weights = any(
            not value.meta.get(LIFTED) and self._matrix_products(value)
            for value in self._candidates
        )
        # where others are learned, a matrix of one number throughout was written down
        matrices = [
            value
            for value in self._candidates
            if any(at < _BIAS for _, at in self._matrix_products(value))
        ]
        alike = {value for value in matrices if _holds(value, constants.is_one_number)}
        self._sums = alike if len(alike) < len(matrices) else set()

    def verdict(self, value: ir.Value) -> Verdict:
        """What one of the candidates is taken for."""
        constant = self._written_as_constant(value)
        if constant is not None:
            is_weight = bool(value.meta.get(LIFTED)) and self._is_weight(value)
            return Verdict(False, constant, doubtful=is_weight, stands_as_weight=is_weight)
        if any(scales_quantized_numbers(node, at) for node, at in value.uses()):
            several = value.const_value is not None and value.const_value.size > 1
            return Verdict(False, "a scale of quantized numbers", doubtful=several)
        verdicts = [self._of_use(value, node, at, way) for node, at, way in self._flow.uses(value)]
        verdicts.sort(key=lambda each: (not each.learned, each.learned == each.doubtful))
        return verdicts[0] if verdicts else Verdict(False, "nothing that is computed reads it")

    def _written_as_constant(self, value: ir.Value) -> str | None:
        if value.meta.get(NO_WEIGHT):
            return "one number, spread, or a constant of a function"
        if value.meta.get(LIFTED) and self._has_weights:
            return "a Constant node, where weights are initializers"
        return None

    def _is_weight(self, value: ir.Value) -> bool:
        """Whether a matrix product takes a value as its weight, and it is no transform."""
        several = value.const_value is not None and value.const_value.size > 1
        return several and any(
            verdict.learned and node.op_type in _MATRIX_PRODUCTS
            for node, at, way in self._flow.uses(value)
            for verdict in [self._of_use(value, node, at, way)]
        )

    def _matrix_products(self, value: ir.Value) -> Collection[tuple[ir.Node, int]]:
        """The matrix products that take a value as their weight or bias, and as which input."""
        return [
            (node, position)
            for node, position, _ in self._flow.uses(value)
            if node.op_type in _MATRIX_PRODUCTS and position in _LEARNED_INPUTS[node.op_type]
        ]

    def _of_use(self, value: ir.Value, node: ir.Node, position: int, way: list[ir.Node]) -> Verdict:
        """What one use of a value says."""
        periodic = next((each for each in way if each.op_type in PERIODIC), None)
        if periodic is not None:
            return Verdict(
                False,
                f"frequencies: read through {periodic.op_type} '{periodic.name}'",
                doubtful=True,
            )
        if position in _LEARNED_INPUTS.get(node.op_type, ()):
            return self._in_learned_place(value, node, position)
        size = value.const_value.size if value.const_value is not None else 0
        name = f"{node.op_type} '{node.name}'"
        if size == 1 and any(each.op_type in REPARAMETRIZATIONS for each in way):
            return Verdict(True, f"reparametrized for {name}")
        if (
            size == 1
            and node.op_type == "Add"
            and self._is_bias_of_one_number(value, node, position)
        ):
            return Verdict(True, f"added to the product before {name}")
        if size <= 1:
            return Verdict(False, "one number")
        if node.op_type in REARRANGEMENTS and position == 0:
            return self._of_rearranged(value, node, way)
        if node.op_type in _ELEMENTWISE:
            return self._elementwise(value, node, position)
        return Verdict(False, f"taken by {name}", doubtful=node.op_type in _OFTEN_CONSTANT)

    def _of_rearranged(self, value: ir.Value, node: ir.Node, way: list[ir.Node]) -> Verdict:
        """Rearranged to sizes that the data have, as a token that is spread over the batch."""
        for after, position in node.outputs[0].uses():
            found = self._of_use(value, after, position, [*way, node])
            if found.learned:
                return found
        return Verdict(False, f"taken by {node.op_type} '{node.name}'")

    def _in_learned_place(self, value: ir.Value, node: ir.Node, position: int) -> Verdict:
        name = f"{node.op_type} '{node.name}'"
        if node.op_type in _MATRIX_PRODUCTS | {"Einsum"} and self._is_of_positions(node, position):
            return Verdict(False, f"frequencies: {name} gives what only Sin and Cos read")
        if node.op_type == "InstanceNormalization" and _is_group_normalization(node):
            return Verdict(
                False, f"{name} is half a group normalization, with its own scale behind"
            )
        if node.op_type in _MATRIX_PRODUCTS and position < _BIAS:
            if value in self._sums:
                return Verdict(False, f"one number throughout: {name} sums by it", doubtful=True)
            if _holds(value, constants.is_of_ones_and_zeros):
                return Verdict(True, f"weight of {name}, of ones and zeros alone", doubtful=True)
        if _is_transform(value, node, position):
            why = "a window or waves, each filter even or odd about its middle"
            return Verdict(False, f"{name} is a transform: {why}", doubtful=True)
        return Verdict(True, f"{_ROLES.get(node.op_type, 'weight')} of {name}")

    def _elementwise(self, value: ir.Value, node: ir.Node, position: int) -> Verdict:
        name = f"{node.op_type} '{node.name}'"
        if node.op_type == "Expand":
            return Verdict(True, f"spread by {name}", doubtful=True)
        other = node.inputs[1 - position]
        if not self._flow.carries_data(other):
            return Verdict(False, f"{name} joins it with sizes and positions alone")
        tensor = value.const_value
        known = None if tensor is None else constants.kind(tensor.numpy(), stored_as(value))
        if known is not None:
            return Verdict(False, known)
        axes = 0 if tensor is None else sum(size > 1 for size in tensor.shape.numpy())
        # a table for each position: of vectors there are many, and each would be held against all others
        if axes > 1 and any(
            each is not value and constants.are_cosine_and_sine(each.const_value, tensor)
            for each in self._candidates
        ):
            return Verdict(False, "cosines or sines, the others beside them")
        what = "added to" if node.op_type == "Add" else "multiplied with"
        return Verdict(True, f"{what} data by {name}", doubtful=axes > 1)

    def _is_of_positions(self, node: ir.Node, position: int) -> bool:
        """Whether a product with what is no data goes into nothing but Sin and Cos."""
        others = [value for place, value in enumerate(node.inputs) if place != position]
        if any(self._flow.carries_data(value) for value in others if value is not None):
            return False
        return feeds_waves(node.outputs[0])

    def _is_bias_of_one_number(self, value: ir.Value, node: ir.Node, position: int) -> bool:
        """Whether a value of at least one axis is added to the output of a matrix product."""
        if value.const_value is None or not len(value.const_value.shape):
            return False
        other = node.inputs[1 - position]
        producer = None if other is None else other.producer()
        return producer is not None and producer.op_type in _MATRIX_PRODUCTS


def _holds(value: ir.Value, condition: Callable[[np.ndarray], bool]) -> bool:
    tensor = value.const_value
    if tensor is None or tensor.size > constants.LARGEST_WRITTEN:
        return False
    return condition(tensor.numpy())


_ROLES = {
    "Gather": "rows",
    **dict.fromkeys(("BatchNormalization", "LayerNormalization"), "scale or shift"),
}


def _is_group_normalization(node: ir.Node) -> bool:
    """Whether an InstanceNormalization by ones and zeros stands between two Reshapes."""
    value, scale, shift = node.inputs[:3]
    before = None if value is None else value.producer()
    after = [each.op_type for each, _ in node.outputs[0].uses()]
    if before is None or before.op_type != "Reshape" or after != ["Reshape"]:
        return False
    return all(
        each is not None
        and each.const_value is not None
        and bool((each.const_value.numpy() == number).all())
        for each, number in ((scale, 1), (shift, 0))
    )


def _is_transform(value: ir.Value, node: ir.Node, position: int) -> bool:
    """Whether the filters of a Conv, or the columns of a MatMul's matrix, are those of a transform."""
    tensor = value.const_value
    if tensor is None or position != 1 or node.inputs[1] is not value:
        return False
    if node.op_type == "Conv":
        filters = tensor.numpy()
        return constants.are_transform(filters.reshape(-1, int(np.prod(filters.shape[2:]))))
    return (
        node.op_type == "MatMul"
        and len(tensor.shape) == 2
        and constants.are_transform(tensor.numpy().T)
    )
