"""The fast form of a training graph: operators of ours wherever they take a node."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.channels_last import with_channels_last
from svgd_onnx.transforms.fuse import RULES, Fuse, FuseAttention, SumsOfT
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN

# Of more nodes: to make a second form of them, open it and hold it against the first takes longer than T's own
# kernel, or a few others, save in hours.
_MANY_NODES = 10_000
_LEAST_SHARE = 1 / 100


def with_fast_operators(model: ir.Model, *, portable: bool) -> ir.Model | None:
    """A copy of a training graph with operators of ours; None where they take none of its nodes.

    Nor is there one where, of very many nodes, they would take T alone, or hardly any.

    Args:
        model: loss and gradients are outputs, T is not written with standard operators yet.
        portable: whether it will be: then T itself is such an operator.
    """
    few = len(model.graph) <= _MANY_NODES
    copy = with_channels_last(model)
    replaced = copy is not None
    if copy is None:
        candidates = sum(node.op_type in RULES or node.domain == DOMAIN for node in model.graph)
        if not candidates or not (few or candidates >= _LEAST_SHARE * len(model.graph)):
            return None
        copy = model.clone()
        replaced = portable and few and any(node.domain == DOMAIN for node in copy.graph)
    replaced |= Fuse()(copy).modified
    if not replaced or not (few or _share_of_ours(copy) >= _LEAST_SHARE):
        return None
    FuseAttention()(copy)
    SumsOfT()(copy)
    common.RemoveUnusedNodesPass()(copy)
    return copy


def _share_of_ours(model: ir.Model) -> float:
    return sum(node.domain == DOMAIN for node in model.graph) / len(model.graph)
