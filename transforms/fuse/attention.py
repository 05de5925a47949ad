"""Attention of a head, and its gradient, as one operator each, so that no matrix of scores is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.bodies import take_out
from svgd_onnx.transforms.fuse.matrix_product import (
    is_transposed_product,
    last_swapped,
    untransposed,
)
from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.fuse.softmax import GRADIENT as SOFTMAX_GRADIENT
from svgd_onnx.transforms.rule import (
    RefusedError,
    constant_value,
    inputs_of,
    integer,
    known_rank,
    number,
    only_reader,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer, take_place

ATTENTION = "ScaledDotProductAttention"
GRADIENT = "ScaledDotProductAttentionGradient"
_CLOSE = 1e-6

# Measured with tools.bench.attention: of fewer keys onnxruntime's products are faster, and keep little.
_FEWEST_KEYS = 128


class FuseAttention(ir.passes.InPlacePass):
    """Writes softmax(scale Q K + mask) V as `ai.svgd::ScaledDotProductAttention`, and its gradient so too.

    Probabilities that are NaN may be replaced by 0, as PyTorch's exports do for queries that a mask leaves no
    key. Attention of few keys stays as it is, where nothing else is done to its probabilities.

    Requires: gradients of Softmax, and products of transposed matrices, are operators of ours where those take
        them (`Fuse`), and the graph is sorted.
    Ensures: it is modified if attention was found whose probabilities nothing reads but its own products.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        for node in [each for each in graph if (each.domain, each.op_type) == ("", "Softmax")]:
            place = {each: index for index, each in enumerate(graph)}
            try:
                forward = _forward(node)
                backward = _backward(forward)
                if any(place[forward.product] > place[each] for each in backward.first):
                    continue
                _write(graph, forward, backward, min(backward.first, key=place.__getitem__))
            except RefusedError:
                continue
            modified = True
        if modified:
            common.RemoveUnusedNodesPass()(model)  # what made scores, and their gradients
        return ir.passes.PassResult(model, modified=modified)


@dataclass(frozen=True)
class _Forward:
    """What computes attention: `product` is that of the probabilities and V."""

    q: ir.Value
    k: ir.Value
    v: ir.Value
    mask: ir.Value | None
    scale: float
    is_nan: ir.Value | None
    probabilities: ir.Value
    product: ir.Node


@dataclass(frozen=True)
class _Backward:
    """What computes its gradient: the two nodes that read `d_out`, and what comes out in the end.

    `d_k` is of K transposed where `k_is_turned`.
    """

    d_out: ir.Value
    first: tuple[ir.Node, ir.Node]
    d_q: ir.Value
    d_k: ir.Value
    k_is_turned: bool
    d_v: ir.Value


def _forward(softmax: ir.Node) -> _Forward:
    (scores,) = inputs_of(softmax, 1)
    axes = known_rank(softmax.outputs[0], scores)
    if integer(softmax, "axis", -1) % axes != axes - 1:
        raise RefusedError("its axis is not the last")
    node, mask = _maker(scores, softmax), None
    if node.op_type == "Add":
        scores, mask = _masked(node)
        node = _maker(scores, node)
    scaled, scale = _scaled(node)
    if scaled is not None:
        node = _maker(scaled, node)
    q, k = _factors(node)
    if mask is not None:
        _check_mask(mask, node.outputs[0])
    is_nan, probabilities = _without_nan(softmax.outputs[0])
    products = [each for each in _readers(probabilities) if _is(each, "MatMul")]
    product = next((each for each in products if _source(each.inputs[0]) is probabilities), None)
    if product is None:
        raise RefusedError("nothing multiplies it")
    _, v = _factors(product)
    _check_as_many(q, k, v)
    keys = None if k.shape is None else k.shape[-1]
    if is_nan is None and isinstance(keys, int) and keys < _FEWEST_KEYS:
        raise RefusedError("it has few keys")
    return _Forward(q, k, v, mask, scale, is_nan, probabilities, product)


def _masked(addition: ir.Node) -> tuple[ir.Value, ir.Value]:
    """What is added to: a product, perhaps times a number; and what is added."""
    a, b = inputs_of(addition, 2)
    for scores, mask in ((a, b), (b, a)):
        node = scores.producer()
        if node is not None and only_reader(scores) is addition:
            before = _scaled(node)[0]
            if _is(node, "MatMul") or (before is not None and _is(before.producer(), "MatMul")):
                return scores, mask
    raise RefusedError("it is not of a product")


def _check_mask(mask: ir.Value, scores: ir.Value) -> None:
    """Whether a mask goes with scores, which it does not repeat."""
    if mask.dtype not in (None, ir.DataType.FLOAT):
        raise RefusedError(f"its mask is of {mask.dtype}")
    if mask.shape is None or scores.shape is None or len(mask.shape) > len(scores.shape):
        raise RefusedError("its mask may have more axes than scores")
    for size, whole in zip(reversed(list(mask.shape)), reversed(list(scores.shape))):
        if size != 1 and (size != whole or size == ir.SymbolicDim(None)):
            raise RefusedError("its mask is not known to go with scores")


