"""The mark of a value that is to be summed over all ranks, weighted."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.step_names import SUM
from svgd_onnx.transforms.writer import Writer

DOMAIN = "ai.svgd.ranks"
ALL_REDUCE = "AllReduce"
"""One tensor in, the weighted sum of those of all ranks out. It runs nowhere: the step is cut there."""

_WEIGHT = "weight"


def is_all_reduce(node: ir.Node) -> bool:
    """Whether a node is the mark."""
    return node.domain == DOMAIN and node.op_type == ALL_REDUCE


def all_reduced(write: Writer, value: ir.Value, weight: str = SUM) -> ir.Value:
    """The weighted sum of a value over all ranks; `weight` is a key of `RankWeights`."""
    (result,) = write.nodes_with(ALL_REDUCE, [value], {_WEIGHT: weight}, 1, DOMAIN)
    result.type, result.shape = value.type or ir.TensorType(ir.DataType.FLOAT), value.shape
    return result


def weight_of(node: ir.Node) -> str:
    """The weight that a mark names."""
    return node.attributes[_WEIGHT].as_string()
