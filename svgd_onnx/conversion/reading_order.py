"""Whether every value that a node of a model reads is there by then."""

from __future__ import annotations

from collections import ChainMap

import onnx

from svgd_onnx.conversion.contents import bodies
from svgd_onnx.errors import UserError

_Holder = onnx.GraphProto | onnx.FunctionProto
# A value's maker by its name, None of what is given. A body's are before those of the graphs around it, which
# are not copied.
_Makers = ChainMap[str, onnx.NodeProto | None]


def check_reading_order(model: onnx.ModelProto, source: str) -> None:
    """Refuses a model in which a node reads what is no input, no initializer and made by no node before it.

    Args:
        model: as it was read; also bodies of nodes, which see what is around them, and functions.
        source: what to call it in a message.

    Raises:
        UserError: names the value and the node, and says whether a later node makes it, or none.
    """
    for holder in (model.graph, *model.functions):
        _check(holder, ChainMap(), ChainMap(), source)


def _check(holder: _Holder, outside: _Makers, of_outside: _Makers, source: str) -> None:
    """As `check_reading_order`, of a graph or function.

    Args:
        holder: the graph or function.
        outside: what is there in the graphs around it.
        of_outside: what all of their nodes make, by then or later.
        source: the model.
    """
    there = outside.new_child({"": None, **dict.fromkeys(_given(holder))})
    makers = of_outside.new_child({name: node for node in holder.node for name in node.output})
    for node in holder.node:
        for name in node.input:
            if name not in there:
                raise _refusal(name, node, makers.get(name), source)
        for body in bodies(node):
            _check(body, there, makers, source)
        there.update(dict.fromkeys(node.output, node))


def _given(holder: _Holder) -> list[str]:
    """What is there before the first node."""
    if isinstance(holder, onnx.FunctionProto):
        return list(holder.input)
    return [each.name for each in (*holder.input, *holder.initializer)]


def _refusal(
    name: str, reader: onnx.NodeProto, maker: onnx.NodeProto | None, source: str
) -> UserError:
    if maker is None:
        return UserError(
            f"In {source} nothing gives '{name}', which {_called(reader)} reads: no node that it sees makes "
            "it, and it is no input or initializer, so export the model again."
        )
    return UserError(
        f"In {source} {_called(reader)} reads '{name}' before {_called(maker)} makes it: sort its nodes "
        "topologically, or export it again."
    )


def _called(node: onnx.NodeProto) -> str:
    name = node.name or next(filter(None, node.output), "")
    return f"{node.op_type} '{name}'"
