"""The end of a run: a table of what it came to, and where T did not adapt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from svgd_onnx.errors import counted, listed
from svgd_onnx.terminal import add_row, say, show
from svgd_onnx.training.factors import CONSTANT, Factors
from svgd_onnx.training.run_summary import RunSummary
from svgd_onnx.training.trainer import Trainer


def facts_of_run(
    trainer: Trainer, summary: RunSummary, factors: Sequence[Factors]
) -> dict[str, Any]:
    """The end of a run by name, for --json; with T's factors then."""
    return {
        "steps": summary.steps,
        "epochs": summary.epochs,
        "seconds": summary.seconds,
        "steps_per_second": summary.steps_per_second,
        "curves": summary.curves,
        "checkpoint": trainer.checkpoint_file,
        "checkpoint_step": trainer.saved_step,
        "factors": [
            {
                "parameters": each.parameters,
                "below_epsilon": each.below_epsilon,
                "lowest": each.lowest,
                "mean": each.mean,
                "highest": each.highest,
                "constant": each.are_constant,
            }
            for each in factors
        ],
    }


def show_run(trainer: Trainer, summary: RunSummary, factors: Sequence[Factors]) -> None:
    """A table of what a run came to, and where T did not adapt; nothing of a run without a step."""
    if not summary.steps or summary.epochs is None:
        return
    first, last = summary.epochs
    epochs = f"epoch {last}" if first == last else f"epochs {first} to {last}"
    speed = f"{_three_digits(summary.steps_per_second or 0.0)} steps a second"
    title = f"{counted(summary.steps, 'step')}, {epochs}, {_duration(summary.seconds)}, {speed}"
    table = Table("", title=title, title_justify="left")
    for heading in ("first", "last", "best", "at step"):
        table.add_column(heading, justify="right")
    for name, curve in summary.curves.items():
        best = "-" if curve.best is None else f"{curve.best:.6g}"
        values = (f"{curve.first:.6g}", f"{curve.last:.6g}", best, str(curve.best_step or "-"))
        add_row(table, "loss of a batch" if name == "loss" else name.replace("_", " "), *values)
    show(table)
    say(f"Checkpoint of step {trainer.saved_step}: {trainer.checkpoint_file}")
    say_where_t_is_constant(factors)


def say_where_t_is_constant(factors: Sequence[Factors]) -> None:
    """Says in which operations T does not adapt: it scales all of a gradient by one number there."""
    constant = [each for each in factors if each.are_constant]
    if not constant:
        return
    small = [each for each in constant if each.are_of_epsilon]
    same = [each for each in constant if not each.are_of_epsilon]
    say(
        f"At the end T was practically a constant in {len(constant)} of "
        f"{counted(len(factors), 'operation')} (factors within {CONSTANT:.0%} of one another): gradients there "
        "were only scaled, as by another learning rate."
    )
    if small:
        most, epsilon = max(each.highest_r for each in small), small[0].epsilon
        say(
            f"  r is far below epsilon ({most:.1g} at most, beside {epsilon:g}) in "
            f"{_named(small, lambda each: each.limit)}: a smaller --epsilon of convert lets T adapt."
        )
    if same:
        say(f"  r is the same everywhere in {_named(same, lambda each: each.mean)}.")


def _named(factors: Sequence[Factors], value: Callable[[Factors], float]) -> str:
    """Operations with their factors: "fc1.weight (times 9.98)"."""
    return listed((f"{each.name} (times {value(each):.3g})" for each in factors), most=6)


def _duration(seconds: float) -> str:
    """12.3 s, 4 min 5 s, 2 h 3 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = math.floor(seconds / 60)
    if minutes < 60:
        return f"{minutes} min {seconds - 60 * minutes:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
