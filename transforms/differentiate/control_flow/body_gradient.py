"""The gradient of a body, and its two halves: what runs on the way forward, and what on the way back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.bodies import (
    Outer,
    all_nodes,
    bodies_of,
    isolated,
    read_by,
    remove_unread,
    settle,
    values_of,
)
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.decompose import blocking_nodes
from svgd_onnx.transforms.decompose.differentiable import gradient_flow
from svgd_onnx.transforms.differentiate.differentiable_form import write_differentiably
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS, PREPARED
from svgd_onnx.transforms.differentiate.graph_pass import Body, GraphPass
from svgd_onnx.transforms.differentiate.obstacles import named_obstacles
from svgd_onnx.transforms.differentiate.rows import Use
from svgd_onnx.transforms.rule import RefusedError

_RANDOM = frozenset(
    """
    Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    """.split()
)


@dataclass
class BodyGradient:
    """A copy of a body with its gradient nodes behind it.

    Attributes:
        model: its inputs are the body's, those for outer values, and the gradients of outputs.
        outer: what stands for outer values.
        outputs: the body's outputs, in their order.
        seeds: the input for the gradient of each output that has one, by the output's place.
        given: all inputs that only the way back has: those, and what is added to it.
        gradients: of the inputs and of what stands for outer values, as far as there are any.
        left: uses whose gradient is left to the graph around.
    """

    model: ir.Model
    outer: Outer
    outputs: list[ir.Value]
    seeds: dict[int, ir.Value]
    given: list[ir.Value]
    gradients: dict[ir.Value, ir.Value]
    left: list[Use]


def differentiate_body(
    body: ir.Graph,
    caller: GraphPass,
    wanted: Collection[ir.Value],
    seeded: Collection[int],
    *,
    in_turn: bool,
    leaves: Callable[[Sequence[ir.Value]], bool] | None,
) -> BodyGradient:
    """Differentiates a copy of a body.

    Args:
        body: it stays as it is.
        caller: the pass over the graph around it.
        wanted: of its inputs and of the outer values that it reads, those that it is differentiated by.
        seeded: the places of its outputs that have a gradient.
        in_turn, leaves: as `Body` has them.

    Raises:
        RefusedError: operators in it have no gradient; the message names them and their nodes.
    """
    model, outer = isolated(body, caller.graph.opset_imports)
    graph = model.graph
    names = {value.name or "" for value in graph.inputs[: len(body.inputs)]}
    names &= {value.name or "" for value in body.inputs if value in set(wanted)}
    names |= {stand_in.name or "" for stand_in, value in outer.items() if value in set(wanted)}
    seeded = list(seeded)
    order = [*seeded, *(index for index in range(len(body.outputs)) if index not in set(seeded))]
    outputs = list(graph.outputs)
    graph.outputs.clear()
    graph.outputs.extend(outputs[index] for index in order)
    _write_differentiably(model, names, caller, len(seeded))
    given = dict(zip(order, graph.outputs))
    path, flowing = gradient_flow(graph, names, graph.outputs[: len(seeded)])
    backward = GraphPass(graph, flowing, caller.body_rules, Body(outer, in_turn, leaves))
    seeds = {}
    for index in seeded:
        value = given[index]
        seed = ir.val(f"{value.name}_grad/{index}", type=value.type, shape=value.shape)
        graph.inputs.append(seed)
        seeds[index] = seed
        backward.give(value, seed)
    for node in reversed(path):
        try:
            backward.differentiate(node)
        except RefusedError as refused:
            raise RefusedError(f"in its body, {node.op_type} '{node.name}': {refused}") from None
    found = {}
    for value in graph.inputs:
        gradient = backward.gradient(value) if value.name in names else None
        if gradient is not None:
            found[value] = gradient
    final = [given[index] for index in range(len(body.outputs))]
    return BodyGradient(model, outer, final, seeds, list(seeds.values()), found, backward.left)


def _write_differentiably(
    model: ir.Model, names: Collection[str], caller: GraphPass, outputs: int
) -> None:
    differentiable = GRADIENTS.keys() | caller.body_rules.keys()
    kept = differentiable - PREPARED
    refusals = write_differentiably(model, names, differentiable, kept, outputs)
    blocking = blocking_nodes(model.graph, names, refusals, differentiable, outputs)
    if blocking:
        raise RefusedError(
            f"in its body there is no gradient of {named_obstacles(blocking, refusals)}"
        )
    InferShapes()(model)


@dataclass
class Halves:
    """A body's gradient in two graphs, which are bodies again.

    Attributes:
        forward: its outputs are the body's, then what is kept, then the rows that uses read.
        kept: the inputs of `backward` that take what is kept.
        backward: its outputs are what was asked for.
        inputs: those of `backward`, by the names that those of the gradient have.
    """

    forward: ir.Graph
    kept: list[ir.Value]
    backward: ir.Graph
    inputs: dict[str, ir.Value]


def split(
    gradient: BodyGradient,
    results: Sequence[ir.Value],
    rows: Sequence[ir.Value],
    keeps: Callable[[ir.Value], bool],
    always: Sequence[ir.Value] = (),
) -> Halves:
    """Splits a body's gradient into what runs forward, and what runs backward.

    A value of the way forward that the way back reads is kept if it may be, and computed again if not.

    Args:
        gradient: it is used up.
        results: what the backward half is to give.
        rows: what the forward half is to give besides.
        keeps: whether a value, of the forward half or an input, may be kept.
        always: what is kept in any case.

    Raises:
        RefusedError: what is random would have to be computed again.
    """
    graph = gradient.model.graph
    kept = list(dict.fromkeys([*always, *_kept(graph, gradient, results, keeps)]))
    copy = gradient.model.clone().graph
    copy.outputs.clear()
    values = {value.name: value for value in values_of(copy)}
    instead = {}
    for value in kept:
        taken = ir.val(f"{value.name}/kept", type=value.type, shape=value.shape)
        values[value.name].replace_all_uses_with(taken)
        copy.inputs.append(taken)
        instead[value.name] = taken
    _finish(
        copy,
        [instead.get(value.name) or values[value.name] for value in results],
        {values[stand_in.name]: value for stand_in, value in gradient.outer.items()},
    )
    _finish(graph, [*gradient.outputs, *kept, *rows], gradient.outer)
    for value in gradient.given:
        graph.inputs.remove(value)
    inputs = {value.name or "": value for value in copy.inputs}
    return Halves(graph, list(instead.values()), copy, inputs)


def _kept(
    graph: ir.Graph,
    gradient: BodyGradient,
    results: Sequence[ir.Value],
    keeps: Callable[[ir.Value], bool],
) -> list[ir.Value]:
    """The values that are handed from the way forward to the way back."""
    dependent: set[ir.Value | None] = set(gradient.given)
    for each in graph:
        if any(value in dependent for value in read_by(each)):
            dependent.update(each.outputs)
    kept: dict[ir.Value, None] = {}
    seen: set[ir.Value] = set()
    pending: list[ir.Value | None] = list(reversed(results))
    while pending:
        value = pending.pop()
        if value is None or value in seen or value in gradient.outer:
            continue
        seen.add(value)
        node = value.producer()
        if value not in dependent and value.const_value is None and keeps(value):
            kept[value] = None
        elif node is not None:
            random = None if value in dependent else _random_in(node)
            if random is not None:
                raise RefusedError(
                    f"in its body, {random.op_type} '{random.name}' would have to be drawn again on the "
                    "way back"
                )
            pending.extend(read_by(node))
    return list(kept)


def _random_in(node: ir.Node) -> ir.Node | None:
    """What is random of a node and its bodies."""
    inner = [each for body in bodies_of(node) for each in all_nodes(body)]
    return next((each for each in (node, *inner) if each.op_type in _RANDOM), None)


def _finish(graph: ir.Graph, outputs: Sequence[ir.Value], outer: Outer) -> None:
    """Leaves what leads to some outputs, each of which a node gives, and makes the graph a body again."""
    graph.outputs.clear()
    given: set[ir.Value] = set()
    for index, value in enumerate(outputs):
        if value.producer() is None or value in given:
            node = ir.node("Identity", [value], name=f"{value.name}/given_{index}")
            output = node.outputs[0]
            output.name, output.type, output.shape = node.name, value.type, value.shape
            graph.append(node)
            value = output
        given.add(value)
        graph.outputs.append(value)
    remove_unread(graph)
    for value in list(graph.initializers.values()):
        if not value.uses() and value not in outer:
            del graph.initializers[value.name or ""]
    settle(graph, outer)
