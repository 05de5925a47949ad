"""The tape that passes and rules write nodes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.names import rename

Attributes = Mapping[str, Any]
T = TypeVar("T")

# Of more parts onnxruntime's Concat and Split on CUDA ask for memory of the host.
_MOST_PARTS = 32


class Writer:
    """Writes nodes and constants, named after what they stand for, then puts them into a graph.

    Args:
        prefix: what their names begin with.
        opset: version of the default domain.
    """

    def __init__(self, prefix: str, opset: int) -> None:
        self._prefix = prefix
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self._elsewhere = 0

    def node(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node with one output."""
        return self.nodes_with(op_type, inputs, attributes, 1)[0]

    def nodes_with(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Attributes,
        outputs: int,
        domain: str = "",
    ) -> Sequence[ir.Value]:
        """A node with several outputs, or of another domain."""
        name = f"{self._prefix}/{op_type}_{self._elsewhere + len(self.nodes)}"
        created = ir.node(
            op_type, inputs, attributes, domain=domain, num_outputs=outputs, name=name
        )
        for index, value in enumerate(created.outputs):
            value.name = name if outputs == 1 else f"{name}_{index}"
        if op_type == "Cast":
            created.outputs[0].dtype = ir.DataType(attributes["to"])
        self.nodes.append(created)
        return created.outputs

    @contextmanager
    def in_a_body(self) -> Iterator[list[ir.Node]]:
        """Has what is written meanwhile be the nodes of a body, which are given; constants stay around it."""
        around, elsewhere = self.nodes, self._elsewhere
        self.nodes, self._elsewhere = [], elsewhere + len(around)
        body = self.nodes
        try:
            yield body
        finally:
            self.nodes, self._elsewhere = around, elsewhere + len(body)

    def cast(self, value: ir.Value, dtype: str) -> ir.Value:
        """The value as "float32", "int64", ...: a name that NumPy knows."""
        return self.node("Cast", value, to=ir.DataType.from_numpy(np.dtype(dtype)))

    def constant(self, array: np.ndarray) -> ir.Value:
        """A constant tensor."""
        name = f"{self._prefix}/constant_{len(self.constants)}"
        value = ir.val(name, const_value=ir.Tensor(array, name=name))
        self.constants.append(value)
        return value

    def scalar(self, number: float) -> ir.Value:
        """A float32 scalar."""
        return self.constant(np.array(number, np.float32))

    def integer(self, number: int) -> ir.Value:
        """An int64 scalar."""
        return self.constant(np.array(number, np.int64))

    def integers(self, *numbers: int) -> ir.Value:
        """An int64 vector: axes, or a shape."""
        return self.constant(np.array(numbers, np.int64))

    def count(self, value: ir.Value) -> ir.Value:
        """How many elements a value has, int64.

        Not by Size, which onnxruntime does not compute ahead where it knows the shape.
        """
        return self.node("ReduceProd", self.node("Shape", value), keepdims=0)

    def positions(self, count: ir.Value) -> ir.Value:
        """The positions along an axis, 0, 1, ...: a vector of int64, as long as a vector of one number says."""
        last = self.node("Reshape", count, self.integers())
        return self.node("Range", self.integer(0), last, self.integer(1))

    def index_within(
        self, index: ir.Value, count: ir.Value, name: str, *, from_end: bool = False
    ) -> ir.Value:
        """Indices as they stand, int64; a run ends with an error at one that is not from 0 to below `count`.

        Gather looks whether indices are in range, and takes negative ones from the end: so it is given
        another for these.

        Args:
            index: int64, of any shape.
            count: int64, a vector of one number.
            name: a part of the name of the node that looks, which the error has.
            from_end: whether negative indices are in range too; what comes out is not negative.
        """
        if not from_end:
            negative = self.node("Less", index, self.integer(0))
            index = self.node("Where", negative, self.integer(np.iinfo(np.int64).max), index)
        checked = self.node("Gather", self.positions(count), index)
        node = checked.producer()
        assert node is not None
        node.name = f"{self._prefix}/{name}/{node.name}"
        return checked

    def reduce(
        self, op_type: str, value: ir.Value, axes: Sequence[int], *, keepdims: bool = True
    ) -> ir.Value:
        """A reduction; its axes are an attribute before opset 18 (ReduceSum: 13), an input after."""
        if self.opset >= (13 if op_type == "ReduceSum" else 18):
            return self.node(op_type, value, self.integers(*axes), keepdims=int(keepdims))
        return self.node(op_type, value, axes=list(axes), keepdims=int(keepdims))

    def inline(self, graph: ir.Graph, inputs: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
        """Takes over the nodes and the constants of a graph, which is not to be used afterwards.

        Args:
            graph: of this opset, its names are changed.
            inputs: values that its own stand for.

        Returns:
            Its outputs.
        """
        for inner in with_bodies(graph):
            for value in values_of(inner):
                rename(value, f"{self._prefix}/{value.name}")
            for node in inner:
                node.name = f"{self._prefix}/{node.name or node.op_type}"
        for value, given in zip(graph.inputs, inputs):
            if given is not None:
                value.replace_all_uses_with(given)
        outputs = list(graph.outputs)
        graph.outputs.clear()
        nodes, constants = list(graph), list(graph.initializers.values())
        graph.remove(nodes)
        graph.initializers.clear()
        self.nodes += nodes
        self.constants += constants
        return outputs

    def insert_before(self, graph: ir.Graph, node: ir.Node) -> None:
        """Puts everything written into a graph, before one of its nodes."""
        self._register_constants(graph)
        graph.insert_before(node, self.nodes)

    def insert_after(self, graph: ir.Graph, node: ir.Node) -> None:
        """Puts everything written into a graph, after one of its nodes."""
        self._register_constants(graph)
        graph.insert_after(node, self.nodes)

    def append_to(self, graph: ir.Graph) -> None:
        """Puts everything written at the end of a graph."""
        self._register_constants(graph)
        graph.extend(self.nodes)

    def take(self, other: Writer) -> None:
        """Adds what was written elsewhere."""
        self.nodes += other.nodes
        self.constants += other.constants

    def withdraw(self) -> None:
        """Takes back what was written, so that the values of the graph are not read by it."""
        for node in self.nodes:
            node.resize_inputs(0)

    def _register_constants(self, graph: ir.Graph) -> None:
        for constant in self.constants:
            graph.register_initializer(constant)


def in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time as one Concat or Split takes that may be captured in a CUDA graph."""
    for start in range(0, len(values), _MOST_PARTS):
        yield values[start : start + _MOST_PARTS]


def take_place(new: ir.Value, old: ir.Value) -> None:
    """Gives a value the name, the type and the shape of another, which goes by another name from now."""
    name, old.name = old.name, f"{old.name}/replaced"
    new.name, new.type, new.shape = name, old.type, old.shape


def second_node(node: ir.Node, inputs: Sequence[ir.Value | None], prefix: str) -> ir.Node:
    """A node like another with other inputs; it and its outputs are called the same behind a prefix."""
    second = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        version=node.version,
        name=f"{prefix}/{node.name}",
    )
    for value, output in zip(second.outputs, node.outputs):
        value.name = f"{prefix}/{output.name}" if output.name else ""
        value.type, value.shape = output.type, output.shape
    return second
