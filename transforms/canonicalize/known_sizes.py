"""Sizes that follow from others by arithmetic: what exporters compute from Shape, and the -1 of a Reshape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.canonicalize.local_shapes import local_shape
from svgd_onnx.transforms.canonicalize.size import Entries, Size, dims_of, product
from svgd_onnx.transforms.rule import constant_value, input_of, integer

# Each goes as far as the next operator whose shape only onnx infers; after so many, sizes stay open.
_MOST_ROUNDS = 10
# Longer vectors are no sizes.
_LONGEST = 16


class KnownSizes(ir.passes.InPlacePass):
    """Computes what can be known of sizes, and shapes from that.

    Integers that nodes compute of fixed sizes become initializers. Of a Reshape with a -1 the size is inferred,
    if the open sizes around it cancel out.

    Ensures: values have the shapes that they had, where those were known.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for _ in range(_MOST_ROUNDS):
            if not _has_unknown(model.graph) or not _Round(model.graph).infer():
                break
            InferShapes()(model)
            modified = True
        return ir.passes.PassResult(model, modified)


def _has_unknown(graph: ir.Graph) -> bool:
    """Whether a value has an axis without size and name."""
    return any(
        value.shape is None
        or any(not isinstance(dim, int) and not dim.value for dim in value.shape)
        for node in graph
        for value in node.outputs
        if value.uses()
    )


class _Round:
    """One way through a graph."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._known: dict[ir.Value, Entries] = {}

    def infer(self) -> bool:
        """Whether anything was inferred."""
        modified = False
        for node in list(self._graph):
            if node.domain != "":
                continue
            rule = _RULES.get(node.op_type)
            entries = None if rule is None else rule(self, node)
            if entries is not None and len(entries) <= _LONGEST:
                self._known[node.outputs[0]] = entries
                modified |= self._fold(node, entries)
            told = local_shape(node, self.entries)
            if told is not None:
                modified |= _refine(node.outputs[0], told)
        return modified

    def entries(self, value: ir.Value | None) -> Entries | None:
        """The entries of a vector of integers, or the number; None if it is neither."""
        if value is None:
            return None
        array = constant_value(value)
        if array is not None and value.is_initializer() and not value.is_graph_input():
            if array.dtype.kind != "i" or array.ndim > 1 or array.size > _LONGEST:
                return None
            return [Size(int(each)) for each in array.reshape(-1)]
        return self._known.get(value)

    def _fold(self, node: ir.Node, entries: Entries) -> bool:
        """Replaces a node by the integers that it computes, if all are known."""
        output = node.outputs[0]
        numbers = [each.times for each in entries if each is not None and not each.names]
        if len(numbers) < len(entries) or output.is_graph_output() or output.shape is None:
            return False
        if output.dtype is None or not output.dtype.is_integer() or len(output.shape) > 1:
            return False
        name = output.name or ""
        array = np.array(numbers, output.dtype.numpy()).reshape([-1] * len(output.shape))
        output.name = f"{name}/folded"
        constant = ir.val(name, const_value=ir.Tensor(array, name=name))
        self._graph.register_initializer(constant)
        output.replace_all_uses_with(constant)
        self._graph.remove(node, safe=True)
        self._known[constant] = entries
        return True


def _shape(known: _Round, node: ir.Node) -> Entries | None:
    dims = dims_of(node.inputs[0])
    if dims is None:
        return None
    return dims[slice(integer(node, "start", 0), integer(node, "end", len(dims)))]


def _size(known: _Round, node: ir.Node) -> Entries | None:
    dims = dims_of(node.inputs[0])
    return None if dims is None else [product(dims)]


def _same(known: _Round, node: ir.Node) -> Entries | None:
    return known.entries(node.inputs[0])


def _gather(known: _Round, node: ir.Node) -> Entries | None:
    entries, places = known.entries(node.inputs[0]), known.entries(node.inputs[1])
    if entries is None or places is None or any(each is None or each.names for each in places):
        return None
    at = [each.times for each in places if each is not None]
    return [entries[each] for each in at] if all(abs(each) < len(entries) for each in at) else None


def _slice(known: _Round, node: ir.Node) -> Entries | None:
    entries = known.entries(node.inputs[0])
    ends = [known.entries(input_of(node, place)) for place in (1, 2)]
    step = known.entries(input_of(node, 4)) or [Size(1)]
    numbers = [each[0] for each in (*ends, step) if each]
    if entries is None or len(numbers) < 3 or any(each is None or each.names for each in numbers):
        return None
    start, end, stride = (each.times for each in numbers if each is not None)
    return entries[start:end:stride] if stride else None


def _concat(known: _Round, node: ir.Node) -> Entries | None:
    parts = [known.entries(value) for value in node.inputs]
    joined: list[Size | None] = []
    for value, part in zip(node.inputs, parts):
        dims = dims_of(value)
        if part is not None:
            joined += part
        elif dims is not None and len(dims) == 1 and dims[0] is not None and not dims[0].names:
            if dims[0].times > _LONGEST:
                return None
            joined += [None] * dims[0].times
        else:
            return None
    return joined


def _arithmetic(known: _Round, node: ir.Node) -> Entries | None:
    a, b = (known.entries(value) for value in node.inputs)
    if not a or not b:
        return None
    count = max(len(a), len(b))
    if count % len(a) or count % len(b):
        return None
    pairs = zip([*a] * (count // len(a)), [*b] * (count // len(b)))
    return [_computed(node.op_type, *pair) for pair in pairs]


def _computed(op_type: str, a: Size | None, b: Size | None) -> Size | None:
    if a is None or b is None:
        return None
    if op_type == "Mul":
        return a * b
    if op_type == "Div":
        whole = not a.names and not b.names and a.times >= 0 and b.times > 0
        return Size(a.times // b.times) if whole else a.divided(b)
    if a.names or b.names:
        return None
    return Size(a.times + b.times if op_type == "Add" else a.times - b.times)


def _reduced(known: _Round, node: ir.Node) -> Entries | None:
    entries = known.entries(node.inputs[0])
    return None if entries is None else [product(entries)]


_RULES: dict[str, Callable[[_Round, ir.Node], Entries | None]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _arithmetic),
    **dict.fromkeys(("Cast", "Identity", "Squeeze", "Unsqueeze"), _same),
    "Concat": _concat,
    "Gather": _gather,
    "ReduceProd": _reduced,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
}


def _refine(value: ir.Value, told: Sequence[Size | None]) -> bool:
    """Gives a value's axes the sizes that were not known; whether there are any."""
    dims: list[int | str | None] = [None] * len(told)
    if value.shape is not None:
        if len(value.shape) != len(told):
            return False
        dims = [dim if isinstance(dim, int) else dim.value for dim in value.shape]
    new = [dim if dim is not None or size is None else _dim(size) for dim, size in zip(dims, told)]
    if value.shape is not None and new == dims:
        return False
    value.shape = ir.Shape(new)
    return True


def _dim(size: Size) -> int | str | None:
    if not size.names:
        return size.times
    return size.names[0] if size.times == 1 and len(size.names) == 1 else None
