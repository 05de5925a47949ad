"""The shape of every value of a training step, for a batch of some size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from svgd_onnx.conversion.memory.other_shapes import OTHER_NUMBERS, OTHER_OPERATORS

_DEFAULT_DOMAINS = ("", "ai.onnx")
# Longer vectors of integers are no sizes (those of a Split are as many as it has outputs), nor longer ones of
# other numbers scales of a Resize.
_LONGEST, _LONGEST_OF_OTHERS = 4096, 64
# Of integers that others are computed from.
_OF_SIZES = frozenset(
    {"Add", "And", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather"}
    | {"Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "Or"}
    | {"Range", "ReduceMax", "ReduceProd", "ReduceSum", "Reshape", "ScatterElements", "ScatterND"}
    | {"Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"}
)
# Of those that may make many numbers of few, how many they make.
_COUNTS: Mapping[str, Callable[[Sequence[np.ndarray]], float]] = {
    "ConstantOfShape": lambda given: float(np.prod(given[0], dtype=np.float64)),
    "Expand": lambda given: given[0].size * float(np.prod(given[1], dtype=np.float64)),
    "Range": lambda given: (float(given[1]) - float(given[0])) / (float(given[2]) or 1.0),
}


class UnknownShapeError(Exception):
    """The shape of a value does not follow from what the graph says; the message names the value."""


@dataclass
class StepShapes:
    """Shapes and types of the values of a graph, found node by node.

    Args:
        graph: of a step.
        opset: its version of ONNX's operators.
        given: the shapes of inputs that have open axes.
        axes: the sizes of open axes by name, for what the graph says of shapes itself.

    Attributes:
        shapes: by the value's name.
        types: the element types of ONNX.
        sizes: the numbers of small tensors of integers that are known.
        turn_bytes: of a Scan, by its first output, what a turn computes.

    Raises:
        UnknownShapeError: a shape does not follow.
    """

    graph: onnx.GraphProto
    opset: int
    given: Mapping[str, tuple[int, ...]]
    axes: Mapping[str, int]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, np.ndarray] = field(default_factory=dict)
    turn_bytes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value in self.graph.input:
            self._note(value.name, value.type)
        self.shapes.update(self.given)
        self._inferred: dict[Hashable, list[onnx.TypeProto | None]] = {}
        self._stated = {value.name: value for value in self.graph.value_info}
        for tensor in self.graph.initializer:
            self.shapes[tensor.name] = tuple(tensor.dims)
            self.types[tensor.name] = tensor.data_type
            if prod(tensor.dims) <= _LONGEST:
                self._keep(tensor.name, numpy_helper.to_array(tensor))

    def infer(self, node: onnx.NodeProto) -> None:
        """Finds the shapes of a node's outputs."""
        if node.domain in _DEFAULT_DOMAINS:
            self._compute(node)
        missing = [name for name in node.output if name and name not in self.shapes]
        if missing and node.op_type == "Scan":
            self._of_turns(node)
        elif missing and node.op_type in OTHER_OPERATORS:
            self._of_another_domain(node)
        elif missing and node.domain in _DEFAULT_DOMAINS:
            self._of_the_standard(node)
        for name in missing:
            if name not in self.shapes and name in self._stated:
                self._note(name, self._stated[name].type)
            if name not in self.shapes:
                raise UnknownShapeError(f"'{name}', of {node.op_type}")

    def nbytes(self, name: str) -> int:
        """The bytes of a value."""
        width = np.dtype(helper.tensor_dtype_to_np_dtype(self.types[name])).itemsize
        return width * prod(self.shapes[name])

    def _note(self, name: str, kind: onnx.TypeProto) -> None:
        tensor = kind.tensor_type
        if tensor.elem_type == onnx.TensorProto.UNDEFINED or not tensor.HasField("shape"):
            return
        self.types[name] = tensor.elem_type
        sizes = [
            dim.dim_value if dim.HasField("dim_value") else self.axes.get(dim.dim_param, -1)
            for dim in tensor.shape.dim
        ]
        if -1 not in sizes:
            self.shapes[name] = tuple(sizes)

    def _compute(self, node: onnx.NodeProto) -> None:
        """The numbers of a small tensor, where they follow from sizes."""
        name = node.output[0]
        if node.op_type == "Constant":
            found = _constant(node)
            if found is None:
                return
        elif node.op_type in ("Shape", "Size"):
            shape = np.array(self.shapes[node.input[0]], np.int64)
            whole = {each.name: each.i for each in node.attribute}
            part = shape[whole.get("start", 0) : whole.get("end", len(shape))]
            found = part if node.op_type == "Shape" else np.array(prod(shape), np.int64)
        elif self._is_small(node):
            given = {each: self.sizes[each] for each in node.input if each}
            outputs: Any = ReferenceEvaluator(_alone(node, given, self.opset)).run(None, given)
            found = np.asarray(outputs[0])
        else:
            return
        self._keep(name, found)

    def _is_small(self, node: onnx.NodeProto) -> bool:
        """Whether a node computes a few numbers of known ones."""
        if node.op_type not in _OF_SIZES or any(
            each and each not in self.sizes for each in node.input
        ):
            return False
        count = _COUNTS.get(node.op_type)
        return count is None or count([self.sizes[each] for each in node.input]) <= _LONGEST

    def _keep(self, name: str, numbers: np.ndarray) -> None:
        self.shapes[name] = numbers.shape
        self.types[name] = helper.np_dtype_to_tensor_dtype(numbers.dtype)
        if numbers.size <= (_LONGEST if numbers.dtype.kind in "biu" else _LONGEST_OF_OTHERS):
            self.sizes[name] = numbers

    def _of_the_standard(self, node: onnx.NodeProto) -> None:
        # a network is of a few layers, again and again
        alike = self._likeness(node)
        if alike not in self._inferred:
            found = self._infer_alone(node)
            self._inferred[alike] = [found.get(name) for name in node.output]
        for name, kind in zip(node.output, self._inferred[alike]):
            if kind is not None:
                self._note(name, kind)

    def _likeness(self, node: onnx.NodeProto) -> Hashable:
        """All that the shapes of a node's outputs depend on."""
        inputs = (
            (self.types.get(name), self.shapes.get(name), self._numbers(name)) if name else None
            for name in node.input
        )
        attributes = (each.SerializeToString(deterministic=True) for each in node.attribute)
        there = (bool(name) for name in node.output)
        return node.op_type, tuple(inputs), tuple(attributes), tuple(there)

    def _numbers(self, name: str) -> bytes | None:
        return self.sizes[name].tobytes() if name in self.sizes else None

    def _infer_alone(self, node: onnx.NodeProto) -> Mapping[str, onnx.TypeProto]:
        """What onnx infers of a node, by the output's name; nothing of operators that it does not know."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        except onnx.defs.SchemaError:  # one of onnxruntime's training set
            return {}
        kinds = {
            name: helper.make_tensor_type_proto(self.types[name], self.shapes[name])
            for name in node.input
            if name
        }
        known = {
            name: numpy_helper.from_array(self.sizes[name], name)
            for name in node.input
            if name in self.sizes
        }
        opsets = [helper.make_opsetid("", self.opset)]
        found: Mapping[str, onnx.TypeProto] = shape_inference.infer_node_outputs(
            schema, node, kinds, known, opset_imports=opsets
        )
        return found

    def _of_another_domain(self, node: onnx.NodeProto) -> None:
        rule = OTHER_OPERATORS[node.op_type]
        given = [self.shapes.get(name) for name in node.input]
        sizes = [self.sizes.get(name) for name in node.input]
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for name, (shape, kind) in zip(node.output, rule(given, sizes, attributes)):
            if name and shape is not None:
                self.shapes[name] = tuple(int(size) for size in shape)
                first = self.types.get(node.input[0], onnx.TensorProto.FLOAT)
                self.types[name] = first if kind is None else kind
        told = OTHER_NUMBERS.get(node.op_type)
        for name, numbers in zip(node.output, told(given, sizes, attributes) if told else ()):
            if name and numbers is not None:
                self._keep(name, numbers)

    def _of_turns(self, node: onnx.NodeProto) -> None:
        """Of a Scan, whose body reads values around it."""
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        body, scanned = told["body"], told["num_scan_inputs"]
        states = len(node.input) - scanned
        turns, given = 0, {}
        axes = [None] * states + list(told.get("scan_input_axes", [0] * scanned))
        for value, name, axis in zip(body.input, node.input, axes):
            shape = list(self.shapes[name])
            if axis is not None:
                turns = shape.pop(axis)
            given[value.name] = tuple(shape)
        kinds = {value.name: self.types[name] for value, name in zip(body.input, node.input)}
        turn = StepShapes(
            body,
            self.opset,
            given,
            self.axes,
            dict(self.shapes),
            {**self.types, **kinds},
            dict(self.sizes),
        )
        for each in body.node:
            turn.infer(each)
        stacked = [0] * (len(node.output) - states)
        places = [None] * states + list(told.get("scan_output_axes", stacked))
        for name, value, axis in zip(node.output, body.output, places):
            shape = list(turn.shapes[value.name])
            if axis is not None:
                shape.insert(axis, turns)
            self.shapes[name], self.types[name] = tuple(shape), turn.types[value.name]
        names = (name for each in body.node for name in each.output if name)
        self.turn_bytes[node.output[0]] = sum(map(turn.nbytes, names))


def _constant(node: onnx.NodeProto) -> np.ndarray | None:
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if "value" in values:
        return numpy_helper.to_array(values["value"])
    numbers = next(iter(values.values()), None)
    return None if isinstance(numbers, bytes | None) else np.array(numbers)


def _alone(node: onnx.NodeProto, given: Mapping[str, np.ndarray], opset: int) -> onnx.ModelProto:
    """A model of one node."""
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "node", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
