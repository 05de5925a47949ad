"""A model, its artifacts and data in files, and the command line as users start it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from conftest import Run

import svgd_onnx

Refused = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
COUNT = 16  # examples of the data
TRAIN = ("--batch-size", 8, "--learning-rate", 0.1)


def heeding_signals() -> None:
    """What runs in the background of a shell ignores SIGINT, and so would the processes that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The MLP of the tests, in a file."""
    path = tmp_path / "model.onnx"
    onnx.save(models.mlp(), path)
    return path


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """Artifacts of that model, for any onnxruntime."""
    path = tmp_path / "artifacts"
    svgd_onnx.convert(model, path, target="onnx", verify=False)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data that fits it."""
    path = tmp_path / "data.npz"
    np.savez(path, **models.examples(models.mlp(), COUNT))
    return path


@pytest.fixture
def refused(run: Run) -> Refused:
    """The one sentence with which a command line, run in this process, is refused."""

    def refused(*arguments: object) -> str:
        outcome = run(*arguments)
        assert outcome.code == 2, outcome.err
        assert outcome.err.startswith("svgd-onnx: ") and outcome.err.count("\n") == 1, outcome.err
        return outcome.err

    return refused


@pytest.fixture
def start() -> Start:
    """Starts a command line as a process of its own."""

    def begin(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "svgd_onnx", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeding_signals,
        )

    return begin
