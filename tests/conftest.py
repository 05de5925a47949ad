"""Fixtures that several test files share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

import svgd_onnx
from svgd_onnx import cli
from svgd_onnx.runtime import has_training

NO_TRAINING = "which has no training"

MakeTrainer = Callable[..., svgd_onnx.Trainer]
Run = Callable[..., str]


@contextlib.contextmanager
def skipped_without_training() -> Iterator[None]:
    """Where onnxruntime has no training layer (Python from 3.13 on), what asks for it is skipped."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if has_training() or NO_TRAINING not in str(error):
            raise
        pytest.skip("onnxruntime-training is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with skipped_without_training():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with skipped_without_training():
        return (yield)


@pytest.fixture
def trainer_of(tmp_path: Path) -> MakeTrainer:
    """Converts a model into a new folder, unverified, and opens a trainer on it, on one thread."""

    def make(model: onnx.ModelProto, **options: Any) -> svgd_onnx.Trainer:
        folder = tmp_path / f"artifacts-{len(list(tmp_path.iterdir()))}"
        svgd_onnx.convert(model, folder, **{"verify": False, **options})
        return svgd_onnx.Trainer(folder, seed=0, threads=1)

    return make


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What a command says, or with which sentence it is refused."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["svgd-onnx", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        if stopped.value.code:
            assert stopped.value.code == 2 and said.err.count("\n") == 1, said.err
            return str(said.err)
        return str(said.out)

    return run
