"""LSTM, GRU and RNN: unrolled over a short sequence of fixed length, a Scan over any other.

onnxruntime's own LSTMGrad and GRUGrad are not accepted by its session for the nodes that exporters
write (1.19.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import onnx_ir as ir

from svgd_onnx.transforms.decompose.recurrent_activations import activations_of
from svgd_onnx.transforms.decompose.recurrent_cells import CELLS, Cell, Direction
from svgd_onnx.transforms.decompose.recurrent_turns import Layer, scanned, stacked, unrolled
from svgd_onnx.transforms.rule import RefusedError, Rule, fixed_size, inputs_of, static_shape, text
from svgd_onnx.transforms.writer import Writer

MOST_UNROLLED = 32
"""Steps that are written out. Of more a Scan is faster, and as large as of one."""

PART_OF_LONGER = "svgd.part"
"""In the metadata of a node: it has some of the steps of a layer that had more."""

_ATTRIBUTES = frozenset(
    {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size"}
)
_BACKWARDS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def recurrent(cell: Cell, scans: bool, node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Step by step; beyond the end of a shorter sequence its state stays, and what is given out is 0.

    Args:
        cell: the operator.
        scans: whether a Scan has a gradient.
        node, write: as of any rule.
    """
    (x,) = inputs_of(node, 1)
    for name, attribute in node.attributes.items():
        if name not in _ATTRIBUTES | cell.attributes and attribute.value:
            raise RefusedError(f"its attribute {name} is given")
    sizes = static_shape(x, 0, 1)
    if sizes is not None and sizes[0] == 0:
        raise RefusedError("its sequence has no step")
    is_part = PART_OF_LONGER in node.metadata_props
    short = sizes is not None and sizes[0] <= MOST_UNROLLED and not is_part
    if not scans and not short:
        fixed_size(x, 0)  # which is the reason, if it is not
        raise RefusedError(
            f"onnxruntime's builder does not take it over more than {MOST_UNROLLED} steps, but rules of "
            "svgd-onnx's own do"
        )
    turns = unrolled if short else scanned
    flags = _BACKWARDS[text(node, "direction", "forward")]
    activations = activations_of(node, write, cell.activations, len(flags))
    sequences, last = [], []
    for index, backwards in enumerate(flags):
        direction = Direction(node, write, index, cell.gates, activations[index])
        product = write.node("MatMul", x, direction.input_weight)
        product = direction.add(product, direction.input_bias)
        sequence, states = turns(Layer(cell, node, direction, product, backwards))
        sequences.append(sequence)
        last.append(states)
    outputs: list[ir.Value | None] = [stacked(write, sequences, 1)]
    outputs += [stacked(write, [state[i] for state in last], 0) for i in range(cell.states)]
    return outputs[: len(node.outputs)]


RECURRENT: dict[str, Rule] = {name: partial(recurrent, cell, True) for name, cell in CELLS.items()}
UNROLLED: dict[str, Rule] = {name: partial(recurrent, cell, False) for name, cell in CELLS.items()}
"""Where a Scan has no gradient."""
