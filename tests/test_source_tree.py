"""The package where one stands: in a clone whose folder comes before what is installed, and elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import models
import onnx
import pytest

import svgd_onnx

ROOT = Path(__file__).resolve().parents[1]

CONVERT = """
import sys

import svgd_onnx

if __name__ == "__main__":
    svgd_onnx.convert(*sys.argv[1:])
    print(svgd_onnx.__file__)
"""

RELOAD = """
import importlib
import multiprocessing

import svgd_onnx
from svgd_onnx.transforms.virtualize import VirtualGradientSettings

def in_child(settings):
    return settings

if __name__ == "__main__":
    importlib.reload(importlib.reload(svgd_onnx).transforms)
    settings = VirtualGradientSettings(granularity="channel")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(in_child, (settings,)) == settings)
"""

LIBRARY = """
from svgd_onnx.errors import UserError
from svgd_onnx.runtime import custom_op_library, has_custom_op_library

print(has_custom_op_library())
try:
    custom_op_library()
except UserError as error:
    print(error)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    for package in ("svgd_onnx", "transforms"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(models.mlp(), path)
    return path


def python(*arguments: str | Path, cwd: Path, packages: str | None = None) -> str:
    """What Python prints, which sees this environment, or instead of it only a folder of packages.

    Editable installs are hooks that this Python does not run for such a folder: as after a plain
    install, what is imported is what comes first.
    """
    environment = os.environ if packages is None else {**os.environ, "PYTHONPATH": packages}
    options = [] if packages is None else ["-S"]
    result = subprocess.run(
        [sys.executable, *options, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def in_clone(*arguments: str | Path, clone: Path) -> str:
    return python(*arguments, cwd=clone, packages=sysconfig.get_path("purelib"))


def t_kernel(artifacts: Path) -> str:
    return svgd_onnx.Manifest.load(artifacts).t_kernel


def test_a_command_in_a_clone_converts(clone: Path, model: Path, tmp_path: Path) -> None:
    printed = in_clone("-c", CONVERT, model, tmp_path / "artifacts", clone=clone)
    assert Path(printed.strip()).parent == clone / "svgd_onnx"
    assert t_kernel(tmp_path / "artifacts") == "fused"


def test_a_script_in_a_clone_converts(clone: Path, model: Path, tmp_path: Path) -> None:
    script = clone / "script.py"
    script.write_text(CONVERT)
    printed = in_clone(script, model, tmp_path / "artifacts", clone=clone)
    assert Path(printed.strip()).parent == clone / "svgd_onnx"
    assert t_kernel(tmp_path / "artifacts") == "fused"


def test_the_command_line_in_a_clone_converts(clone: Path, model: Path, tmp_path: Path) -> None:
    arguments = ("convert", model, "--output", tmp_path / "artifacts")
    in_clone("-m", "svgd_onnx", *arguments, clone=clone)
    assert t_kernel(tmp_path / "artifacts") == "fused"


@pytest.mark.parametrize("where", ["repository", "elsewhere"])
def test_the_installed_package_converts(where: str, model: Path, tmp_path: Path) -> None:
    cwd = ROOT if where == "repository" else tmp_path
    python("-m", "svgd_onnx", "convert", model, "--output", tmp_path / "artifacts", cwd=cwd)
    assert t_kernel(tmp_path / "artifacts") == "fused"


def test_transforms_of_a_clone_can_be_reloaded_and_sent_to_a_process(clone: Path) -> None:
    script = clone / "script.py"
    script.write_text(RELOAD)
    assert in_clone(script, clone=clone).strip() == "True"


def test_the_library_of_another_version_is_not_taken(clone: Path) -> None:
    (clone / "svgd_onnx" / "version.py").write_text('__version__ = "99.0"\n')
    has, sentence = in_clone("-c", LIBRARY, clone=clone).splitlines()
    assert has == "False"
    assert f"svgd-onnx {svgd_onnx.__version__}" in sentence and "99.0" in sentence


def test_a_clone_without_an_installed_package_has_no_library(clone: Path) -> None:
    has, sentence = python("-c", LIBRARY, cwd=clone, packages="").splitlines()
    assert has == "False"
    assert "missing" in sentence and "t_kernel='portable'" in sentence
