"""The loss and the metrics over a set of examples."""

from __future__ import annotations

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import LossTerm, Manifest
from svgd_onnx.targets.session import Session, rows_at_fault
from svgd_onnx.training.batches import Examples, batches
from svgd_onnx.transforms.losses import loss_named

BATCH_SIZE = 256


class _Term:
    """One of the losses over all examples, batch by batch.

    Args:
        term: which.
        manifest: of the artifacts.
    """

    def __init__(self, term: LossTerm, manifest: Manifest) -> None:
        self._loss, self._settings = loss_named(term.loss), term.settings
        self._is_sum = term.settings.reduction == "sum"
        self._logits = term.logits == term.prediction
        names = [tensor.name for tensor in manifest.arrays]
        self._label = None if term.label is None else names.index(term.label.name)
        self._position = 1 + [each.name for each in manifest.outputs].index(term.prediction)
        self._total, self._weight, self._right, self._counted = 0.0, 0.0, 0, 0

    def add(
        self, loss: float, batch: list[np.ndarray], results: list[np.ndarray], count: int
    ) -> None:
        """Takes a batch into account, of which there are the loss and what the model says."""
        label = None if self._label is None else batch[self._label]
        weight = 1.0 if self._is_sum else self._loss.batch_weight(count, label, self._settings)
        self._total += loss * weight
        self._weight += weight
        if label is None:
            return
        answers = self._loss.right_answers(
            results[self._position], label, self._settings, logits=self._logits
        )
        if answers is not None:
            self._right, self._counted = self._right + answers[0], self._counted + answers[1]

    @property
    def value(self) -> float:
        """The mean, or the sum, over all that counts; 0 where nothing does."""
        return self._total if self._is_sum or not self._weight else self._total / self._weight

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, if there is such a thing."""
        return self._right / self._counted if self._counted else None


def evaluate(
    session: Session, manifest: Manifest, examples: Examples, *, trained: bool = False
) -> dict[str, float]:
    """The loss over all examples, and the accuracy where the loss is one of classification.

    Of several losses also each, as `box_loss`, and its accuracy, as `class_accuracy`. It is of the averages
    of parameters where there are some, unless those that are `trained` are asked for.

    Raises:
        UserError: the batch axis is fixed, and the examples do not fill the last batch; or the model cannot
            take them.
    """
    fixed = manifest.batch_size
    batch_size = fixed or BATCH_SIZE
    if fixed is not None and len(examples) % fixed:
        raise UserError(
            f"The model's batch axis is fixed at {fixed}, and {len(examples)} examples are no "
            "multiple of that: export it with a batch axis of any size."
        )
    terms = [_Term(term, manifest) for term in manifest.terms]
    several = len(terms) > 1
    # each of several stands behind the model's own outputs
    places = range(1 + len(manifest.outputs), 1 + len(manifest.outputs) + len(terms))
    for number, batch in enumerate(batches(examples, batch_size)):
        first = number * batch_size
        count = min(batch_size, len(examples) - first)
        with rows_at_fault(examples.source, range(first, first + count)):
            seed = number if manifest.random else None
            results = session.eval_step(batch, seed=seed, trained=trained)
        for term, place in zip(terms, places if several else [0]):
            term.add(float(results[place]), batch, results, count)
    if not several:
        return _scores(terms[0], "loss", "accuracy")
    weighted = (each.weight * term.value for each, term in zip(manifest.terms, terms))
    scores = {"loss": sum(weighted)}
    for each, term in zip(manifest.terms, terms):
        scores |= _scores(term, each.named("loss"), each.named("accuracy"))
    return scores


def _scores(term: _Term, loss: str, accuracy: str) -> dict[str, float]:
    scores = {loss: term.value}
    if term.accuracy is not None:
        scores[accuracy] = term.accuracy
    return scores
