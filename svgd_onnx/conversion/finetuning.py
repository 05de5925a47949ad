"""What is changed of a model's structure before it is trained, as the settings say."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.model import choose_prediction
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.errors import UserError, check_several, option
from svgd_onnx.records import Adapter
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.finetune import (
    LowRankAdapters,
    NewHead,
    adapters_of,
    chosen_weights,
    complete_shapes,
    head_of,
    initial_factors,
)

# In the metadata of the model as it came.
_FINETUNING = "svgd.finetuning"


@dataclass(frozen=True)
class Finetuning:
    """What was changed.

    Attributes:
        classes: of the new head; None if there is none.
        prediction: the output that it gives.
        reasons: parameters that are trained whatever they hold, as users call them, and why.
        adapters: low-rank adapters, which are not yet in the model as it came.
        factors: what these begin with, by name.
        rank: of each; 0 without any.
        alpha: what the rank divides for their scaling.
        targets: the globs by which their weights were chosen.
    """

    classes: int | None = None
    prediction: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)
    adapters: Sequence[Adapter] = ()
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    rank: int = 0
    alpha: float = 0.0
    targets: Sequence[str] = ()

    def trained(self, train: Sequence[str]) -> Sequence[str]:
        """The globs of what is trained: what is new beside what is named, and beside adapters nothing else."""
        check_several("train", train)
        return [*map(glob.escape, self.reasons), *train] if train or self.adapters else train

    def adapted(self, source: ir.Model) -> ir.Model:
        """A copy of a model with the adapters in it."""
        copy = source.clone()
        LowRankAdapters(self.adapters, self.factors)(copy)
        return copy

    def complete(self, source: ir.Model, canonical: ir.Model) -> None:
        """States what follows from a new head of the outputs' sizes.

        Raises:
            UserError: the prediction does not come to have so many classes.
        """
        if self.classes is None:
            return
        complete_shapes(source, canonical)
        names = {unquoted(value.name or ""): value for value in canonical.graph.outputs}
        shape = names[self.prediction].shape
        if shape is not None and self.classes not in list(shape):
            raise UserError(
                f"With {option('num_classes')} {self.classes} the prediction '{self.prediction}' comes to have "
                f"the shape {list(shape)}: sizes in the model hold to the number of classes that it has, so "
                "give it another where it is exported."
            )


def finetune(source: ir.Model, settings: TrainingSettings) -> Finetuning:
    """Changes a model, which is in `source_form`, as the settings say; `finetuning_of` tells what was changed.

    Raises:
        UserError: the model has not what is to be changed.
    """
    classes, prediction, reasons = settings.num_classes, "", {}
    if settings.num_classes is not None:
        if len(settings.losses) > 1:
            raise UserError(
                f"{option('num_classes')} is of one prediction, and {option('loss')} names several outputs: "
                "give each its number of classes where the model is exported."
            )
        prediction = choose_prediction(source.graph, next(iter(settings.losses)))
        head = NewHead(prediction, settings.num_classes, settings.init_head, settings.init_seed)
        head(source)
        reasons = dict.fromkeys(head.parameters, "the new head's")
    adapters: Sequence[Adapter] = ()
    factors: Mapping[str, np.ndarray] = {}
    rank = settings.lora or 0
    alpha = float(rank if settings.lora_alpha is None else settings.lora_alpha)
    if settings.lora is not None:
        weights = _targets(source, settings, list(reasons))
        adapters = adapters_of(source.graph, weights, settings.lora, alpha)
        _check_rank(adapters, settings.lora)
        factors = initial_factors(adapters, settings.lora, settings.init_seed)
        for each in adapters:
            reasons |= dict.fromkeys((each.down, each.up), f"adapter of '{each.weight}'")
    done = Finetuning(
        classes, prediction, reasons, adapters, factors, rank, alpha, settings.lora_targets
    )
    source.meta[_FINETUNING] = done
    return done


def _check_rank(adapters: Sequence[Adapter], rank: int) -> None:
    """Refuses a rank above those of all weights, which none of the adapters' products can be of.

    Raises:
        UserError: says the highest.
    """
    sides = [min(shape[0], prod(shape[1:])) for shape in (each.shape for each in adapters)]
    if sides and rank > max(sides):
        raise UserError(
            f"{option('lora')} is {rank:,}, but no weight beside which adapters stand is of a rank above "
            f"{max(sides):,}: give a lower one."
        )


def _targets(source: ir.Model, settings: TrainingSettings, new: Sequence[str]) -> list[str]:
    """The weights that adapters are to stand beside."""
    head = new or [name for each in settings.losses for name in _head(source, each)]
    weights = chosen_weights(source.graph, settings.lora_targets, head)
    anew = [name for name in weights if name in new]
    if anew:
        raise UserError(
            f"{option('lora_targets')} names '{anew[0]}', which is the new head's and trained itself: leave "
            "it out."
        )
    return weights


def _head(source: ir.Model, prediction: str | None) -> Sequence[str]:
    """The name of the last layer's weight; none where it is not found."""
    try:
        name = prediction or choose_prediction(source.graph, None)
        # before a map it is no output of the model as it came
        values = (value for node in source.graph for value in node.outputs if value.name == name)
        return [head_of(each).name for each in values]
    except UserError:
        return []


def finetuning_of(source: ir.Model) -> Finetuning:
    """What was changed of a model."""
    found = source.meta.get(_FINETUNING)
    return found if isinstance(found, Finetuning) else Finetuning()
