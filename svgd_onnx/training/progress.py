"""The progress bar of a training: loss, validation metrics, steps a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich import progress
from rich.table import Column

_REFRESH_SECONDS = 0.1


def _whole() -> Column:
    """A column that a narrow terminal does not cut."""
    return Column(no_wrap=True, overflow="ignore")


class Progress:
    """A progress bar on the terminal, or nothing.

    Args:
        total: steps in all.
        done: steps done before.
        show: whether to show it.
    """

    def __init__(self, total: int, done: int, show: bool) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("step {task.completed}/{task.total}", table_column=_whole()),
            progress.BarColumn(bar_width=20),
            progress.TextColumn("{task.fields[speed]} steps/s", table_column=_whole()),
            progress.TimeRemainingColumn(table_column=_whole()),
            # last: a narrow terminal cuts these
            progress.TextColumn(
                "{task.fields[values]}", table_column=Column(no_wrap=True, ratio=1)
            ),
            disable=not show,
        )
        self._show = show
        self._done = done
        self._start = done
        self._started = time.perf_counter()
        self._shown = 0.0
        self._total = total

    def __enter__(self) -> Progress:
        self._bar.start()
        self._task = self._bar.add_task(
            "train", total=self._total, completed=self._done, values="", speed="-"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, values: Mapping[str, float]) -> None:
        """One step more, with the values to show."""
        self._done += 1
        now = time.perf_counter()
        if not self._show or (now - self._shown < _REFRESH_SECONDS and self._done < self._total):
            return
        self._shown = now
        shown = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
        speed = (self._done - self._start) / max(now - self._started, 1e-9)
        self._bar.update(self._task, completed=self._done, values=shown, speed=f"{speed:.0f}")
