"""The command line, run in this process, and a model and data in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest

import svgd_onnx
from svgd_onnx import cli

COUNT = 16  # examples of the data
TRAIN = ("--batch-size", 8, "--learning-rate", 0.1, "--steps", 3)


@dataclass(frozen=True)
class Outcome:
    """What a command line left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """The object of --json, which is all that there is on stdout."""
        assert self.out.count("\n") == 1
        facts = json.loads(self.out)
        assert isinstance(facts, dict)
        return facts


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["svgd-onnx", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


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
