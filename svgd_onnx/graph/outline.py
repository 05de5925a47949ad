"""A training graph in outline: operations that have a gradient, in columns and lanes, for a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from svgd_onnx.graph.training_graph import FORWARD, GRADIENT, VIRTUAL, Seen, T, TrainingGraph

LOSS = "loss"
_LEARNED = ("trained", "frozen")
# onnxruntime's operators of training, as what they train is called.
_CALLED = {"BatchNormInternal": "BatchNormalization"}


@dataclass
class Step:
    """An operation f, its gradient g, and T before that of its parameters.

    Attributes:
        label: its operator, or that it is the loss.
        parameters: the names of what is learned and read, trained or frozen.
        gradient: operators of the gradient that reads dY as it is; none if nothing does.
        virtual: operators of the gradient that reads T(dY); none if T is the identity, or its factors are
            multiplied to a gradient that was made of dY as it is.
        states: the names of r.
        raw_gradients: parameters whose gradient comes from dY as it is.
        virtual_gradients: those whose gradient comes from T(dY).
        column: its place along the forward pass.
        lane: of those that run beside each other.
    """

    label: str
    parameters: list[str] = field(default_factory=list)
    gradient: list[str] = field(default_factory=list)
    virtual: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    raw_gradients: list[str] = field(default_factory=list)
    virtual_gradients: list[str] = field(default_factory=list)
    column: int = 0
    lane: int = 0


@dataclass(frozen=True)
class Outline:
    """Steps by the names of their nodes, and between which of them values and gradients go."""

    steps: Mapping[str, Step]
    forward: list[tuple[str, str]]
    backward: list[tuple[str, str]]


def outline_of(graph: TrainingGraph) -> Outline:
    """The operations that have a gradient or a parameter, those of the loss as one; others are left out."""
    member = {
        each.node.name: LOSS if each.owner in graph.losses else each.owner
        for each in graph.after
        if each.owner is not None
    }
    steps: dict[str, Step] = {}
    for each in graph.after:
        name = member.get(each.node.name)
        if name is not None:
            _note(steps.setdefault(name, Step(LOSS)), each, graph)
            if each.kind == FORWARD and name != LOSS:
                steps[name].label = _CALLED.get(each.node.op_type, each.node.op_type)
    kept = {
        name: step
        for name, step in steps.items()
        if step.gradient or step.virtual or step.parameters
    }
    maker = {value: each for each in graph.after for value in each.node.outputs if value}
    forward = _flows(graph, member, kept, maker, {FORWARD})
    backward = _flows(graph, member, kept, maker, {GRADIENT, VIRTUAL})
    _place(kept, forward)
    return Outline(kept, forward, backward)


def _note(step: Step, seen: Seen, graph: TrainingGraph) -> None:
    node = seen.node
    if seen.kind == FORWARD:
        step.parameters += _of_role(node.inputs, graph, *_LEARNED)
        return
    if seen.kind not in (GRADIENT, VIRTUAL, T):
        return
    if seen.kind == T:
        step.states = list(dict.fromkeys((*step.states, *_of_role(node.inputs, graph, "r"))))
    else:
        (step.virtual if seen.kind == VIRTUAL else step.gradient).append(node.op_type)
    of = [value.removesuffix("_grad") for value in node.outputs if value.endswith("_grad")]
    given = step.raw_gradients if seen.kind == GRADIENT else step.virtual_gradients
    given += _of_role(of, graph, "trained")


def _of_role(names: Iterable[str], graph: TrainingGraph, *roles: str) -> list[str]:
    return [name for name in names if name in graph.tensors and graph.tensors[name].role in roles]


def _flows(
    graph: TrainingGraph,
    member: Mapping[str, str],
    kept: Mapping[str, Step],
    maker: Mapping[str, Seen],
    kinds: set[str],
) -> list[tuple[str, str]]:
    """Between which steps values go, through nodes of these kinds, and those left out between."""
    found: dict[tuple[str, str], None] = {}
    for each in graph.after:
        reader = member.get(each.node.name)
        if reader in kept and each.kind in {*kinds, *({T} if FORWARD not in kinds else ())}:
            for source in _sources(each.node.inputs, reader or "", member, kept, maker, kinds):
                found[source, reader or ""] = None
    return list(found)


def _sources(
    values: Iterable[str],
    reader: str,
    member: Mapping[str, str],
    kept: Mapping[str, Step],
    maker: Mapping[str, Seen],
    kinds: set[str],
) -> list[str]:
    found: dict[str, None] = {}
    pending, known = list(values), set()
    while pending:
        made = maker.get(pending.pop())
        if made is None or made.node.name in known or made.kind not in kinds:
            continue
        known.add(made.node.name)
        source = member.get(made.node.name)
        if source in kept:
            if source != reader:
                found[source or ""] = None
        else:
            pending.extend(made.node.inputs)
    return list(found)


def _place(steps: Mapping[str, Step], forward: list[tuple[str, str]]) -> None:
    """Columns along the longest way, and lanes in which no two steps stand in one column."""
    before: dict[str, list[str]] = {}
    for source, reader in forward:
        before.setdefault(reader, []).append(source)
    taken: set[tuple[int, int]] = set()
    for name, step in steps.items():
        sources = [steps[each] for each in before.get(name, ())]
        step.column = max((each.column + 1 for each in sources), default=0)
        wanted = min((each.lane for each in sources), default=0)
        lanes = (wanted, *range(len(steps)))
        step.lane = next(lane for lane in lanes if (step.column, lane) not in taken)
        taken.add((step.column, step.lane))
