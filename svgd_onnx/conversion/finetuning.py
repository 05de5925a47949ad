"""What is changed of a model's structure before it is trained, as the settings say."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from svgd_onnx.conversion.model import choose_prediction
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.finetune import NewHead, complete_shapes

# In the metadata of the model as it came.
_FINETUNING = "svgd.finetuning"


@dataclass(frozen=True)
class Finetuning:
    """What was changed.

    Attributes:
        classes: of the new head; None if there is none.
        prediction: the output that it gives.
        reasons: parameters that are trained whatever they hold, as users call them, and why.
    """

    classes: int | None = None
    prediction: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def trained(self, train: Sequence[str]) -> Sequence[str]:
        """The globs of what is trained: a new head is trained beside what is named."""
        return [*map(glob.escape, self.reasons), *train] if train else train

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
    done = Finetuning()
    if settings.num_classes is not None:
        prediction = choose_prediction(source.graph, settings.prediction)
        head = NewHead(prediction, settings.num_classes, settings.init_head, settings.init_seed)
        head(source)
        reasons = dict.fromkeys(head.parameters, "the new head's")
        done = Finetuning(settings.num_classes, prediction, reasons)
    source.meta[_FINETUNING] = done
    return done


def finetuning_of(source: ir.Model) -> Finetuning:
    """What was changed of a model."""
    found = source.meta.get(_FINETUNING)
    return found if isinstance(found, Finetuning) else Finetuning()