def _check_as_many(q: ir.Value, *others: ir.Value) -> None:
    for other in others:
        if q.shape is None or other.shape is None or len(q.shape) != len(other.shape):
            raise RefusedError("its matrices have other axes")
        for of_q, of_other in zip(list(q.shape)[:-2], list(other.shape)[:-2]):
            if of_q != of_other or of_q == ir.SymbolicDim(None):
                raise RefusedError("its matrices are not known to be as many")


def _scaled(node: ir.Node) -> tuple[ir.Value | None, float]:
    """What a node multiplies by one number, or divides, and that number; None and 1 if it does not."""
    if not (_is(node, "Mul") or _is(node, "Div")):
        return None, 1.0
    a, b = inputs_of(node, 2)
    for value, other in ((a, b), (b, a)):
        factor = constant_value(other)
        if factor is not None and factor.size == 1 and factor.ndim <= known_rank(value):
            scale = float(factor.reshape(()))
            if _is(node, "Mul"):
                return value, scale
            if other is b and scale != 0:
                return value, 1 / scale
    return None, 1.0


def _factors(product: ir.Node | None) -> tuple[ir.Value, ir.Value]:
    if product is None or not _is(product, "MatMul"):
        raise RefusedError("it is not of a product")
    a, b = inputs_of(product, 2)
    return a, b


def _without_nan(softmax: ir.Value) -> tuple[ir.Value | None, ir.Value]:
    """Where probabilities are NaN, if they are replaced by 0 there; and what is multiplied."""
    readers = list(_readers(softmax))
    is_nan = next((each.outputs[0] for each in readers if _is(each, "IsNaN")), None)
    if is_nan is None:
        return None, softmax
    chosen = next((each for each in readers if _chooses(each, is_nan, softmax)), None)
    if chosen is None or len(readers) != 2:
        raise RefusedError("NaN is something else in it than 0")
    return is_nan, chosen.outputs[0]


def _chooses(node: ir.Node, is_nan: ir.Value, value: ir.Value) -> bool:
    """Whether a node gives a value, and 0 where another is NaN."""
    if not _is(node, "Where") or _source(node.inputs[0]) is not is_nan:
        return False
    if _source(node.inputs[2]) is not value:
        return False
    zero = constant_value(_source(node.inputs[1]))
    return zero is not None and zero.size == 1 and not zero.any() and zero.ndim <= known_rank(value)


def _backward(forward: _Forward) -> _Backward:
    p = forward.probabilities
    readers = [each for each in _readers(p) if each is not forward.product]
    gradients = [
        each for each in readers if (each.domain, each.op_type) == (DOMAIN, SOFTMAX_GRADIENT)
    ]
    if len(readers) != 2 or len(gradients) != 1:
        raise RefusedError("something else reads its probabilities")
    (softmax,) = gradients
    d_p, y = inputs_of(softmax, 2)
    if _source(y) is not p:
        raise RefusedError("something else reads its probabilities")
    to_v = next(each for each in readers if each is not softmax)
    product = _transposed_product(to_v)
    if product is None or product[1] is not p:
        raise RefusedError("something else reads its probabilities")
    of_v, _, d_out = product
    of_p = _maker(d_p, softmax)
    if forward.is_nan is not None:
        if not _is(of_p, "Where"):
            raise RefusedError("it is another gradient")
        d_p = _source(of_p.inputs[2])
        if not _chooses(of_p, forward.is_nan, d_p):
            raise RefusedError("NaN is something else in its gradient than 0")
        of_p = _maker(d_p, of_p)
        choosing = {p.producer(), _source(softmax.inputs[0]).producer()}
        if set(_readers(forward.is_nan)) != choosing:
            raise RefusedError("something else reads where it is NaN")
    if _times_transposed(of_p, d_out) is not _source(forward.v):
        raise RefusedError("it is another gradient")
    d_scores, scale = _rescaled(softmax)
    if abs(scale - forward.scale) > _CLOSE * abs(forward.scale):
        raise RefusedError("it is another gradient")
    d_q, d_k, k_is_turned = _of_scores(forward, d_scores)
    return _Backward(d_out, (of_v, of_p), d_q, d_k, k_is_turned, of_v.outputs[0])


def _rescaled(softmax: ir.Node) -> tuple[ir.Value, float]:
    """The gradient of what was scaled, and by how much that of scores was."""
    (d_scores,), scale = softmax.outputs, number(softmax, "scale", 1.0)
    readers = list(_readers(d_scores))
    if len(readers) == 1:
        scaled, factor = _scaled(readers[0])
        if scaled is not None and _source(scaled) is d_scores:
            return readers[0].outputs[0], scale * factor
    return d_scores, scale


