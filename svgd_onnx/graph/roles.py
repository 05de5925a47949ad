"""What each node of a training graph is for, and whose gradient it is part of: by data flow, then by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from svgd_onnx.graph.training_graph import (
    CHECK,
    FORWARD,
    GRADIENT,
    UPDATE,
    VIRTUAL,
    PlainNode,
    Seen,
    T,
)
from svgd_onnx.manifest import Operation
from svgd_onnx.step_names import quoted

_GRADIENT = "_grad"
# T and what it is written with, by the names that the passes give it; those behind a state's name are its.
_OF_T = re.compile(r"(?:^|/)(?:VirtualGradient|GradientFactor)_\d+")
_FACTOR_OF_T = re.compile(r"(?:Reshape|Mul)_\d+$")
_CHECK = "svgd.finite/"
# The sum of what several operations give for one value, as either differentiator calls it; for a parameter.
_SUM = re.compile(r"_grad/sum/Sum_\d+$|^AccumulateGrad_")
_SUM_OF_USES = re.compile(r"_grad/Sum_\d+$")


def seen_nodes(
    nodes: Sequence[PlainNode],
    outputs: Iterable[str],
    operations: Sequence[Operation],
    trained: Collection[str],
) -> list[Seen]:
    """Every node with its kind and its owner.

    Args:
        nodes: of the gradient graph or the training step, in its order.
        outputs: the graph's.
        operations: sigma-prime.
        trained: the names of the parameters that are trained.
    """
    flow = _Flow(nodes)
    states = {each.state: each.node for each in operations if each.state is not None}
    kinds = _kinds(flow, outputs, states, trained)
    owners = _owners(flow, kinds, states)
    return [Seen(node, kinds[node.name], owners.get(node.name)) for node in nodes]


class _Flow:
    """Who makes and who reads each value."""

    def __init__(self, nodes: Sequence[PlainNode]) -> None:
        self.nodes = nodes
        self.by_name = {node.name: node for node in nodes}
        self.maker = {value: node for node in nodes for value in node.outputs if value}
        self.readers: dict[str, list[PlainNode]] = {}
        for node in nodes:
            for value in dict.fromkeys(filter(None, node.inputs)):
                self.readers.setdefault(value, []).append(node)
        self.values = self.maker.keys() | self.readers.keys()

    def differentiated(self, value: str) -> str | None:
        """The value that another is the gradient of, by its name; None if it is none."""
        of = value.removesuffix(_GRADIENT)
        return of if of != value and of in self.values else None

    def upstream(self, values: Iterable[str], stop: Collection[str]) -> set[str]:
        """The names of nodes that values are computed from, but for those in `stop` and what is before."""
        found: set[str] = set()
        pending = list(values)
        while pending:
            node = self.maker.get(pending.pop())
            if node is not None and node.name not in found and node.name not in stop:
                found.add(node.name)
                pending.extend(node.inputs)
        return found

    def downstream(self, values: Iterable[str]) -> set[str]:
        """The names of nodes that are computed from values."""
        found: set[str] = set()
        pending = list(values)
        while pending:
            for node in self.readers.get(pending.pop(), ()):
                if node.name not in found:
                    found.add(node.name)
                    pending.extend(filter(None, node.outputs))
        return found


def _kinds(
    flow: _Flow,
    outputs: Iterable[str],
    states: Mapping[str, str],
    trained: Collection[str],
) -> dict[str, str]:
    gradients = [each for each in flow.values if flow.differentiated(each) is not None]
    backward = flow.downstream(gradients)
    backward |= {flow.maker[each].name for each in gradients if each in flow.maker}
    checks = {node.name for node in flow.nodes if node.name.startswith(_CHECK)}
    t = {node.name for node in flow.nodes if _is_t(node.name, states)}
    virtual = flow.downstream(
        value
        for name in t & backward
        for value in flow.by_name[name].outputs
        if value not in outputs
    )
    # a parameter's gradient may be used for that of a hidden value too, as that of a shift
    update = flow.downstream(f"{name}{_GRADIENT}" for name in trained)
    update -= flow.upstream(gradients, ())
    needed = [*outputs, *(str(flow.differentiated(each)) for each in gradients)]
    needed += [value for name in checks for value in flow.by_name[name].inputs]
    forward = flow.upstream(needed, backward | checks | t)
    # a builder leaves nodes behind that nothing reads
    read = flow.upstream((value for name in backward for value in flow.by_name[name].inputs), ())
    forward |= flow.by_name.keys() - backward - checks - t - read
    of_kind = (
        (T, t),
        (CHECK, checks),
        (UPDATE, update),
        (VIRTUAL, virtual & backward),
        (FORWARD, forward),
    )
    kinds = {
        node.name: next((kind for kind, names in of_kind if node.name in names), GRADIENT)
        for node in flow.nodes
    }
    for node in reversed(flow.nodes):
        readers = [each.name for value in node.outputs for each in flow.readers.get(value, ())]
        if node.name not in backward and readers and all(kinds[each] == UPDATE for each in readers):
            kinds[node.name] = UPDATE
    return kinds


def _is_t(name: str, states: Mapping[str, str]) -> bool:
    state = _state_of(name, states)
    if state is None:
        return _OF_T.search(name) is not None
    rest = name[len(state) + 1 :]
    return _OF_T.match(rest) is not None or _FACTOR_OF_T.match(rest) is not None


def _state_of(name: str, states: Mapping[str, str]) -> str | None:
    """The r that stands before a node's name, the longest: "svgd.r.w" of "svgd.r.w/VirtualGradient_0"."""
    place = name.find("/")
    found = None
    while place >= 0:
        if name[:place] in states:
            found = name[:place]
        place = name.find("/", place + 1)
    return found


