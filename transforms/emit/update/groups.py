"""Which parameters are updated as one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from svgd_onnx.step_names import UPDATE
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.writer import Writer, in_parts

# Numbers in a vector, up to which the start of an operator takes longer than the operator.
_SHORT = 1 << 14
# Numbers of an example, from which on a gradient costs more memory than the start of an operator costs time.
_MANY = 1 << 12
_MOVES = frozenset({"Identity", "Reshape", "Squeeze"})


@dataclass(frozen=True)
class Group:
    """Parameters that are updated together.

    Attributes:
        parameters: one tensor, or vectors.
        gradients: theirs.
        rate: the factor on the learning rate.
        weight_decay: theirs.
        prefix: what the names of nodes begin with.
    """

    parameters: Sequence[ir.Value]
    gradients: Sequence[ir.Value]
    rate: float
    weight_decay: float
    prefix: str

    @property
    def rank(self) -> int:
        """How many axes each parameter has."""
        return len(self.parameters[0].shape or ())


def groups_of(graph: ir.Graph, parameters: Sequence[str], update: Update) -> list[Group]:
    """Short vectors of one rate and one decay together, each other parameter by itself.

    An update is of numbers, each by itself, and of a deep network most operators would be those of vectors.
    They are in their order, as onnxruntime computes what stands last first: the gradients that the backward
    pass comes to first. The vectors wait for the last of theirs; so would a large dY that the gradient of a
    bias is the sum of, and such a bias is updated by itself.

    Args:
        graph: parameters are inputs, and their gradients outputs.
        parameters: their names.
        update: what is made of them.
    """
    inputs = {value.name: value for value in graph.inputs}
    outputs = {value.name: value for value in graph.outputs}
    names = {outputs[gradient_name(name)]: name for name in parameters}
    ordered = [names[gradient] for gradient in last_made_first(graph, names)]
    vectors: dict[tuple[float, float], list[str]] = {}
    others = []
    for name in ordered:
        waits = not _is_sum_of_many(outputs[gradient_name(name)])
        if update.optimizer.elementwise and waits and _is_short_vector(inputs[name]):
            vectors.setdefault(update.kind_of(name), []).append(name)
        else:
            others.append([name])
    return [
        Group(
            [inputs[name] for name in names],
            [outputs[gradient_name(name)] for name in names],
            *update.kind_of(names[0]),
            prefix=names[0] if len(names) == 1 else f"{UPDATE}.{index}" if index else UPDATE,
        )
        for index, names in enumerate([*_in_parts(vectors.values()), *others])
    ]


def last_made_first(graph: ir.Graph, values: Iterable[ir.Value]) -> list[ir.Value]:
    """Gradients, those that the backward pass makes first at the end: onnxruntime computes that first."""
    place: dict[ir.Node | None, int] = {node: place for place, node in enumerate(graph)}
    return sorted(values, key=lambda value: place.get(value.producer(), 0), reverse=True)


def _in_parts(kinds: Iterable[list[str]]) -> Iterator[Sequence[str]]:
    for names in kinds:
        yield from in_parts(names)


def _is_short_vector(parameter: ir.Value) -> bool:
    shape = list(parameter.shape or ())
    return len(shape) == 1 and isinstance(shape[0], int) and 0 < shape[0] <= _SHORT


def _is_sum_of_many(gradient: ir.Value) -> bool:
    """Whether it is summed over something large, whose first axis is that of examples."""
    node = gradient.producer()
    while node is not None and node.op_type in _MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type != "ReduceSum" or node.inputs[0] is None:
        return False
    shape = node.inputs[0].shape
    sizes = [] if shape is None else list(shape)[1:]
    return prod(size if isinstance(size, int) else _MANY for size in sizes) >= _MANY


def joined(write: Writer, vectors: Sequence[ir.Value]) -> ir.Value:
    """Vectors as one; a tensor that is alone as it is."""
    return vectors[0] if len(vectors) == 1 else write.node("Concat", *vectors, axis=0)


def apart(write: Writer, whole: ir.Value, like: Sequence[ir.Value]) -> Sequence[ir.Value]:
    """Undoes `joined`."""
    if len(like) == 1:
        return [whole]
    sizes = [size for vector in like for size in vector.shape or () if isinstance(size, int)]
    return write.nodes_with("Split", [whole, write.integers(*sizes)], {"axis": 0}, len(like))
