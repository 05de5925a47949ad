"""Keep the names of a model's own tensors apart from those that are made on the way."""

from __future__ import annotations

import re

import onnx_ir as ir

from svgd_onnx.step_names import NEW_SUFFIX, quoted
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.names import rename
from svgd_onnx.transforms.optimizers import OPTIMIZERS

_TARGETS = sorted({re.escape(loss.target) for loss in LOSSES.values() if loss.target})
_STATES = sorted({re.escape(state) for each in OPTIMIZERS.values() for state in each.state_names})
# Gradients and their buffers, what a step gives and takes, and what rules write in the place of a value.
_LIKE_OURS = re.compile(
    rf"^svgd\.|_grad|{re.escape(NEW_SUFFIX)}$|(^|_)({'|'.join(_TARGETS)})$"
    rf"|\.({'|'.join(_STATES)}|accumulated_gradient|average)$"
    r"|/([A-Z]\w*_\d+|constant_\d+|use_\d+|replaced|folded|identity|given|mask)$"
)


class QuoteNames(ir.passes.InPlacePass):
    """Puts names of values that are like those of ours in marks, which `FinalNames` takes away.

    Ensures: no value has a name that a later pass may give to another, or that the graph builder does.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for graph in with_bodies(model.graph):
            for value in list(values_of(graph)):
                if value.name and _LIKE_OURS.search(value.name):
                    rename(value, quoted(value.name))
                    modified = True
        return ir.passes.PassResult(model, modified)
