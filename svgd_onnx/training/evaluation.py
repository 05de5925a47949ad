"""The loss and the metrics over a set of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import Session, rows_at_fault
from svgd_onnx.training.batches import Examples, batches
from svgd_onnx.training.metrics import LOSS, Answers, Metric, Task

BATCH_SIZE = 256


def evaluate(
    session: Session, manifest: Manifest, examples: Examples, metrics: Sequence[Metric]
) -> dict[str, Any]:
    """The loss over all examples, and the metrics, by name: numbers, or tables.

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
    total, weight = 0.0, 0.0
    position = [tensor.name for tensor in manifest.outputs].index(manifest.prediction)
    task = Task.of(manifest)
    summed = task.settings.reduction == "sum"
    tallies = {metric.name: metric.begin() for metric in metrics}
    for number, batch in enumerate(batches(examples, batch_size)):
        first = number * batch_size
        count = min(batch_size, len(examples) - first)
        with rows_at_fault(examples.source, range(first, first + count)):
            results = session.eval_step(batch, seed=number if manifest.random else None)
        loss = float(results[0])
        of_batch = 1.0 if summed else task.loss.batch_weight(count, batch, task.settings)
        total += loss * of_batch
        weight += of_batch
        answers = Answers(task, results[1 + position], batch[-1], loss)
        for tally in tallies.values():
            tally.add(answers)
    values = {name: tally.value() for name, tally in tallies.items()}
    return {LOSS: total if summed else total / weight, **values}
