"""The progress bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from svgd_onnx.training.progress import Progress


def test_all_is_seen_in_80_columns() -> None:
    written = io.StringIO()
    bar = Progress(36_000, 100, show=True)
    bar._bar.live.console = Console(width=80, force_terminal=True, file=written)
    with bar:
        bar.advance({"loss": 0.001234, "validation_loss": 1.234, "validation_accuracy": 0.87})
        bar._bar.refresh()
    assert "101/36000" in written.getvalue()
    assert "loss 0.001234, validation: loss 1.234, accuracy 0.87" in written.getvalue()


@pytest.mark.parametrize("width", range(20, 100, 3))
def test_a_narrow_terminal_has_whole_numbers(width: int) -> None:
    values = {"loss": 0.001234, "validation_loss": 1.234, "validation_accuracy": 0.87}
    written = io.StringIO()
    bar = Progress(36_000, 100, show=True)
    bar._bar.live.console = Console(
        width=width, force_terminal=True, color_system=None, file=written
    )
    with bar:
        bar.advance(values)
        bar._bar.refresh()
    _, found, shown = written.getvalue().rpartition("loss 0.001234")
    parts = ["", "", ", validation: loss 1.234", ", accuracy 0.87"]
    wholes = ["".join(parts[:count]) for count in range(1, 5)]
    line = shown.partition("\n")[0].rstrip().removesuffix(", …")
    assert not found or line in [*wholes, ", validation: loss 1.234"]
    assert "loss" not in written.getvalue().replace("loss 0.001234", "").replace("loss 1.234", "")
