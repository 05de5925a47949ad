"""Make the loss of a step say whether the step may be taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import prod

import onnx_ir as ir

from svgd_onnx.step_names import LOSS, NEW_SUFFIX
from svgd_onnx.transforms.fast_operators import FINITE_LOSS, MATRIX_PRODUCT
from svgd_onnx.transforms.gradient_values import gradient_values
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.rule import static_shape
from svgd_onnx.transforms.states import states_of
from svgd_onnx.transforms.virtualize.operator_t import (
    DOMAIN,
    FACTOR_OP_TYPE,
    SIZE_OUTPUT,
    SUMS_OUTPUT,
    VERSION,
    ask_for,
    is_t,
)
from svgd_onnx.transforms.virtualize.sigma_prime import STATE_PREFIX
from svgd_onnx.transforms.writer import Writer, in_parts, take_place

_SIZE, _SQUARES = "ReduceL1", "ReduceSumSquare"
SUMS = frozenset({_SIZE, _SQUARES})
"""The operators by which numbers, or their squares, are added up."""
PREFIX = "svgd.finite"
"""What the names of nodes begin with by which the loss says whether a step may be taken."""
# So many examples' X together are no larger than the gradient that they stand for: else it is quicker to read
# that itself, and X need not be kept.
_EXAMPLES = 8
_PRODUCTS = frozenset({"Gemm", "MatMul", "FusedMatMul"})
_MOVES = frozenset({"Identity", "Reshape", "Transpose", "Unsqueeze"})
# NaN and infinities come through these: infinity times 0 is NaN, and so is infinity less infinity.
_SUMS = frozenset({"Add", "Sub", "Mul", "Neg", "Sum"})
_REDUCTIONS = frozenset({"ReduceSum", "ReduceMean"})


class FiniteLoss(ir.passes.InPlacePass):
    """Makes the loss NaN where a gradient, an r or a running statistic becomes NaN or infinite.

    So a step that would spoil what it changes is told by its loss, to every program that runs it. The sizes
    of all those tensors are added up, which is finite if they are; those are left out that others of them are
    sums and products of, and sums of a dY that r bounds. The gradient of a large weight of a
    product is not read for that: with T it is X' T(dY), T(dY) is bounded where r is finite, and X is smaller.
    Where T's factors come after the product, X' dY has to be finite too: r times the squares of X bounds it.
    Of an optimizer that squares gradients the squares are added up.

    Args:
        parameters: those that have a gradient.
        virtual: those of them whose gradient has T in it.
        cheap: whether X may stand for the gradient; it is then kept until the step's end.
        fast: whether operators of ours may be used: one then does it all.
        squared: whether the optimizer squares gradients.

    Requires: the loss and each gradient are outputs.
    Ensures: the loss is the first output, and other bits only where it is NaN.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        virtual: Collection[str],
        *,
        cheap: bool = True,
        fast: bool = False,
        squared: bool = False,
    ) -> None:
        super().__init__()
        self._parameters = list(parameters)
        self._virtual = frozenset(virtual) if cheap and not squared else frozenset()
        self._squared = squared
        self._guarded = _guarded_by_operator if fast else _guarded

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, [LOSS, *map(gradient_name, self._parameters)])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        outputs = {value.name: value for value in graph.outputs}
        backward = gradient_values(graph) if self._virtual else set()
        squared = set(_squared(graph))
        read = list(dict.fromkeys(_states(graph)))
        bounded, products = [], []
        for name in self._parameters:
            gradient = outputs[gradient_name(name)]
            if self._squared:
                bounded.append(gradient)
                continue
            if _summed(gradient) in squared:
                continue  # a sum of what r bounds
            other = _multiplied(gradient, backward) if name in self._virtual else None
            if other is None or (_size(gradient) or 0) < _EXAMPLES * _size_of_example(other):
                read.append(gradient)
            elif _scaled_after(gradient):
                products.append(other)
            else:
                bounded.append(other)
        write = Writer(PREFIX, graph.opset_imports[""])
        shown = _shown_by(outputs[gradient_name(name)] for name in self._parameters)
        shown |= _shown_by(_states(graph))
        read = [value for value in read if value not in shown and _size(value) != 0]
        bounded = [value for value in bounded if _size(value) != 0]
        if not read and not bounded:
            return ir.passes.PassResult(model, modified=False)
        before = outputs[LOSS]
        squares, factors = list(dict.fromkeys(bounded)), list(dict.fromkeys(products))
        loss = self._guarded(write, before, read, squares, factors)
        _put(write, graph, loss, before)
        if any(node.domain == DOMAIN for node in write.nodes):
            graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if LOSS not in {value.name for value in model.graph.outputs}:
            raise ir.passes.PostconditionError("the loss is no output")


