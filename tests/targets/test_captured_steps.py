"""Steps to be captured as CUDA graphs: here the processor makes them, from memory that stays."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import models
import numpy as np
import pytest

import svgd_onnx
from svgd_onnx.targets.standard_onnx.device import Device


def batches() -> list[dict[str, np.ndarray]]:
    """Six batches, of which the third is smaller."""
    examples = models.examples(models.mlp(), count=48)
    ends = np.cumsum([0, 8, 8, 3, 8, 8, 8])
    return [
        {name: array[start:end] for name, array in examples.items()}
        for start, end in pairwise(ends)
    ]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captured") / "artifacts"
    svgd_onnx.convert(models.mlp(), folder, target="onnx", verify=False)
    return folder


def losses(folder: Path) -> list[float]:
    trainer = svgd_onnx.Trainer(folder, device="cpu", kernels="standard")
    return [trainer.train_step(batch, 0.1) for batch in batches()]


def test_steps_that_may_be_captured_are_the_same_steps(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = losses(artifacts)
    monkeypatch.setattr(Device, "_captures", lambda self: True)
    assert losses(artifacts) == expected


def test_a_step_that_draws_random_numbers_is_not_captured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    svgd_onnx.convert(models.dropout(), tmp_path / "artifacts", target="onnx", verify=False)
    monkeypatch.setattr(Device, "_captures", lambda self: True)
    with pytest.raises(svgd_onnx.UserError, match="draws random numbers in each step"):
        svgd_onnx.Trainer(tmp_path / "artifacts", device="cpu", kernels="standard")
