"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from svgd_onnx.training.metrics.task import Answers, Task


class Tally(Protocol):
    """A metric over the batches so far, in memory that does not grow with them unless its file says so."""

    def add(self, answers: Answers) -> None:
        """Takes a batch into account."""
        ...

    def value(self) -> Any:
        """The metric over all that was added: a number, or a table; NaN where it is not defined."""
        ...


@dataclass(frozen=True)
class Metric:
    """A way to say how good a model's answers are.

    Attributes:
        name: as options have it.
        higher_is_better: whether a larger value is a better one.
        of: what a target has to say, of `transforms.losses.loss`, for it to be defined.
        begin: a tally of no batches.
        refusal: why it does not fit a task all the same, as the end of a sentence; None if it fits.
        is_table: whether the value is no number.
    """

    name: str
    higher_is_better: bool
    of: Collection[str]
    begin: Callable[[], Tally]
    refusal: Callable[[Task], str | None] = lambda task: None
    is_table: bool = False