def guarded_by(graph: ir.Graph, number: ir.Value) -> None:
    """Makes a graph's loss NaN where a scalar is NaN or infinite, as `FiniteLoss` does."""
    write = Writer(f"{PREFIX}/{number.name}", graph.opset_imports[""])
    before = next(value for value in graph.outputs if value.name == LOSS)
    _put(write, graph, _finite_with(write, before, number), before)


def plain_loss(loss: ir.Value) -> ir.Value:
    """The loss before `FiniteLoss`, of the loss after it, or of one that has not seen it."""
    node = loss.producer()
    while node is not None and (node.name or "").startswith(f"{PREFIX}/"):
        before = node.inputs[0]
        assert before is not None
        loss, node = before, before.producer()
    return loss


def _states(graph: ir.Graph) -> Iterator[ir.Value]:
    """What r and the running statistics become."""
    yield from (value for value in graph.outputs if (value.name or "").endswith(NEW_SUFFIX))
    for node in graph:
        for position, output in states_of(node):
            state, value = node.inputs[position], node.outputs[output]
            if value.shape is None and state is not None:
                value.shape = state.shape
            yield value
        if node.op_type == "InPlaceAccumulatorV2":
            yield from (value for value in node.inputs[1:2] if value is not None)


def _squared(graph: ir.Graph) -> Iterator[ir.Value]:
    """Each dY whose square is part of an r."""
    for node in graph:
        first = node.inputs[0] if node.inputs else None
        if first is None:
            continue
        of_t = (node.name or "").startswith(STATE_PREFIX) and node.op_type == "Mul"
        if is_t(node) or (of_t and first is node.inputs[1]):
            yield first


def _summed(gradient: ir.Value) -> ir.Value | None:
    """What a gradient is the sum of over some axes, as that of a bias is of dY."""
    node = gradient.producer()
    while node is not None and node.op_type in _MOVES:
        before = node.inputs[0]
        if before is None:
            return None
        gradient, node = before, before.producer()
    if node is None:
        return None
    of_t = is_t(node) and gradient in node.outputs[SUMS_OUTPUT:]
    return node.inputs[0] if of_t or node.op_type == "ReduceSum" else None


def _shown_by(values: Iterable[ir.Value]) -> set[ir.Value]:
    """What else has to be finite where some values are: what they are sums and products of."""
    shown: set[ir.Value] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        node = value.producer()
        if node is None:
            continue
        found: list[ir.Value | None] = []
        if node.op_type in _SUMS | _PRODUCTS | {MATRIX_PRODUCT}:
            found += node.inputs
        elif (
            node.op_type in _MOVES
            or node.op_type in _REDUCTIONS
            or (is_t(node) and value is node.outputs[1])
        ):
            found += node.inputs[:1]
        elif node.op_type == "BatchNormalizationGrad" and value is node.outputs[0]:
            found += [*node.inputs[:1], *node.outputs[1:]]  # which its formula has in it
        for each in found:
            if each is not None and each not in shown:
                shown.add(each)
                pending.append(each)
    return shown


def _multiplied(gradient: ir.Value, backward: Collection[ir.Value]) -> ir.Value | None:
    """The X of a gradient that is X' T(dY), or X' dY times T's factors; None if it is something else."""
    node = gradient.producer()
    while node is not None:
        if node.op_type in _PRODUCTS:
            others = [value for value in node.inputs if value not in backward]
            fits = len(node.inputs) == 2 and len(others) == 1
            return others[0] if fits else None
        if node.op_type not in _MOVES and not (
            node.op_type == "Mul" and _is_factor(node.inputs[1])
        ):
            return None
        first = node.inputs[0]
        node = None if first is None else first.producer()
    return None


