"""What conversion hands to a target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from svgd_onnx.records import State
from svgd_onnx.transforms.data_parallel import DataParallelSettings
from svgd_onnx.transforms.emit import FinalNames
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.parameters import Selection
from svgd_onnx.transforms.virtualize.sigma_prime import STATE_PREFIX


@dataclass(frozen=True)
class TrainingGraphs:
    """The graphs and values to write artifacts from; not to be used afterwards.

    Attributes:
        training: the loss and the gradients are outputs, T is inserted.
        evaluation: inference mode; the loss and the model's outputs, with parameters as inputs.
        inputs: the model's own inputs.
        batch: these, and the label.
        own_names: of the model's inputs, outputs and parameters.
        selection: the parameters.
        values: the initial value of each.
        states: shape of each r, which starts at zero.
        portable: whether T is to be written with standard operators.
        fast: whether a form of fast kernels may lie beside the step.
        data_parallel: whether the step may run on several ranks.
        update: what becomes of parameters.
        differentiator: who made `training`, a key of `DIFFERENTIATORS`.
        recompute: whether segments of the forward pass are computed again, instead of kept.
        half: names of what is computed in float16, products of the forward pass, and with them those of the
            backward pass.
    """

    training: ir.Model
    evaluation: ir.Model
    inputs: list[str]
    batch: list[str]
    own_names: list[str]
    selection: Selection
    values: Mapping[str, ir.TensorProtocol]
    states: Mapping[str, tuple[int, ...]]
    portable: bool
    update: Update
    differentiator: str = "onnxruntime"
    recompute: bool = False
    fast: bool = False
    half: frozenset[str] = frozenset()
    data_parallel: DataParallelSettings = DataParallelSettings()  # noqa: RUF009: it is frozen

    @property
    def virtual(self) -> set[str]:
        """The parameters with a gradient that has T in it, each by one use."""
        return {name for name in self.selection.trainable if f"{STATE_PREFIX}{name}" in self.states}


@dataclass(frozen=True)
class WrittenUpdate:
    """How artifacts that were written update parameters.

    Attributes:
        states: what the checkpoint holds for it, beside the state of the training session's own optimizers.
        directs: whether the session's plain descent goes along directions that the step makes.
        pieces: how many the step was cut into, to run on several ranks.
    """

    states: list[State]
    directs: bool = False
    pieces: int = 0


def with_final_names(states: Iterable[State], names: FinalNames) -> list[State]:
    """States as artifacts call them and the parameters that they are of."""
    return [
        replace(
            state,
            name=names.of(state.name),
            parameter=None if state.parameter is None else names.of(state.parameter),
        )
        for state in states
    ]
