"""Metrics, one idea a file, in one table. NumPy is all that they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from svgd_onnx.argument_types import several_texts
from svgd_onnx.errors import UserError, option
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
    "check_watched",
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
            f"There is no metric '{name}': choose from {', '.join(METRICS)}, and top-5 with any number."
        )
    return found


def is_better_higher(name: str) -> bool:
    """Whether a larger value of a metric, or of the loss, is a better one.

    Args:
        name: as an evaluation gives it, of several losses with the output's before it.

    Raises:
        UserError: there is none of that name, or it is a table.
    """
    name = name.rpartition("_")[2]
    if name == LOSS:
        return False
    metric = metric_named(name)
    if metric.is_table:
        raise UserError(
            f"'{name}' is a table, which has no better and worse: choose another metric."
        )
    return metric.higher_is_better


def metrics_for(manifest: Manifest, names: Iterable[str], *, tables: bool) -> list[list[Metric]]:
    """The metrics of each loss, each once, after its accuracy where it has one.

    Args:
        manifest: of the artifacts.
        names: of the table, or top-k; of several losses each is of those that it fits, or, with an output's
            name before it, as in "class_f1", of that output's alone.
        tables: whether a metric may be no number.

    Raises:
        UserError: there is none of a name, or it fits no loss that it is asked of.
    """
    names = several_texts("metrics", names)
    tasks = [Task.of(manifest, term) for term in manifest.terms]
    found: list[dict[str, Metric]] = [{} for _ in tasks]
    for name in names:
        places, alone = _asked(name, manifest)
        if alone == LOSS:
            continue
        metric = metric_named(alone)
        _check(metric, [tasks[place] for place in places], tables)
        for place in places:
            if _fits(metric, tasks[place]):
                found[place][alone] = metric
    for place, task in enumerate(tasks):
        if ACCURACY.name not in found[place] and _fits(ACCURACY, task):
            found[place] = {ACCURACY.name: ACCURACY, **found[place]}
    return [list(each.values()) for each in found]


def check_watched(manifest: Manifest, name: str) -> None:
    """Refuses to watch a metric that several losses may have, without a word whose.

    Raises:
        UserError: says how to name it.
    """
    if len(manifest.terms) > 1 and name != LOSS and _asked(name, manifest)[1] == name:
        outputs = [term.named(name) for term in manifest.terms]
        raise UserError(
            f"There are several losses: say which '{name}' is meant, as '{outputs[0]}'."
        )


def _fits(metric: Metric, task: Task) -> bool:
    """Whether a metric is defined for a task."""
    return _refusal(metric, task) is None


def _asked(name: str, manifest: Manifest) -> tuple[Sequence[int], str]:
    """The places of the losses that a metric is asked of, and its name without that of an output before it."""
    every = range(len(manifest.terms))
    if len(every) == 1:
        return every, name
    prefixes = {term.named(""): place for place, term in enumerate(manifest.terms)}
    for each in sorted(
        prefixes, key=len, reverse=True
    ):  # an output's name may begin with another's
        if name.startswith(each):
            return [prefixes[each]], name[len(each) :]
    return every, name


def _refusal(metric: Metric, task: Task) -> str | None:
    return metric.refusal(task) if task.loss.says in metric.of else _is_of(metric)


def _check(metric: Metric, tasks: Sequence[Task], tables: bool) -> None:
    why = [_refusal(metric, task) for task in tasks]
    if all(why):
        raise UserError(f"'{metric.name}' does not fit these artifacts: {why[0]}.")
    if metric.is_table and not tables:
        raise UserError(
            f"'{metric.name}' is a table, and of an evaluation only: leave it out of training."
        )


def _is_of(metric: Metric) -> str:
    losses = [option("loss", each.name) for each in LOSSES.values() if each.says in metric.of]
    return f"it is of {', '.join(losses)}"
