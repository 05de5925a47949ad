"""The losses and the metrics over a set of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import LossTerm, Manifest
from svgd_onnx.targets.session import Session, rows_at_fault
from svgd_onnx.training.examples import Taken, one_pass
from svgd_onnx.training.metrics import LOSS, Answers, Metric, Task
from svgd_onnx.training.start import of_any_size
from svgd_onnx.training.streams import StreamExamples

BATCH_SIZE = 256


class _Term:
    """One of the losses over all examples, batch by batch, and the metrics that fit it.

    Args:
        term: which.
        manifest: of the artifacts.
        metrics: its own.
    """

    def __init__(self, term: LossTerm, manifest: Manifest, metrics: Sequence[Metric]) -> None:
        self._task = Task.of(manifest, term)
        self._is_sum = term.settings.reduction == "sum"
        names = [tensor.name for tensor in manifest.arrays]
        self._label = None if term.label is None else names.index(term.label.name)
        self._position = 1 + [each.name for each in manifest.outputs].index(term.prediction)
        self._total, self._weight = 0.0, 0.0
        self._tallies = {each.name: each.begin() for each in metrics}

    def add(
        self, loss: float, batch: list[np.ndarray], results: list[np.ndarray], count: int
    ) -> None:
        """Takes a batch into account, of which there are the loss and what the model says."""
        task, label = self._task, None if self._label is None else batch[self._label]
        weight = 1.0 if self._is_sum else task.loss.batch_weight(count, label, task.settings)
        self._total += loss * weight
        self._weight += weight
        if label is None:
            return
        answers = Answers(task, results[self._position], label, loss)
        for tally in self._tallies.values():
            tally.add(answers)

    @property
    def value(self) -> float:
        """The mean, or the sum, over all that counts; 0 where nothing does."""
        return self._total if self._is_sum or not self._weight else self._total / self._weight

    @property
    def scores(self) -> dict[str, Any]:
        """The loss, and each metric, by name."""
        return {
            LOSS: self.value,
            **{name: tally.value() for name, tally in self._tallies.items()},
        }


def evaluate(
    session: Session,
    manifest: Manifest,
    examples: Taken | StreamExamples,
    metrics: Sequence[Sequence[Metric]],
    *,
    trained: bool = False,
    workers: int = 0,
) -> dict[str, Any]:
    """The loss over all examples, and the metrics, by name: numbers, or tables.

    Of several losses the weighted sum, each, as `box_loss`, and its metrics, as `class_accuracy`.
    It is of the averages of parameters where there are some, unless those that are `trained` are asked for.

    Args:
        session: of the artifacts.
        manifest: theirs.
        examples: what to evaluate on.
        metrics: of each loss.
        trained: whether of the parameters as they were trained.
        workers: threads that prepare examples which are not there as the model takes them.

    Raises:
        UserError: the batch axis is fixed, and the examples do not fill the last batch; or the model cannot
            take them.
    """
    fixed = manifest.batch_size
    batch_size = fixed or BATCH_SIZE
    if fixed is not None and not isinstance(examples, StreamExamples) and len(examples) % fixed:
        raise _no_multiple(manifest, len(examples))
    terms = [_Term(term, manifest, own) for term, own in zip(manifest.terms, metrics)]
    several = len(terms) > 1
    # each of several stands behind the model's own outputs
    places = range(1 + len(manifest.outputs), 1 + len(manifest.outputs) + len(terms))
    for number, (rows, batch) in enumerate(one_pass(examples, batch_size, workers)):
        count = len(rows)
        if fixed is not None and count != fixed:
            raise _no_multiple(manifest, number * fixed + count)
        with rows_at_fault(examples.source, examples.numbers(rows)):
            seed = number if manifest.random else None
            results = session.eval_step(batch, seed=seed, trained=trained)
        for term, place in zip(terms, places if several else [0]):
            term.add(float(results[place]), batch, results, count)
    if not several:
        return terms[0].scores
    weighted = (each.weight * term.value for each, term in zip(manifest.terms, terms))
    scores = {LOSS: sum(weighted)}
    for each, term in zip(manifest.terms, terms):
        scores |= {each.named(name): value for name, value in term.scores.items()}
    return scores


def score_names(manifest: Manifest, metrics: Sequence[Sequence[Metric]]) -> list[str]:
    """The names of what `evaluate` gives beside the loss, in its order."""
    if len(manifest.terms) == 1:
        return [metric.name for metric in metrics[0]]
    return [
        term.named(name)
        for term, own in zip(manifest.terms, metrics)
        for name in (LOSS, *(metric.name for metric in own))
    ]


def _no_multiple(manifest: Manifest, count: int) -> UserError:
    return UserError(
        f"The model's batch axis is fixed at {manifest.batch_size}, and {count} examples are no multiple of "
        f"that: {of_any_size(manifest)}."
    )