def _of_scores(forward: _Forward, d_scores: ir.Value) -> tuple[ir.Value, ir.Value, bool]:
    """The gradients of Q and K that those of scores make, and whether the second is transposed."""
    q = _source(forward.q)
    d_q = d_k = None
    turned = False
    for node in _readers(d_scores):
        product = _transposed_product(node)
        if product is not None and {*product[1:]} == {q, d_scores}:
            d_k, turned = product[0].outputs[0], product[1] is d_scores
        elif _times_transposed(node, d_scores) is _source(forward.k):
            d_q = node.outputs[0]
        else:
            raise RefusedError("something else reads the gradient of its scores")
    if d_q is None or d_k is None:
        raise RefusedError("Q or K has no gradient")
    return d_q, d_k, turned


def _transposed_product(reader: ir.Node) -> tuple[ir.Node, ir.Value, ir.Value] | None:
    """The node that makes A'B, which a node is or hands A' to, with A and B; None if it is another."""
    node = only_reader(reader.outputs[0]) if _is(reader, "Transpose") else reader
    if node is None or len(node.inputs) != 2:
        return None
    first: ir.Value | None
    first, second = inputs_of(node, 2)
    if _is(node, "MatMul"):
        first = untransposed(_source(first))
    elif not is_transposed_product(node) and not _is_fused(node, "transA"):
        return None
    return None if first is None else (node, _source(first), _source(second))


def _times_transposed(node: ir.Node, a: ir.Value) -> ir.Value | None:
    """B of the product AB' that a node is; None if it is another."""
    if len(node.inputs) != 2 or _source(node.inputs[0]) is not _source(a):
        return None
    second = _source(node.inputs[1])
    if not _is(node, "MatMul"):
        return second if _is_fused(node, "transB") else None
    before = untransposed(second)
    return None if before is None else _source(before)


def _is_fused(node: ir.Node, transposed: str) -> bool:
    """Whether a node is onnxruntime's product of two matrices, the one of which is transposed."""
    if node.op_type != "FusedMatMul" or number(node, "alpha", 1.0) != 1:
        return False
    names = ("transA", "transB", "transBatchA", "transBatchB")
    return all(bool(integer(node, name, 0)) == (name == transposed) for name in names)


def _is(node: ir.Node | None, op_type: str) -> bool:
    return node is not None and (node.domain, node.op_type) == ("", op_type)


def _source(value: ir.Value | None) -> ir.Value:
    """What a value is the same as, behind each Identity."""
    assert value is not None
    while (node := value.producer()) is not None and _is(node, "Identity"):
        (value,) = inputs_of(node, 1)
    return value


def _readers(value: ir.Value) -> Iterator[ir.Node]:
    """The nodes that read a value, or an Identity of it.

    Raises:
        RefusedError: it is an output, or something in a body reads it.
    """
    if value.is_graph_output():
        raise RefusedError("it is an output")
    for node, _ in value.uses():
        if node.graph is not value.graph:
            raise RefusedError("a body reads it")
        if _is(node, "Identity"):
            yield from _readers(node.outputs[0])
        else:
            yield node


def _maker(value: ir.Value, reader: ir.Node) -> ir.Node:
    """The node that makes what one node alone reads.

    Raises:
        RefusedError: none does, or something else reads it too.
    """
    source = _source(value)
    node = source.producer()
    if node is None or list(_readers(source)) != [reader]:
        raise RefusedError("something else reads what is computed on the way")
    return node


def _write(graph: ir.Graph, forward: _Forward, backward: _Backward, first: ir.Node) -> None:
    product = forward.product
    opset = graph.opset_imports[""]
    write = Writer(product.outputs[0].name or ATTENTION, opset)
    factors = [forward.q, forward.k, forward.v]
    masks = [] if forward.mask is None else [forward.mask]
    attributes = {"scale": forward.scale}
    outputs = operator(
        write,
        ATTENTION,
        [*factors, *masks],
        {**attributes, "nan_as_zero": int(forward.is_nan is not None)},
        3,
    )
    shape = product.outputs[0].shape
    for statistic in outputs[1:]:
        statistic.dtype = ir.DataType.FLOAT
        statistic.shape = None if shape is None else ir.Shape(list(shape)[:-1])
    of_gradient = Writer(backward.d_q.name or GRADIENT, opset)
    inputs = [backward.d_out, *factors, *outputs[1:], *masks]
    d_q, d_k, d_v = operator(of_gradient, GRADIENT, inputs, attributes, 3)
    if backward.k_is_turned:
        d_k = of_gradient.node("Transpose", d_k, perm=last_swapped(known_rank(forward.k)))
    write.insert_before(graph, product)
    of_gradient.insert_before(graph, first)
    made = ((product.outputs[0], outputs[0]), (backward.d_q, d_q), (backward.d_k, d_k))
    for old, new in (*made, (backward.d_v, d_v)):
        node = old.producer()
        assert node is not None
        take_place(new, old)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        take_out(graph, node)
