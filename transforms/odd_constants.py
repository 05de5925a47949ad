"""Constants of which onnxruntime's kernels make sizes, offsets and quotients unseen: what they may not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.check_indices import FAR
from svgd_onnx.transforms.rule import constant_value, input_of

# No box of an image reaches further.
_FAR_IN_IMAGE = 1 << 24


@dataclass(frozen=True)
class _Refused:
    """What an input may not be, where it is constant.

    Attributes:
        place: of the input.
        is_odd: whether it is that.
        what: in words.
    """

    place: int
    is_odd: Callable[[np.ndarray], bool]
    what: str


def refuse_odd_constants(graph: ir.Graph) -> None:
    """Refuses a graph with constants by which the runtime would end the process.

    Raises:
        UserError: names the node.
    """
    for node in all_nodes(graph):
        if node.domain == "":
            value = partial(_constant_input, node)
            refuse_odd(node.op_type, node.name or node.outputs[0].name or "", value)


def _constant_input(node: ir.Node, place: int) -> np.ndarray | None:
    return constant_value(input_of(node, place))


def refuse_odd(op_type: str, name: str, constant_input: Callable[[int], np.ndarray | None]) -> None:
    """As `refuse_odd_constants`, of one node of a standard operator.

    Args:
        op_type: its operator.
        name: what to call it.
        constant_input: the value of an input by its place; None if it is none, or is not known.

    Raises:
        UserError: names the node.
    """
    refused = _REFUSED.get(op_type)
    value = None if refused is None else constant_input(refused.place)
    if refused is not None and value is not None and refused.is_odd(value):
        raise UserError(f"{op_type} '{name}' has {refused.what}: export the model again.")


def _zero(divisor: np.ndarray) -> bool:
    return np.issubdtype(divisor.dtype, np.integer) and not divisor.all()


_DIVISOR = _Refused(1, _zero, "integers to divide by of which one is 0")

_REFUSED = {
    "Div": _DIVISOR,
    "Mod": _DIVISOR,
    # onnxruntime divides by it without looking where it folds constants
    "SplitToSequence": _Refused(
        1, lambda sizes: sizes.ndim == 0 and not sizes.all(), "pieces of no size to split into"
    ),
    # onnxruntime 1.19.2 reads beyond the matrix where k is the least of all integers
    "Trilu": _Refused(
        1, lambda k: bool((np.abs(k.astype(float)) > FAR).any()), "a diagonal (k) of no matrix"
    ),
    "RoiAlign": _Refused(
        1,
        lambda boxes: not bool((np.abs(boxes) <= _FAR_IN_IMAGE).all()),
        "boxes that lie outside of any image",
    ),
}
