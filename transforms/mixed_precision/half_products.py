"""Matrix products and convolutions in float16, of float32 and to float32."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.gradient_values import gradient_values
from svgd_onnx.transforms.writer import second_node

_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# They hold what they read in another order or number: in float16 as well as in float32.
_MOVES = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_MOST_MOVES = 100
_PREFIX = "svgd.float16"
_HALF, _SINGLE = ir.TensorType(ir.DataType.FLOAT16), ir.TensorType(ir.DataType.FLOAT)


def products_of(graph: ir.Graph) -> set[str]:
    """What a graph's products and convolutions of float32 give, by name; those in bodies are left alone."""
    return {
        node.outputs[0].name or ""
        for node in graph
        if node.op_type in _PRODUCTS and not node.domain and _is_single(node.outputs[0])
    }


class HalfProducts(ir.passes.InPlacePass):
    """Computes products in float16: what they read is rounded to it, what they give is taken as float32.

    These are the products of the model, and those of the backward pass that read what the former read. All
    else is as it was: losses, softmax, normalizations, sums, T, updates. As the gradient of a rounding is
    one, this is what differentiating the rounded forward pass gives.

    Args:
        products: names of what the model's products give.

    Requires: a gradient graph of standard operators.
    """

    def __init__(self, products: Collection[str]) -> None:
        super().__init__()
        self._products = frozenset(products)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        backward = gradient_values(graph)
        candidates = [
            node for node in graph if node.op_type in _PRODUCTS and _is_single(node.outputs[0])
        ]
        forward = {each for each in candidates if each.outputs[0].name in self._products}
        read = {root for node in forward for root in _roots(node)}
        chosen = [
            node
            for node in candidates
            if node in forward or (node.outputs[0] in backward and read & _roots(node))
        ]
        rounding = _Rounding(graph)
        for node in chosen:
            rounding.apply(node)
        common.RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=bool(chosen))


class SingleProducts(ir.passes.InPlacePass):
    """Undoes `HalfProducts`: the same products in float32."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        casts = [
            node
            for node in graph
            if node.op_type == "Cast" and f"{_PREFIX}/cast_" in (node.name or "")
        ]
        for node in casts:
            value = node.inputs[0]
            assert value is not None
            if value.dtype == ir.DataType.FLOAT16:
                value.type = _SINGLE
            node.outputs[0].replace_all_uses_with(value, replace_graph_outputs=True)
        for node in graph:
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT16 and node.op_type != "Cast":
                    value.type = _SINGLE
        graph.remove(casts, safe=True)
        return ir.passes.PassResult(model, modified=bool(casts))


class _Rounding:
    """Puts nodes of a graph into float16; a value that several of them read is rounded once."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._halves: dict[ir.Value, ir.Value] = {}
        self._count = 0

    def apply(self, node: ir.Node) -> None:
        """Has a node read and give float16, and all others read what it gives as float32."""
        for place, value in enumerate(node.inputs):
            if value is not None:
                node.replace_input_with(place, self._half(value))
        result = node.outputs[0]
        single = self._cast(result, _SINGLE)
        result.replace_all_uses_with(single, replace_graph_outputs=True)
        cast = single.producer()
        assert cast is not None
        cast.replace_input_with(0, result)
        single.name, result.name = result.name, f"{single.name}/{result.name}"
        result.type = _HALF
        self._graph.insert_after(node, cast)
        self._halves[single] = result

    def _half(self, value: ir.Value, moves: int = 0) -> ir.Value:
        """A value in float16, as which it may be moved so often before it is read."""
        if value not in self._halves:
            node = value.producer()
            if node is not None and _is_move(node) and moves < _MOST_MOVES:
                inputs = [
                    self._half(each, moves + 1) if each in node.inputs[: _data(node)] else each
                    for each in node.inputs
                    if each is not None
                ]
                self._count += 1
                moved = second_node(node, inputs, f"{_PREFIX}/{self._count}")
                half = moved.outputs[0]
                half.type = _HALF
                self._graph.insert_after(node, moved)
            else:
                half = self._cast(value, _HALF)
                cast = half.producer()
                assert cast is not None
                if node is None:
                    self._graph.insert_before(self._graph[0], cast)
                else:
                    self._graph.insert_after(node, cast)
            self._halves[value] = half
        return self._halves[value]

    def _cast(self, value: ir.Value, wanted: ir.TensorType) -> ir.Value:
        self._count += 1
        name = f"{_PREFIX}/cast_{self._count}"
        node = ir.node("Cast", [value], {"to": wanted.dtype}, name=name)
        node.outputs[0].name, node.outputs[0].type = name, wanted
        node.outputs[0].shape = value.shape
        return node.outputs[0]


def _is_single(value: ir.Value) -> bool:
    return value.dtype in (None, ir.DataType.FLOAT)


def _is_move(node: ir.Node) -> bool:
    """Whether a node moves numbers; what a Pad fills in, if it says that, is of the type of what it reads."""
    if node.domain or any(value is None for value in node.inputs):
        return False
    return (
        node.op_type in _MOVES
        or node.op_type == "Concat"
        or (node.op_type == "Pad" and len(node.inputs) == 2)
    )


def _data(node: ir.Node) -> int:
    """How many of the first inputs of what moves numbers are such."""
    return len(node.inputs) if node.op_type == "Concat" else 1


def _roots(node: ir.Node) -> set[ir.Value]:
    """What a node reads, before it was moved."""
    found: set[ir.Value] = set()
    pending = [value for value in node.inputs if value is not None]
    seen = set(pending)
    while pending:
        value = pending.pop()
        before = value.producer()
        if before is None or not _is_move(before):
            found.add(value)
            continue
        for each in before.inputs[: _data(before)]:
            if each is not None and each not in seen:
                seen.add(each)
                pending.append(each)
    return found
