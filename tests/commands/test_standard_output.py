"""Standard output that is closed, full, or read by nobody: no traceback, and the work is done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest

import svgd_onnx

pytestmark = pytest.mark.skipif(os.name != "posix", reason="of POSIX's shell")
COMMAND = f"{sys.executable} -m svgd_onnx"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, text=True, capture_output=True
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Artifacts, and data to train them with."""
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "artifacts", verify=False)
    np.savez(tmp_path / "data.npz", **models.examples(model, 16))
    return tmp_path


TRAIN = f"{COMMAND} train artifacts --data data.npz --epochs 2 --batch-size 8 --learning-rate 0.1"


@pytest.mark.parametrize("options", ["", "--quiet", "--json", "--log run.csv"])
def test_closed_it_is_nowhere(folder: Path, options: str) -> None:
    done = shell(f"{TRAIN} {options} >&-", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert svgd_onnx.Trainer(folder / "artifacts").step == 4


def test_all_streams_may_be_closed(folder: Path) -> None:
    assert shell(f"{TRAIN} <&- >&- 2>&-", folder).returncode == 0
    assert svgd_onnx.Trainer(folder / "artifacts").step == 4


@pytest.mark.parametrize("options", ["", "--json"])
def test_full_it_is_said_once_in_a_sentence(folder: Path, options: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    done = shell(f"{TRAIN} {options} >/dev/full", folder)
    assert done.returncode == 2
    assert done.stderr.startswith("svgd-onnx: Standard output cannot be written (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["--help", "--version", "train --help"])
def test_so_it_is_of_what_only_prints(tmp_path: Path, command: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    done = shell(f"{COMMAND} {command} >/dev/full", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_nobody_reading_ends_it_as_any_program(folder: Path) -> None:
    done = shell(f"{TRAIN} -v | (exec 0<&-; sleep 0)", folder)
    assert (done.returncode, done.stderr) == (141, "")
