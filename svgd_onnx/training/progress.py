"""The progress bar of a training: steps, steps a second, loss, validation metrics; whole in 80 columns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich import progress
from rich.console import Console
from rich.table import Column

from svgd_onnx.distributed.job import has_terminal

_REFRESH_SECONDS = 0.1
_TEN_HOURS = 10 * 3600
_SPEED = len("1000/s")
_VALIDATION = "validation_"


def _whole(width: int) -> Column:
    """A column of so many characters, which a narrow terminal does not cut."""
    return Column(no_wrap=True, min_width=width)


def _shown(values: Mapping[str, float], room: int) -> str:
    """ "loss 0.1, validation: loss 0.2, accuracy 0.9", or as many of them as there is room for, each whole."""
    parts = [f"{name.removeprefix(_VALIDATION)} {value:.4g}" for name, value in values.items()]
    first = next((at for at, name in enumerate(values) if name.startswith(_VALIDATION)), None)
    if first is not None:
        parts[first] = f"validation: {parts[first]}"
    lines = [", ".join([*parts[:count], "…"]) for count in range(len(parts) - 1, 0, -1)]
    return next((line for line in [", ".join(parts), *lines] if len(line) <= room), "")


class Progress:
    """A progress bar on the terminal, or nothing.

    Args:
        total: steps in all.
        done: steps done before.
        show: whether to show it.
    """

    def __init__(self, total: int, done: int, show: bool) -> None:
        self._bar = progress.Progress(
            progress.TextColumn(
                "{task.completed}/{task.total}",
                table_column=_whole(len(f"{total}/{total}")),
            ),
            progress.BarColumn(bar_width=20),  # a narrow terminal has none
            progress.TextColumn("{task.fields[speed]}/s", table_column=_whole(_SPEED)),
            progress.TimeRemainingColumn(table_column=_whole(len("0:00:00"))),
            progress.TextColumn(
                "{task.fields[values]}", table_column=Column(no_wrap=True, ratio=1)
            ),
            disable=not show,
            # else a rank of a job would redraw it in a pipe
            console=Console(force_terminal=None if has_terminal() else False),
        )
        self._show = show
        self._done = done
        self._start = done
        self._started = time.perf_counter()
        self._shown = 0.0
        self._total = total
        self._values: Mapping[str, float] = {}

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
        if self._show and self._values:
            self._draw()  # training may end before all steps
        self._bar.stop()

    def advance(self, values: Mapping[str, float]) -> None:
        """One step more, with the values to show."""
        self._done += 1
        self._values = values
        now = time.perf_counter()
        if not self._show or (now - self._shown < _REFRESH_SECONDS and self._done < self._total):
            return
        self._draw()

    def _draw(self) -> None:
        self._shown = now = time.perf_counter()
        shown = _shown(self._values, self._bar.console.width - self._width_before())
        speed = (self._done - self._start) / max(now - self._started, 1e-9)
        self._bar.update(self._task, completed=self._done, values=shown, speed=f"{speed:.0f}")

    def _width_before(self) -> int:
        """How wide is what stands before the values on a narrow terminal, where the bar is gone."""
        seconds = self._bar.tasks[self._task].time_remaining or 0.0
        time_ = len("0:00:00") + (seconds >= _TEN_HOURS)
        return sum(width + 1 for width in (len(f"{self._total}/{self._total}"), 0, _SPEED, time_))
