"""A client's share of a round."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.examples import Given, taken_from
from svgd_onnx.training.length import check_positive
from svgd_onnx.training.streams import StreamExamples
from svgd_onnx.training.trainer import Trainer

PROXIMAL = "proximal"
"""The hyper-parameter of artifacts that were converted with a proximal term."""


@dataclass(frozen=True)
class Round:
    """What a client did.

    Attributes:
        examples: how many it has, by which it counts in the average.
        steps: how many it made.
        loss: of the last batch, before its update.
    """

    examples: int
    steps: int
    loss: float


def train_round(
    trainer: Trainer, examples: Given, *, epochs: int, batch_size: int, learning_rate: float
) -> Round:
    """Goes so many times through a client's examples, from where the trainer is, and saves its checkpoint.

    A client of fewer examples than a batch has takes all of them as one. As elsewhere, what does not fill a
    last batch is left out of that epoch; of artifacts that accumulate gradients, so are batches of a step that
    is not full.

    Args:
        trainer: which has the server's parameters by now.
        examples: as `Trainer.train` takes them; not a stream.
        epochs: over the examples.
        batch_size: examples a step, or a batch of one.
        learning_rate: alpha.

    Raises:
        UserError: as `Trainer.train`, or there are too few examples for one step.
    """
    check_positive(epochs=epochs, batch_size=batch_size)
    # classes have their numbers, whichever of them a client has
    taken = taken_from(examples, trainer.manifest, known=trainer.classes_by_label)
    if isinstance(taken, StreamExamples):
        raise UserError(
            "A client's data has to say how many examples it has, by which it is weighed: give no stream."
        )
    count = len(taken)
    batch_size = min(batch_size, count)
    of_step = trainer.manifest.accumulation_steps
    steps = epochs * (count // batch_size) // of_step * of_step
    if not steps:
        raise UserError(
            f"A round of {epochs} epochs over {count} examples is fewer than the {of_step} batches of a step: "
            f"give a smaller {option('batch_size')}, or more epochs."
        )
    # else a round would take some examples twice, and begin with gradients of other parameters
    trainer.begin_epoch()
    done = trainer.train(
        examples, steps=trainer.step + steps, batch_size=batch_size, learning_rate=learning_rate
    )
    return Round(count, steps, done["loss"])


def check_proximal(manifest: Manifest, mu: float) -> None:
    """Refuses a round of another proximal term than that which is in the step.

    Args:
        manifest: of the artifacts.
        mu: the server's; 0 for none.

    Raises:
        UserError: says both.
    """
    here = manifest.hyper_parameters.get(PROXIMAL, 0.0)
    if not math.isclose(here, mu, rel_tol=1e-6):
        raise UserError(
            f"The server asks for a proximal term of {mu:g}, and the step of these artifacts has one of "
            f"{here:g}: convert with {option('proximal', f'{mu:g}')}, or give the server artifacts made so."
        )
