"""How much memory training takes by the size of a batch, for a folder of artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from svgd_onnx.conversion.memory.arena import Arena, Place
from svgd_onnx.conversion.memory.buffers import Buffers
from svgd_onnx.conversion.memory.node_order import node_order
from svgd_onnx.conversion.memory.step_shapes import StepShapes, UnknownShapeError
from svgd_onnx.conversion.memory.workspace import workspace
from svgd_onnx.errors import UserError, first_line, listed, option
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.runtime import has_custom_op_library
from svgd_onnx.step_names import IN_PLACE
from svgd_onnx.targets import target_named
from svgd_onnx.transforms.canonicalize.fix_sizes import size_of

# Batches by which it is told how shapes grow; a size of 1 may be one that is fixed.
_FEW, _MORE = 2, 3
LARGEST_BATCH = 1 << 20
_ANY = 1 << 62


class NotEstimatedError(UserError):
    """The memory of a step does not follow from its graph; the message says why."""


@dataclass(frozen=True)
class _Node:
    """What a node takes and gives back: buffers by number.

    Attributes:
        taken: those that it needs first.
        given_back: those that it needs last.
        works_in: bytes that it works in: fixed, those of each example, and the most.
    """

    taken: Sequence[int]
    given_back: Sequence[int]
    works_in: tuple[int, int, int]


@dataclass(frozen=True)
class MemoryEstimate:
    """The memory that training takes beyond that of the loaded process, which has trained something small.

    It is that of the parameters, gradients, r and the optimizer's states, of the opened session, and of what a
    step computes: the values that live at once, as onnxruntime's arena places them on the processor.

    Attributes:
        kernels: whose kernels, "fast" or "standard".
        batch_size: that of the model, where it leaves no choice.
        kept: bytes that do not depend on the batch.
    """

    kernels: str
    batch_size: int | None
    kept: int
    _sizes: Sequence[tuple[int, int]]
    _nodes: Sequence[_Node]

    def nbytes(self, batch: int) -> int:
        """The peak of resident memory while batches of this size are trained on, in bytes."""
        sizes = [fixed + each * batch for fixed, each in self._sizes]
        arena, places = Arena(), dict[int, Place]()
        for node in self._nodes:
            for buffer in node.taken:
                places[buffer] = arena.take(sizes[buffer])
            fixed, each, most = node.works_in
            if most:
                arena.give_back(arena.take(min(fixed + each * batch, most)))
            for buffer in node.given_back:
                arena.give_back(places.pop(buffer))
        return self.kept + arena.touched

    def largest_batch(self, limit: int) -> int:
        """The most examples a step for which `nbytes` is within a limit in bytes; 0 if none is.

        It looks no further than `LARGEST_BATCH`.
        """
        if self.batch_size is not None:
            return self.batch_size if self.nbytes(self.batch_size) <= limit else 0
        fits, too_many = 0, 1
        while too_many <= LARGEST_BATCH and self.nbytes(too_many) <= limit:
            fits, too_many = too_many, 2 * too_many
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.nbytes(middle) <= limit:
                fits = middle
            else:
                too_many = middle
        return min(fits, LARGEST_BATCH)


def estimate_memory(
    folder: Path, manifest: Manifest, sizes: Mapping[str, int] | None = None
) -> MemoryEstimate:
    """Reads from the graph of a folder's step how much memory it takes on the processor.

    Args:
        folder: artifacts.
        manifest: theirs.
        sizes: of open axes other than that of examples, by their name or a glob.

    Raises:
        NotEstimatedError: the step cannot be read, an axis is open, or a shape does not follow from the graph.
    """
    if manifest.compute != "float32":
        raise NotEstimatedError(
            "Memory is not estimated: that is told of steps on the processor, which computes in float32 "
            f"what is in {manifest.compute} here."
        )
    target = target_named(manifest.target)
    fast = (folder / target.fast_step).is_file() and has_custom_op_library()
    step = folder / (target.fast_step if fast else target.step)
    try:
        model = onnx.load(step, load_external_data=False)
    except Exception as error:  # of the file system, or protobuf's own
        raise NotEstimatedError(
            f"Memory is not estimated: '{step}' is not there or damaged: convert the model again."
        ) from error
    graph = model.graph
    with_bodies = [node.op_type for node in graph.node if node.op_type in ("If", "Loop")]
    if with_bodies:
        raise NotEstimatedError(
            f"Memory is not estimated: the step has {listed(dict.fromkeys(with_bodies))}, whose turns are only "
            "known when it runs."
        )
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    try:
        few, more = (_shapes(graph, opset, manifest, batch, sizes or {}) for batch in (_FEW, _MORE))
    except UnknownShapeError as error:
        raise NotEstimatedError(
            f"Memory is not estimated: the shape of {error} does not follow from the graph."
        ) from error
    except UserError:
        raise
    except Exception as error:  # shape inference, and the evaluation of sizes, raise several kinds
        raise NotEstimatedError(
            f"Memory is not estimated: shapes do not follow from the graph ({first_line(error)})."
        ) from error
    outputs = {value.name for value in graph.output} if target.binds_outputs else set()
    given = {value.name for value in (*graph.input, *graph.initializer)}
    nodes = [graph.node[number] for number in node_order(graph.node)]
    buffers = Buffers(nodes, given | outputs, lambda name: (few.shapes[name], more.shapes[name]))
    numbers: dict[str, int] = {}
    for names in buffers.taken:
        for name in names:
            numbers[name] = len(numbers)
    return MemoryEstimate(
        kernels="fast" if fast else "standard",
        batch_size=manifest.batch_size,
        kept=target.kept_bytes(manifest, len(nodes)) - sum(map(few.nbytes, _in_place(model))),
        _sizes=[_line(few.nbytes(name), more.nbytes(name), name) for name in numbers],
        _nodes=[
            _Node(
                [numbers[name] for name in taken],
                [numbers[name] for name in given_back],
                _works_in(node, few, more),
            )
            for node, taken, given_back in zip(nodes, buffers.taken, buffers.given_back)
        ],
    )


def _in_place(model: onnx.ModelProto) -> list[str]:
    """What is not there twice."""
    metadata = {each.key: each.value for each in model.metadata_props}
    names: list[str] = json.loads(metadata.get(IN_PLACE, "[]"))
    return names


def check_sizes(manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """Refuses a size of an axis that no array has.

    Raises:
        UserError: lists those that are open.
    """
    names = [_axis(tensor, axis) for tensor in manifest.arrays for axis in range(len(tensor.shape))]
    for given in sizes:
        if not any(size_of(name, {given: 1}) for name in names):
            raise UserError(
                f"{option('random_size')} has '{given}', which is no open axis: they are "
                f"{listed(dict.fromkeys(name for name in names if not name.isdigit())) or 'none'}."
            )


def _axis(tensor: Tensor, axis: int) -> str:
    """The name of an axis; the size of one that is fixed."""
    size = tensor.shape[axis]
    return f"{tensor.name}.{axis}" if size == "?" else str(size)


def _shapes(
    graph: onnx.GraphProto,
    opset: int,
    manifest: Manifest,
    batch: int,
    sizes: Mapping[str, int],
) -> StepShapes:
    """The shapes of all values for a batch."""
    shapes = _input_shapes(graph, manifest, batch, sizes)
    axes = {
        str(name): size
        for tensor, shape in zip(manifest.arrays, shapes.values())
        for name, size in zip(tensor.shape, shape)
        if name != "?"
    }
    found = StepShapes(graph, opset, shapes, axes)
    for node in graph.node:
        found.infer(node)
    return found


def _input_shapes(
    graph: onnx.GraphProto, manifest: Manifest, batch: int, sizes: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """Shapes of inputs with open axes.

    Raises:
        NotEstimatedError: one is neither that of examples, nor is its size given.
    """
    shapes = {}
    for value, tensor in zip(graph.input, manifest.arrays):
        shape = []
        for axis, size in enumerate(tensor.shape):
            name = _axis(tensor, axis)
            known = size if isinstance(size, int) else size_of(name, sizes)
            if axis == tensor.batch_axis and not isinstance(size, int):
                known = batch
            if not known:
                raise NotEstimatedError(
                    f"Memory is not estimated: the axis '{name}' of '{tensor.name}' is open; "
                    f"{option('random_size', f'{name}=N')} gives it a size."
                )
            shape.append(known)
        shapes[value.name] = tuple(shape)
    return shapes


def _line(few: int, more: int, name: str) -> tuple[int, int]:
    """Bytes that are fixed, and that each example adds.

    Raises:
        NotEstimatedError: the size grows otherwise.
    """
    if few == more:
        return few, 0
    if few * _MORE != more * _FEW:
        raise NotEstimatedError(
            f"Memory is not estimated: the size of '{name}' does not grow with the batch alone."
        )
    return 0, few // _FEW


def _works_in(node: onnx.NodeProto, few: StepShapes, more: StepShapes) -> tuple[int, int, int]:
    """See `_Node`."""
    if node.op_type == "Scan":
        less, larger = (each.turn_bytes[node.output[0]] for each in (few, more))
        most = _ANY
    else:
        (less, most), (larger, _) = workspace(node, few.shapes), workspace(node, more.shapes)
    each = (larger - less) // (_MORE - _FEW)
    return less - _FEW * each, each, most
