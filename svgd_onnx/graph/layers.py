"""The layer that each forward node lies in: as the exporter says, by its name, or by its parameters' names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from svgd_onnx.graph.training_graph import PlainNode, modules_of
from svgd_onnx.step_names import unquoted

Path = tuple[str, ...]

LOSS = "loss"
# What PyTorch's exporters add to the name of an operation.
_OUTPUT = re.compile(r"_output_\d+$")


def layers_of(
    forward: Sequence[PlainNode],
    known: Mapping[str, Path],
    parameters: Collection[str],
    losses: Collection[str],
) -> dict[str, Path]:
    """The path of groups of each forward node, outermost first.

    Args:
        forward: the nodes, in the graph's order.
        known: paths that the exporter noted, by the names of nodes and values of the model as it came.
        parameters: the names of what is learned.
        losses: the names of nodes that make the loss.
    """
    scopes = [*known.values(), *(node.scope for node in forward)]
    modules = {".".join(path[:end]): path[:end] for path in scopes for end in range(1 + len(path))}
    paths = {}
    for node in forward:
        path = _noted(node, known) or _within(_of_name(node.name), modules)
        paths[node.name] = (LOSS,) if node.name in losses else path
    in_a_layer = sum(bool(path) for path in paths.values())
    if in_a_layer * 2 < len(forward) - len(losses):
        _by_parameters(forward, paths, parameters)
    else:
        _by_neighbours(forward, paths)
    return paths


def _noted(node: PlainNode, known: Mapping[str, Path]) -> Path:
    """The path noted for a node, or for what it was made of, whose name stands before its own."""
    if node.scope:
        return node.scope
    for name in map(unquoted, (node.name, *node.outputs)):
        parts = name.split("/")
        for count in range(len(parts), 0, -1):
            path = known.get("/".join(parts[:count]))
            if path:
                return (*path, *_shortened(parts[count - 1 : -1])) if count < len(parts) else path
    return ()


def _of_name(name: str) -> Path:
    """The path that a name is, as "/layer1/layer1.0/conv1/Conv"."""
    return tuple(_shortened(modules_of(unquoted(name).split("/")[:-1])))


def _within(path: Path, modules: Mapping[str, Path]) -> Path:
    """A path whose first parts are those of a module that the exporter noted, where they are its name.

    So what lies beside a weight, as a low-rank adapter does, lies in the weight's module.
    """
    for end in range(len(path), 0, -1):
        around = modules.get(".".join(path[:end]))
        if around is not None:
            return (*around, *path[end:])
    return path


def _shortened(parts: Sequence[str]) -> list[str]:
    return [_OUTPUT.sub("", part) for part in parts if part]


def _by_parameters(
    forward: Sequence[PlainNode], paths: dict[str, Path], parameters: Collection[str]
) -> None:
    """By the modules that parameters are named after; what has none is where the last is that it reads."""
    modules = {
        name: tuple(filter(None, re.split(r"[./]", unquoted(name))[:-1])) for name in parameters
    }
    around_all = len(_common(list(modules.values())))
    following: dict[str, tuple[int, Path]] = {}
    for place, node in enumerate(forward):
        own = next((modules[name][around_all:] for name in node.inputs if name in modules), None)
        latest = max(
            (following[value] for value in node.inputs if value in following), default=(0, ())
        )
        paths[node.name] = paths[node.name] or (latest[1] if own is None else own)
        after = latest[1] if own is None else own[:-1]
        following.update(dict.fromkeys(node.outputs, (place, after)))


def _by_neighbours(forward: Sequence[PlainNode], paths: dict[str, Path]) -> None:
    """What lies in no layer lies in that around both what it reads and what reads it."""
    maker = {value: node.name for node in forward for value in node.outputs}
    readers: dict[str, list[str]] = {}
    for node in forward:
        for value in node.inputs:
            readers.setdefault(value, []).append(node.name)
    for node in forward:
        if not paths[node.name]:
            before = [paths[maker[value]] for value in node.inputs if value in maker]
            after = [paths[name] for value in node.outputs for name in readers.get(value, ())]
            around = [path for path in (*before[:1], *after[:1]) if path != (LOSS,)]
            paths[node.name] = _common(around) if len(around) == 2 else ()


def _common(paths: Sequence[Path]) -> Path:
    """The layer that all of some lie in."""
    if not paths:
        return ()
    first, last = min(paths), max(paths)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last)) if a != b), len(first))]


@dataclass
class Group:
    """A layer: other layers and the names of nodes, in the order in which they come first."""

    name: str
    members: list[Group | str] = field(default_factory=list)


def tree_of(paths: Mapping[str, Path]) -> Group:
    """Groups within groups, of the paths of nodes.

    A group of one group is run together with it, and one of very many is cut into sections, in order.
    """
    groups: dict[Path, Group] = {(): Group("")}
    for node, path in paths.items():
        for depth in range(1, len(path) + 1):
            if path[:depth] not in groups:
                groups[path[:depth]] = Group(path[depth - 1])
                groups[path[: depth - 1]].members.append(groups[path[:depth]])
        groups[path].members.append(node)
    root = groups[()]
    root.members = [_joined(each) for each in root.members]
    _cut(root)
    return root


def _joined(member: Group | str) -> Group | str:
    if isinstance(member, str):
        return member
    member.members = [_joined(each) for each in member.members]
    (first, *more) = member.members
    if isinstance(first, Group) and not more:
        return Group(f"{member.name}/{first.name}", first.members)
    return member


# More than so many things in one group are no picture any more.
_MOST, _SECTION = 60, 24


def _cut(group: Group) -> None:
    for each in group.members:
        if isinstance(each, Group):
            _cut(each)
    while len(group.members) > _MOST:
        members = group.members
        parts = [members[at : at + _SECTION] for at in range(0, len(members), _SECTION)]
        group.members = [Group(f"{_name(part[0])} … {_name(part[-1])}", part) for part in parts]


def _name(member: Group | str) -> str:
    if isinstance(member, Group):
        return member.name.split(" … ")[0]
    return unquoted(member).rstrip("/").split("/")[-1]
