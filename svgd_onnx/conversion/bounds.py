"""What a model may ask for: a small file can say much, as functions that call each other twice.

Models that people train are far below these bounds, and what is above would take hours, or all memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import onnx

from svgd_onnx.conversion.contents import (
    graphs,
    nodes,
    sparse_tensors,
    tensors,
    undecoded_texts,
)
from svgd_onnx.conversion.external_data import is_external
from svgd_onnx.conversion.tensor_size import check_data
from svgd_onnx.errors import UserError
from svgd_onnx.step_names import has_marks
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN

# Once functions are written out.
_MOST_NODES = 50_000
_MOST_CALLS = 100
# Of one value that is made: onnxruntime's order of nodes takes time that grows with their square.
_MOST_READERS = 8192
# Graphs in nodes in graphs; each is differentiated for itself, and what is in it again.
_MOST_BODIES = 8
# Numbers of which operators are written out, or arrays made: places of a window, channels of a norm.
_MOST_PLACES = 1 << 20
_WINDOWS = frozenset({"blocksize", "kernel_shape", "size"})
# Of less than one of these no operator makes sense, and onnxruntime divides by some without looking.
_COUNTS = _WINDOWS | {
    "dilations",
    "group",
    "hidden_size",
    "num_groups",
    "num_heads",
    "num_outputs",
    "pooled_shape",
    "strides",
}

# Of sizes and places: kernels add them and multiply by them.
_FARTHEST = 1 << 31
# Integers that are no sizes or places, or may lie behind any end.
_ANY = frozenset({"end", "ends", "ignore_index", "start", "starts", "value_int", "value_ints"})

_Function = tuple[str, str, str]


def check_bounds(model: onnx.ModelProto, source: str) -> None:
    """Refuses a model that asks for more than any that is trained.

    Args:
        model: as it was read.
        source: what to call it in a message.

    Raises:
        UserError: it has too many nodes, readers of a value, graphs in graphs, or functions that call
            functions, a function that calls itself, an operator of ours, a window without end or none, an
            attribute that no size can be, a tensor without its numbers, a sparse one, a text that is not UTF-8,
            or a name with marks of ours in it.
    """
    undecoded = next(undecoded_texts(model), None)
    if undecoded is not None:
        raise UserError(
            f"{source[0].upper()}{source[1:]} has a text that is not UTF-8 ({undecoded!r}): export it again."
        )
    for tensor, name in tensors(model):
        if not is_external(tensor):
            check_data(tensor, f"The tensor '{name}' of {source}")
    for _, name in sparse_tensors(model):
        raise UserError(
            f"The tensor '{name}' of {source} is sparse, which cannot be trained: export it with all numbers."
        )
    for graph in graphs(model):
        for value in (*graph.input, *graph.output, *graph.initializer):
            _check_name(value.name, source)
        _check_readers(graph, source)
    for holder in (model, *model.functions):
        for node, depth in nodes(holder):
            _check_node(node, depth, source)
    _check_calls(model, source)


def _check_name(name: str, source: str) -> None:
    if has_marks(name):
        raise UserError(
            f"The name '{name}' in {source} has characters that are private to Unicode: give it another."
        )


def _check_readers(graph: onnx.GraphProto, source: str) -> None:
    made = {name for node in graph.node for name in node.output}
    read = Counter(name for node in graph.node for name in node.input if name in made)
    for name, count in read.most_common(1):
        if count > _MOST_READERS:
            raise UserError(
                f"{count:,} nodes of {source} read '{name}': of what a node makes, {_MOST_READERS:,} may."
            )


def called(node: onnx.NodeProto, source: str) -> str:
    """What a message calls a node of a model."""
    return f"The node '{node.name or next(iter(node.output), '')}' of {source}"


def _check_node(node: onnx.NodeProto, depth: int, source: str) -> None:
    name = called(node, source)
    for each in (node.name, *node.input, *node.output):
        _check_name(each, source)
    if node.domain == DOMAIN:
        raise UserError(
            f"{name} is {node.op_type} of {DOMAIN}, which training graphs have: convert the model that was "
            "exported, and no training graph."
        )
    if depth > _MOST_BODIES:
        raise UserError(
            f"{name} lies in more than {_MOST_BODIES} graphs, one in another: write its If and Loop "
            "operators with fewer levels."
        )
    check_counts(node, name)
    for attribute in node.attribute:
        numbers = _numbers(attribute)
        if node.domain == "" and attribute.name not in _ANY:
            far = [each for each in numbers if abs(each) > _FARTHEST]
            if far:
                raise UserError(
                    f"{name} has {attribute.name} of {far[0]:,}, which no size or place can be: export it "
                    "again."
                )
        if attribute.name in _WINDOWS and prod(numbers) > _MOST_PLACES:
            raise UserError(
                f"{name} has a window of {prod(numbers):,} places ({attribute.name}): it may have "
                f"{_MOST_PLACES:,}."
            )


def _numbers(attribute: onnx.AttributeProto) -> list[int]:
    return [*attribute.ints, *([attribute.i] if attribute.HasField("i") else [])]


def check_counts(node: onnx.NodeProto, name: str) -> None:
    """Refuses a node with less than one of what it counts, pads or an order that are none: onnxruntime may die.

    Args:
        node: of a model as it was read.
        name: what to call it in a message.

    Raises:
        UserError: names the attribute.
    """
    _check_pads(node, name)
    for attribute in node.attribute:
        numbers = _numbers(attribute)
        if attribute.name in _COUNTS and min(numbers, default=1) < 1:
            raise UserError(
                f"{name} has {attribute.name} of {min(numbers)}, of which there must be 1 or more: export it "
                "again."
            )
        if attribute.name == "perm" and sorted(numbers) != list(range(len(numbers))):
            # onnxruntime looks up axes by it before it knows how many there are
            given = ", ".join(map(str, numbers))
            raise UserError(
                f"{name} has perm of {given}, which is no order of axes: export it again."
            )


def _check_pads(node: onnx.NodeProto, name: str) -> None:
    """Pads around windows: 0 or more before and behind each axis, as ONNX has them.

    Of others onnx infers no shape, and who pads all the same makes arrays of any size.
    """
    lists = {each.name: list(each.ints) for each in node.attribute}
    pads = lists.get("pads")
    if pads is None or node.domain or node.op_type == "Pad":
        return
    axes = len(lists.get("kernel_shape", pads[::2]))
    if len(pads) != 2 * axes:
        raise UserError(
            f"{name} has {len(pads)} pads for a window of {axes} axes: export it again."
        )
    wrong = next((each for each in pads if not 0 <= each <= _MOST_PLACES), None)
    if wrong is not None:
        raise UserError(
            f"{name} has pads of {wrong:,}, which may be 0 to {_MOST_PLACES:,}: export it again."
        )


def _check_calls(model: onnx.ModelProto, source: str) -> None:
    """Counts nodes and calls without making any."""
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    counts: dict[_Function, int] = {}
    depths: dict[_Function, int] = {}
    for key in _callees_first(functions, source):
        counts[key], depths[key] = _written_out(functions[key], counts, depths)
    count, depth = _written_out(model, counts, depths)
    if count > _MOST_NODES:
        raise UserError(
            f"{source[0].upper()}{source[1:]} has {count:,} nodes, once its functions are written out: it may "
            f"have {_MOST_NODES:,}."
        )
    if depth > _MOST_CALLS:
        raise UserError(
            f"Functions of {source} call each other {depth:,} deep: they may {_MOST_CALLS} deep."
        )


def _written_out(
    holder: onnx.ModelProto | onnx.FunctionProto,
    counts: dict[_Function, int],
    depths: dict[_Function, int],
) -> tuple[int, int]:
    """How many nodes come of a graph or a function, and how deep its calls go."""
    called = [_key(node) for node, _ in nodes(holder)]
    depth = max((1 + depths[key] for key in called if key in depths), default=0)
    return sum(counts.get(key, 1) for key in called), depth


def _callees_first(
    functions: dict[_Function, onnx.FunctionProto], source: str
) -> Iterator[_Function]:
    calls = {
        key: {_key(node) for node, _ in nodes(each)} & functions.keys()
        for key, each in functions.items()
    }
    callers: dict[_Function, list[_Function]] = {key: [] for key in functions}
    for caller, called in calls.items():
        for key in called:
            callers[key].append(caller)
    ready = [key for key, called in calls.items() if not called]
    done = 0
    while ready:
        key = ready.pop()
        done += 1
        yield key
        for caller in callers[key]:
            calls[caller].discard(key)
            if not calls[caller]:
                ready.append(caller)
    if done < len(functions):
        name = next(key[1] for key, called in calls.items() if called)
        raise UserError(f"The function '{name}' of {source} calls itself, by others or at once.")


def _key(node: onnx.NodeProto) -> _Function:
    return node.domain, node.op_type, node.overload


@contextmanager
def out_of_bounds() -> Iterator[None]:
    """Around work on a model: where it needs more than this machine has, that is the model's.

    Raises:
        UserError: memory, or the depth to which Python calls, did not do.
    """
    try:
        yield
    except MemoryError as error:
        raise UserError(
            "The model needs more memory than there is: convert it on a larger machine, or with smaller sizes."
        ) from error
    except RecursionError as error:
        raise UserError(
            "The model has longer chains of such nodes than can be followed: simplify it, and export it again."
        ) from error
