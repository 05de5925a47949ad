"""Artifacts with a step for several ranks, made once."""

from __future__ import annotations

from pathlib import Path

import models
import pytest

import svgd_onnx


@pytest.fixture(scope="package")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "artifacts"
    svgd_onnx.convert(models.convolutional(), folder, target="onnx", data_parallel=True)
    return folder
