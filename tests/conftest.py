"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import onnx
import pytest

import svgd_onnx

NO_TRAINING = "which has no training"

MakeTrainer = Callable[..., svgd_onnx.Trainer]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Where onnxruntime has no training layer (Python from 3.13 on), what asks for it is skipped."""
    try:
        return (yield)
    except svgd_onnx.UserError as error:
        if NO_TRAINING not in str(error):
            raise
        pytest.skip("onnxruntime-training is not installed")


@pytest.fixture
def trainer_of(tmp_path: Path) -> MakeTrainer:
    """Converts a model into a new folder and opens a trainer on it, on one thread."""

    def make(model: onnx.ModelProto, **options: Any) -> svgd_onnx.Trainer:
        folder = tmp_path / f"artifacts-{len(list(tmp_path.iterdir()))}"
        svgd_onnx.convert(model, folder, **options)
        return svgd_onnx.Trainer(folder, seed=0, threads=1)

    return make
