"""Fixtures that several test files share."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

import svgd_onnx
from svgd_onnx import cli
from svgd_onnx.runtime import has_training

NO_TRAINING = "which has no training"

MakeTrainer = Callable[..., svgd_onnx.Trainer]


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
Answer = Callable[..., str]


@contextlib.contextmanager
def skipped_without_training() -> Iterator[None]:
    """Where onnxruntime has no training layer (Python from 3.13 on), what asks for it is skipped."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if has_training() or NO_TRAINING not in str(error):
            raise
        pytest.skip("onnxruntime-training is not installed")


def pytest_collection_finish() -> None:
    """Graphs set off cyclic garbage collection again and again: it shall not walk all tests and modules too."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


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
def answer(run: Run) -> Answer:
    """What a command answers, or with which sentence it is refused."""

    def answer(*arguments: object) -> str:
        outcome = run(*arguments)
        if outcome.code:
            assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
            return outcome.err
        return outcome.out

    return answer
