"""The progress bar."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from svgd_onnx import terminal
from svgd_onnx.distributed import job
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


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_a_rank_of_a_job_writes_lines(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A launcher gives it a terminal, and hands on to a pipe what it writes there."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(job, "_SIZE_VARIABLES", (name,))
    monkeypatch.delenv(name, raising=False)
    assert job.has_terminal()
    monkeypatch.setenv(name, "2")
    assert not job.has_terminal()
    with Progress(3, 0, True) as bar:
        for _ in range(3):
            bar.advance({"loss": 0.5})
    terminal.say("Trained from step 0 to 3.")
    written = capsys.readouterr().out
    assert "\x1b" not in written and "\r" not in written
    assert written.count("3/3") == 1 and "loss 0.5" in written
