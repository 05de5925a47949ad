"""The bodies of an If, a Loop or a Scan: graphs in a node, which read values of the graph around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

# What stands in an isolated body for a value outside -> that value.
Outer = dict["ir.Value", "ir.Value"]

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})


def bodies_of(node: ir.Node) -> list[ir.Graph]:
    """The graphs among a node's attributes."""
    return [
        attribute.as_graph()
        for attribute in node.attributes.values()
        if attribute.type == ir.AttributeType.GRAPH
    ]


def all_nodes(graph: ir.Graph | ir.Function) -> Iterator[ir.Node]:
    """The nodes of a graph, each followed by those of its bodies, however deep.

    As onnx-ir's `all_nodes`, which takes three times as long: a graph is walked a hundred times.
    """
    for node in graph:
        yield node
        if node.attributes:
            for body in bodies_of(node):
                yield from all_nodes(body)


def all_bodies(graph: ir.Graph) -> list[ir.Graph]:
    """The bodies in a graph, each before those inside it."""
    return [body for node in all_nodes(graph) if node.attributes for body in bodies_of(node)]


def with_bodies(graph: ir.Graph) -> list[ir.Graph]:
    """A graph, and all the bodies in it."""
    return [graph, *all_bodies(graph)]


def body_of(node: ir.Node, name: str = "body") -> ir.Graph:
    """The graph in one attribute."""
    return node.attributes[name].as_graph()


def read_by(node: ir.Node) -> list[ir.Value | None]:
    """A node's inputs, and the outer values that its bodies read, which are among no node's inputs."""
    if not node.attributes:
        return list(node.inputs)
    return [*node.inputs, *captured(bodies_of(node))]


def captured(bodies: Iterable[ir.Graph]) -> list[ir.Value]:
    """The values that bodies read of the graphs around them, each once, in order."""
    found: dict[ir.Value, None] = {}
    for body in bodies:
        inner = {*body.inputs, *body.initializers.values()}
        nodes = list(body)
        for node in nodes:
            inner.update(node.outputs)
        read = [value for node in nodes for value in read_by(node)] + list(body.outputs)
        found.update((value, None) for value in read if value is not None and value not in inner)
    return list(found)


def remove(graph: ir.Graph, node: ir.Node) -> None:
    """Takes a node out of a graph, so that its bodies read nothing of it any more."""
    for body in bodies_of(node):
        for inner in all_nodes(body):
            inner.resize_inputs(0)
    take_out(graph, node)


def take_out(graph: ir.Graph, node: ir.Node) -> None:
    """As `graph.remove(node, safe=True)`, in constant time.

    That looks at all outputs of the graph each time, of which a gradient graph has one for each parameter.
    """
    if any(value.uses() or value.is_graph_output() for value in node.outputs):
        raise ValueError(f"The node '{node.name}' is still read.")
    for place in range(len(node.inputs)):
        node.replace_input_with(place, None)
    node.graph = None
    graph._nodes.remove(node)


def remove_unread(graph: ir.Graph) -> bool:
    """Takes out the nodes whose outputs nothing reads; returns whether there were any."""
    removed = False
    for node in reversed(graph):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            remove(graph, node)
            removed = True
    return removed


def isolated(body: ir.Graph, opset_imports: Mapping[str, int]) -> tuple[ir.Model, Outer]:
    """A copy of a body as a model of its own, which has inputs for the outer values that it reads.

    Constants of the outer graph are constants of the copy.

    Returns:
        The model, and what stands in it for outer values.
    """
    graph = body.clone(allow_outer_scope_values=True)
    inner = set(all_nodes(graph))
    stands_for: Outer = {}
    for value in captured([graph]):
        constant = value.is_initializer() and not value.is_graph_input()
        tensor = value.const_value if constant else None
        stand_in = ir.val(value.name, shape=value.shape, type=value.type, const_value=tensor)
        for node, position in tuple(value.uses()):
            if node in inner:
                node.replace_input_with(position, stand_in)
        if tensor is None:
            graph.inputs.append(stand_in)
        else:
            graph.register_initializer(stand_in)
        stands_for[stand_in] = value
    graph.opset_imports.update(opset_imports)
    return ir.Model(graph, ir_version=8), stands_for


def settle(body: ir.Graph, outer: Outer) -> None:
    """Makes an isolated graph a body again, which reads outer values themselves."""
    for stand_in, value in outer.items():
        stand_in.replace_all_uses_with(value)
        if stand_in.is_initializer():
            del body.initializers[stand_in.name or ""]
        else:
            body.inputs.remove(stand_in)


def name_apart(graph: ir.Graph) -> None:
    """Gives values and nodes in bodies names that occur once; the main graph's stay."""
    bodies = all_bodies(graph)
    if not bodies:
        return
    values = {value.name or "" for value in values_of(graph)}
    nodes = {node.name or "" for node in graph}
    for body in bodies:
        for value in list(values_of(body)):
            value.name = _free(value.name or "value", values)
        for node in body:
            node.name = _free(node.name or f"{node.op_type}_{node.outputs[0].name}", nodes)


def _free(name: str, taken: set[str]) -> str:
    free, index = name, 0
    while free in taken:
        index += 1
        free = f"{name}_{index}"
    taken.add(free)
    return free


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """The values of a graph that have a name, without those of bodies in it."""
    yield from dict.fromkeys([*graph.inputs, *graph.initializers.values()])
    for node in graph:
        yield from (value for value in node.outputs if value.name)


def has_rows(node: ir.Node) -> bool:
    """Whether an operation's output has rows, along its first axis: that of a Gather of one index has none."""
    index = node.inputs[1] if node.op_type == "Gather" else None
    return index is None or index.shape is None or len(index.shape) > 0
