"""Metrics, one idea a file, in one table. NumPy is all that they need."""

from __future__ import annotations

from collections.abc import Iterable

from svgd_onnx.errors import UserError, check_several, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.metrics.accuracy import ACCURACY
from svgd_onnx.training.metrics.auc import AUC
from svgd_onnx.training.metrics.balanced_accuracy import BALANCED_ACCURACY
from svgd_onnx.training.metrics.confusion_matrix import CONFUSION_MATRIX
from svgd_onnx.training.metrics.errors import MAE, RMSE
from svgd_onnx.training.metrics.f1 import F1
from svgd_onnx.training.metrics.metric import Metric, Tally
from svgd_onnx.training.metrics.perplexity import PERPLEXITY
from svgd_onnx.training.metrics.r2 import R2
from svgd_onnx.training.metrics.task import Answers, Task
from svgd_onnx.training.metrics.top_k import top_k
from svgd_onnx.transforms.losses import LOSSES

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        ACCURACY,
        BALANCED_ACCURACY,
        *F1,
        AUC,
        CONFUSION_MATRIX,
        MAE,
        RMSE,
        R2,
        PERPLEXITY,
    )
}

LOSS = "loss"
"""What is monitored like a metric, and always there."""

__all__ = [
    "LOSS",
    "METRICS",
    "Answers",
    "Metric",
    "Tally",
    "Task",
    "is_better_higher",
    "metric_named",
    "metrics_for",
]


def metric_named(name: str) -> Metric:
    """A metric of the table, or top-k.

    Raises:
        UserError: there is none of that name; the message lists them.
    """
    found = METRICS.get(name) or top_k(name)
    if found is None:
        raise UserError(
            f"Unknown {option('metric')} '{name}': choose from {', '.join(METRICS)}, and top-5 with any "
            "number."
        )
    return found


def is_better_higher(name: str) -> bool:
    """Whether a larger value of a metric, or of the loss, is a better one.

    Raises:
        UserError: there is none of that name, or it is a table.
    """
    if name == LOSS:
        return False
    metric = metric_named(name)
    if metric.is_table:
        raise UserError(
            f"'{name}' is a table, which has no better and worse: choose another metric."
        )
    return metric.higher_is_better


def metrics_for(manifest: Manifest, names: Iterable[str], *, tables: bool) -> list[Metric]:
    """The metrics of names, each once, after the accuracy where the loss has one.

    Args:
        manifest: of the artifacts.
        names: of the table, or top-k.
        tables: whether a metric may be no number.

    Raises:
        UserError: there is none of a name, or it does not fit the loss.
    """
    check_several("metrics", names)
    task = Task.of(manifest)
    wanted = dict.fromkeys(name for name in names if name != LOSS)
    found = [metric_named(name) for name in wanted]
    for metric in found:
        _check(metric, task, tables)
    if task.loss.says in ACCURACY.of and ACCURACY.name not in wanted:
        found.insert(0, ACCURACY)
    return found


def _check(metric: Metric, task: Task, tables: bool) -> None:
    why = metric.refusal(task) if task.loss.says in metric.of else _is_of(metric)
    if why:
        raise UserError(f"'{metric.name}' does not fit these artifacts: {why}.")
    if metric.is_table and not tables:
        raise UserError(
            f"'{metric.name}' is a table, and of an evaluation only: leave it out of training."
        )


def _is_of(metric: Metric) -> str:
    losses = [option("loss", each.name) for each in LOSSES.values() if each.says in metric.of]
    return f"it is of {', '.join(losses)}"
