"""A training graph as it is to be seen: plain records, of a model or of a folder of artifacts alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.manifest import Operation
from svgd_onnx.transforms.bodies import bodies_of, read_by

FORWARD, GRADIENT, T, VIRTUAL = "forward", "gradient", "T", "virtual gradient"
UPDATE, CHECK = "update", "check"


@dataclass(frozen=True)
class PlainNode:
    """A node of one graph.

    Attributes:
        name: its name, unique in its graph.
        op_type: its operator, with the domain where that is not ONNX's own.
        inputs: names of the values that it reads, those that its bodies read too; "" for what is left out.
        outputs: names of the values that it gives; "" for what it does not.
        attributes: how each is set, in words.
        scope: the modules of PyTorch that it lies in, outermost first, where an exporter noted them.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, str]
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A node in its place in training.

    Attributes:
        node: the node.
        kind: forward, gradient, T, virtual gradient (between T and a parameter's gradient), update or check.
        owner: the name of the forward node whose gradient it is part of, or that it is itself; None where it
            belongs to none, as the update of many parameters at once.
    """

    node: PlainNode
    kind: str
    owner: str | None


@dataclass(frozen=True)
class TensorFacts:
    """What is known of a value.

    Attributes:
        shape: its axes, as ONNX has them; None where it is unknown.
        role: "input", "label", "trained", "frozen", "statistic", "constant", "r" or "state"; "" for what is
            computed.
        note: why it has this role, where there is something to say.
    """

    shape: tuple[int | str, ...] | None
    role: str = ""
    note: str = ""


@dataclass(frozen=True)
class TrainingGraph:
    """All that a picture shows.

    Attributes:
        after: the nodes with T among them.
        before: the nodes before T came in; none where that is not known, as of a folder.
        tensors: facts of values, by name.
        layers: the path of groups of each forward node, by its name, outermost first.
        operations: sigma-prime, by whose names it calls nodes, parameters and states.
        losses: the names of forward nodes that make the loss of the predictions.
        facts: what to say of the whole, by heading.
    """

    after: Sequence[Seen]
    before: Sequence[Seen]
    tensors: Mapping[str, TensorFacts]
    layers: Mapping[str, tuple[str, ...]]
    operations: Sequence[Operation]
    losses: frozenset[str]
    facts: Mapping[str, str]


def plain_nodes(graph: ir.Graph) -> list[PlainNode]:
    """The nodes of a graph, in its order; a node with bodies is one node."""
    return [_plain(node) for node in graph]


def shapes_of(graph: ir.Graph) -> dict[str, tuple[int | str, ...] | None]:
    """The shape of each value of a graph, by name."""
    values = [*graph.inputs, *graph.initializers.values()]
    values += [value for node in graph for value in node.outputs]
    return {value.name: _shape(value) for value in values if value.name}


def _plain(node: ir.Node) -> PlainNode:
    domain = (
        f"{node.domain}." if node.domain not in ("", "ai.onnx", "com.microsoft", "ai.svgd") else ""
    )
    outputs = tuple(value.name or "" for value in node.outputs)
    return PlainNode(
        name=node.name or next(filter(None, outputs), node.op_type),
        op_type=f"{domain}{node.op_type}",
        inputs=tuple("" if value is None else value.name or "" for value in read_by(node)),
        outputs=outputs,
        attributes={name: _in_words(each, node) for name, each in node.attributes.items()},
        scope=scope_of(node.metadata_props),
    )


_LONGEST = 80


def _in_words(attribute: ir.Attr, node: ir.Node) -> str:
    if attribute.type == ir.AttributeType.GRAPH:
        return f"a body of {len(list(attribute.as_graph()))} nodes"
    if attribute.type in (ir.AttributeType.TENSOR, ir.AttributeType.GRAPHS):
        return "a tensor" if len(bodies_of(node)) == 0 else "bodies"
    text = str(attribute.value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def scope_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The modules that `torch.onnx.export` notes, each under its own name; the last entry is the operation."""
    text = metadata.get("pkg.torch.onnx.name_scopes", "")
    return modules_of([each.strip().strip("'\"") for each in text.strip("[]").split(",")][:-1])


def modules_of(names: Iterable[str]) -> tuple[str, ...]:
    """Names of modules, each of which may begin with that around it: "h", "h.0", "h.0.attn" is h, 0, attn."""
    path: list[str] = []
    around = ""
    for name in filter(None, names):
        path += [name.removeprefix(f"{around}.")] if around else name.split(".")
        around = name
    return tuple(path)


def _shape(value: ir.Value) -> tuple[int | str, ...] | None:
    if value.shape is None:
        return None
    return tuple(each if isinstance(each, int) else str(each.value or "?") for each in value.shape)