def _scaled_after(gradient: ir.Value) -> bool:
    """Whether what `_multiplied` found is multiplied before T's factors are."""
    node = gradient.producer()
    while node is not None and node.op_type in _MOVES:
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    return node is not None and node.op_type == "Mul"


def _is_factor(value: ir.Value | None) -> bool:
    """Whether a value is T's factors, which are finite where r is."""
    node = None if value is None else value.producer()
    while node is not None and node.op_type in _MOVES:
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    return node is not None and (
        node.op_type == FACTOR_OP_TYPE
        or (node.op_type == "Div" and (node.name or "").startswith(STATE_PREFIX))
    )


def _guarded_by_operator(
    write: Writer,
    loss: ir.Value,
    sizes: Sequence[ir.Value],
    squares: Sequence[ir.Value],
    factors: Sequence[ir.Value],
) -> ir.Value:
    """As `_guarded`, by one operator of ours; T says how large what it makes of r is."""
    sizes = [_size_of_state(value) for value in sizes]
    inputs = [loss, *sizes, *squares, *factors]
    attributes = {"squares": len(squares), "factors": len(factors)}
    return write.nodes_with(FINITE_LOSS, inputs, attributes, 1, DOMAIN)[0]


def _size_of_state(value: ir.Value) -> ir.Value:
    """One number that is finite where a tensor is: of the new r T's own, of another itself."""
    node = value.producer()
    if node is None or not is_t(node) or value is not node.outputs[1]:
        return value
    size = ask_for(node, SIZE_OUTPUT)
    size.type, size.shape = value.type, ir.Shape([])
    return size


def _guarded(
    write: Writer,
    loss: ir.Value,
    sizes: Sequence[ir.Value],
    squares: Sequence[ir.Value],
    factors: Sequence[ir.Value],
) -> ir.Value:
    """The loss, NaN where (sizes + squares) factors is not finite.

    Args:
        write: where to.
        loss: as it is.
        sizes: tensors whose numbers' sizes are added up.
        squares: tensors whose numbers' squares are.
        factors: as `squares`, and the rest is multiplied by their sum; none are 1.
    """
    total = _sum(write, [*_sums(write, _SIZE, sizes), *_sums(write, _SQUARES, squares)])
    if factors:
        total = write.node("Mul", total, _sum(write, _sums(write, _SQUARES, factors)))
    return _finite_with(write, loss, total)


def _finite_with(write: Writer, loss: ir.Value, number: ir.Value) -> ir.Value:
    """The loss, NaN where a scalar is not finite."""
    return write.node("Add", loss, write.node("Mul", number, write.scalar(0)))


def _put(write: Writer, graph: ir.Graph, loss: ir.Value, before: ir.Value) -> None:
    """Puts what was written into a graph, whose loss is another from now."""
    take_place(loss, before)
    graph.outputs[list(graph.outputs).index(before)] = loss
    write.append_to(graph)


def _sums(write: Writer, operator: str, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Sums over all numbers in some tensors; vectors as one, to have fewer nodes."""
    vectors: list[ir.Value] = []
    terms: list[ir.Value] = []
    for value in values:
        is_vector = value.shape is not None and len(value.shape) == 1
        (vectors if is_vector else terms).append(value)
    for part in in_parts(vectors):
        terms.append(part[0] if len(part) == 1 else write.node("Concat", *part, axis=0))
    return [write.node(operator, value, keepdims=0) for value in terms]


def _sum(write: Writer, terms: Sequence[ir.Value]) -> ir.Value:
    return terms[0] if len(terms) == 1 else write.node("Sum", *terms)


def _size_of_example(value: ir.Value) -> int:
    """How many numbers an example has of a value whose first axis is the batch, behind what only moves them.

    Sizes that are not known count for nothing.
    """
    node = value.producer()
    while node is not None and node.op_type in _MOVES and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    sizes = [] if value.shape is None else list(value.shape)[1:]
    return prod(size for size in sizes if isinstance(size, int))


def _size(value: ir.Value) -> int | None:
    """How many numbers a tensor has; None if that is not known."""
    sizes = static_shape(value)
    return None if sizes is None else prod(sizes)