def _owners(flow: _Flow, kinds: Mapping[str, str], states: Mapping[str, str]) -> dict[str, str]:
    owners = {name: name for name, kind in kinds.items() if kind == FORWARD}
    rest = [node for node in flow.nodes if kinds[node.name] not in (FORWARD, CHECK)]
    for node in rest:
        owner = _by_name(node.name, flow, owners, states) or _by_gradient(node, flow, kinds)
        if owner is not None and kinds[node.name] != UPDATE:
            owners[node.name] = owner
    for node in reversed(rest):  # what leads to another's gradient is part of it
        if node.name not in owners and kinds[node.name] != UPDATE:
            readers = (each for value in node.outputs for each in flow.readers.get(value, ()))
            _take(
                owners, node, (each for each in readers if kinds[each.name] not in (CHECK, UPDATE))
            )
    for node in rest:  # the update of one parameter stands where its gradient is made
        if node.name not in owners:
            makers = [flow.maker[value] for value in node.inputs if value in flow.maker]
            if len({owners.get(each.name) for each in makers}) == 1:
                _take(owners, node, makers)
    return owners


def _take(owners: dict[str, str], node: PlainNode, others: Iterable[PlainNode]) -> None:
    owner = next((owners[each.name] for each in others if each.name in owners), None)
    if owner is not None:
        owners[node.name] = owner


def _by_name(
    name: str, flow: _Flow, forward: Mapping[str, str], states: Mapping[str, str]
) -> str | None:
    """By how the differentiators, and the passes after them, call nodes; None if that says nothing."""
    state = _state_of(name, states)
    if state is not None:
        return states[state] if states[state] in forward else None
    for end in (found.start() for found in re.finditer("/backward/", name)):
        maker = flow.maker.get(name[:end]) or flow.maker.get(quoted(name[:end]))
        if maker is not None and forward.get(maker.name) == maker.name:
            return maker.name
    for found in re.finditer(f"{_GRADIENT.title()}/", name):
        if forward.get(name[: found.start()]) == name[: found.start()]:
            return name[: found.start()]
    return None


def _by_gradient(node: PlainNode, flow: _Flow, kinds: Mapping[str, str]) -> str | None:
    """Of what makes dX: the operation that reads X, of several the one whose dY it reads; of a sum X's own."""
    for value in node.outputs:
        of = flow.differentiated(value)
        if of is None:
            continue
        readers = [each for each in flow.readers.get(of, ()) if kinds[each.name] == FORWARD]
        maker = flow.maker.get(of)
        if _SUM.search(node.name) or (maker is None and _SUM_OF_USES.search(node.name)):
            return maker.name if maker is not None else None
        fitting = [
            each
            for each in readers
            if any(f"{one}{_GRADIENT}" in node.inputs for one in each.outputs)
        ]
        if readers:
            return (fitting or readers)[0].name
    return None
