"""The progress bar."""

from __future__ import annotations

import io

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
