"""Random numbers drawn by Dropout, the one operator whose seed onnxruntime lets a program set between runs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import apply_rule, inputs_of, integer, number
from svgd_onnx.transforms.writer import Writer

# Of a float32 number from 0 to below 1.
_BITS = 24


class DrawByDropout(ir.passes.InPlacePass):
    """Writes operators that draw random numbers with Dropout's masks.

    onnxruntime's kernels of RandomNormal and the like take a seed when a session is opened, and go on from
    there: what a step draws would depend on how many steps the session has made. Dropout draws from the
    generator that `onnxruntime.set_seed` sets before each step. A mask of ratio 0.5 is a bit, 24 are a number.

    Ensures: only Dropout draws.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(all_nodes(model.graph)):
            rule = DRAWS.get(node.op_type) if node.domain == "" else None
            if rule is not None:
                assert isinstance(node.graph, ir.Graph)
                modified |= apply_rule(node.graph, node, rule)
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        for node in all_nodes(model.graph):
            if node.domain == "" and node.op_type in DRAWS:
                raise ir.passes.PostconditionError(f"{node.op_type} draws")


def _unit(write: Writer, shape: ir.Value) -> ir.Value:
    """Uniform numbers from 0 to below 1, of a shape (a vector of int64)."""
    bits = write.node("Concat", shape, write.integers(_BITS), axis=0)
    one = ir.tensor(np.ones(1, np.float32))
    ones = write.node("ConstantOfShape", bits, value=one)
    half, training = write.scalar(0.5), write.constant(np.array(True))
    _, mask = write.nodes_with("Dropout", [ones, half, training], {}, 2)
    # The lowest first: seeds that follow each other, as those of two Dropouts do, begin much alike.
    places = write.constant(np.float32(2.0) ** np.arange(-_BITS, 0, dtype=np.float32))
    return write.node("MatMul", write.cast(mask, "float32"), places)


def _uniform(node: ir.Node, write: Writer) -> ir.Value:
    """low + (high - low) u"""
    low, high = number(node, "low", 0.0), number(node, "high", 1.0)
    scaled = write.node("Mul", _unit(write, _shape(node, write)), write.scalar(high - low))
    return _typed(node, write, write.node("Add", scaled, write.scalar(low)))


def _normal(node: ir.Node, write: Writer) -> ir.Value:
    """mean + scale sqrt(-2 log(1 - u)) cos(2 pi v), after Box and Muller (1958)"""
    shape = _shape(node, write)
    first, second = _unit(write, shape), _unit(write, shape)
    squared = write.node(
        "Mul", write.node("Log", write.node("Sub", write.scalar(1), first)), write.scalar(-2)
    )
    angle = write.node("Cos", write.node("Mul", second, write.scalar(2 * math.pi)))
    drawn = write.node("Mul", write.node("Sqrt", squared), angle)
    scaled = write.node("Mul", drawn, write.scalar(number(node, "scale", 1.0)))
    return _typed(node, write, write.node("Add", scaled, write.scalar(number(node, "mean", 0.0))))


def _bernoulli(node: ir.Node, write: Writer) -> ir.Value:
    """Whether u is below the probability that is given."""
    probability = write.cast(inputs_of(node, 1)[0], "float32")
    drawn = write.node("Less", _unit(write, write.node("Shape", probability)), probability)
    return _typed(node, write, drawn)


def _multinomial(node: ir.Node, write: Writer) -> ir.Value:
    """How many of the classes' cumulated probabilities u has passed."""
    logits = write.cast(inputs_of(node, 1)[0], "float32")
    axis = write.integers(1)
    cumulated = write.node("CumSum", write.node("Softmax", logits, axis=1), write.integer(1))
    passed = write.node("Slice", cumulated, write.integers(0), write.integers(-1), axis)
    rows = write.node("Slice", write.node("Shape", logits), write.integers(0), axis)
    count = write.integers(integer(node, "sample_size", 1))
    drawn = _unit(write, write.node("Concat", rows, count, axis=0))
    beyond = write.node(
        "LessOrEqual",
        write.node("Unsqueeze", passed, axis),
        write.node("Unsqueeze", drawn, write.integers(2)),
    )
    counted = write.reduce("ReduceSum", write.cast(beyond, "float32"), [2], keepdims=False)
    return _typed(node, write, counted, ir.DataType.INT32)


def _shape(node: ir.Node, write: Writer) -> ir.Value:
    """The shape of what is drawn: an attribute's, or that of the one input."""
    if node.inputs:
        return write.node("Shape", inputs_of(node, 1)[0])
    return write.integers(*node.attributes["shape"].as_ints())


def _typed(
    node: ir.Node, write: Writer, drawn: ir.Value, otherwise: ir.DataType = ir.DataType.FLOAT
) -> ir.Value:
    """Of the type that the node says, or that its input has."""
    given = node.attributes.get("dtype")
    dtype = ir.DataType(given.as_int()) if given is not None else node.outputs[0].dtype
    return write.node("Cast", drawn, to=(dtype or otherwise).value)


DRAWS: dict[str, Callable[[ir.Node, Writer], ir.Value]] = {
    "Bernoulli": _bernoulli,
    "Multinomial": _multinomial,
    "RandomNormal": _normal,
    "RandomNormalLike": _normal,
    "RandomUniform": _uniform,
    "RandomUniformLike": _uniform,
}
