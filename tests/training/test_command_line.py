"""What `train`, `evaluate` and `export` print and leave, with the options of the training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx.cli import _app

MODEL = models.gemm()  # without running statistics, which change whatever the rate is
DATA = models.examples(MODEL, 32)


@pytest.fixture(params=["ort-training", "onnx"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", **DATA)
    svgd_onnx.convert(MODEL, "artifacts", target=request.param, verify=False)
    return tmp_path / "artifacts"


def run(*arguments: Any) -> str:
    """What a command prints."""
    result = CliRunner().invoke(_app, [*map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def train(*options: Any) -> str:
    files = ["--data", "data.npz", "--validation", "data.npz", "--log", "log.csv"]
    settings = ["--batch-size", 8, "--learning-rate", 0.0, "--threads", 1]
    return run("train", "artifacts", *files, *settings, *options)


def test_a_training_that_ends_early_goes_on_and_begins_anew(folder: Path) -> None:
    # with the rate 0 nothing improves after the first epoch
    early = ("--epochs", 9, "--early-stopping", 2, "--monitor", "f1", "--checkpoint-best")
    said = train(*early)
    assert "Trained from step 0 to 12: " in said and "validation f1 " in said
    assert "Stopped early: validation f1 did not improve in 2 epochs" in said
    assert "The best checkpoint is of step 4: --checkpoint best takes it." in said
    header = Path("log.csv").read_text().splitlines()[0]
    assert header.endswith(",validation_loss,validation_accuracy,validation_f1")
    assert "Trained from step 12 to 12: nothing to do." in train(*early)
    assert "Trained from step 12 to 16: " in train("--epochs", 4, "--resume", "--batch-size", 8)
    assert "--restart begins anew" in train("--epochs", 4)
    said = train("--steps", 3, "--restart", "--seed", 4, "--no-shuffle", "--checkpoint-keep", 2)
    assert "Trained from step 0 to 3: " in said and "best checkpoint" not in said
    assert svgd_onnx.Trainer(folder).seed == 4
    assert len(Path("log.csv").read_text().splitlines()) == 4


def test_a_log_keeps_columns_of_metrics_that_are_no_longer_asked_for(folder: Path) -> None:
    train("--epochs", 1, "--metric", "f1")
    train("--epochs", 2, "--metric", "auc")
    lines = [line.split(",") for line in Path("log.csv").read_text().splitlines()]
    assert lines[0][-2:] == ["validation_f1", "validation_auc"]
    assert [[bool(text) for text in lines[row][-2:]] for row in (4, 8)] == [
        [True, False],
        [False, True],
    ]


def test_an_evaluation_prints_metrics_of_a_kept_checkpoint(folder: Path) -> None:
    before = run("evaluate", "artifacts", "--data", "data.npz")
    train("--steps", 2, "--learning-rate", 0.5)
    asked = ("--metric", "confusion-matrix", "--metric", "top-2")
    options = ("--checkpoint", "initial", *asked)
    lines = run("evaluate", "artifacts", "--data", "data.npz", *options).splitlines()
    assert lines[:2] == before.splitlines()
    assert lines[2] == "confusion-matrix" and lines[3].startswith("wanted \\ said")
    assert len(lines) == 3 + 1 + models.CLASSES + 1 and lines[-1].startswith("top-2 0.")
    run("export", "artifacts", "--output", "initial.onnx", "--checkpoint", "initial")
    run("export", "artifacts", "--output", "last.onnx")
    assert Path("initial.onnx").read_bytes() != Path("last.onnx").read_bytes()
