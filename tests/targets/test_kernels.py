"""Which form of a step a session opens."""

from __future__ import annotations

import shutil
from pathlib import Path

import models
import numpy as np
import pytest
from runtimes import RUNNABLE_TARGETS
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx import cli
from svgd_onnx.conversion import convert
from svgd_onnx.targets import TARGETS, kernels

MODEL = models.convolutional()


@pytest.fixture(scope="module", params=TARGETS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels") / "artifacts"
    svgd_onnx.convert(MODEL, folder, target=request.param, verify=False)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "artifacts"))


def kernels_of(folder: Path, choice: str = "auto") -> str:
    return svgd_onnx.Trainer(folder, kernels=choice).kernels


def fast_step(folder: Path) -> Path:
    return folder / TARGETS[svgd_onnx.Trainer(folder, kernels="standard").manifest.target].fast_step


def test_the_fast_ones_are_taken_where_there_is_no_choice_against_them(folder: Path) -> None:
    assert kernels_of(folder) == kernels_of(folder, "fast") == "fast"
    assert kernels_of(folder, "standard") == "standard"


def test_another_choice_is_refused(folder: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="kernels"):
        kernels_of(folder, "faster")


def test_without_the_fast_step_all_goes_on(folder: Path) -> None:
    fast_step(folder).unlink()
    assert kernels_of(folder) == "standard"
    with pytest.raises(
        svgd_onnx.UserError, match="fast.onnx, which was made with it, is not there"
    ):
        kernels_of(folder, "fast")


def test_without_the_library_all_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if svgd_onnx.Trainer(folder, kernels="standard").manifest.needs_library:
        pytest.skip("T is of the library")
    monkeypatch.setattr(kernels, "has_custom_op_library", lambda: False)
    assert kernels_of(folder) == "standard"


def test_a_step_that_was_not_made_with_the_folder_is_refused(folder: Path) -> None:
    path = fast_step(folder)
    path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(svgd_onnx.UserError, match="not the file that was made with"):
        kernels_of(folder)


@pytest.mark.parametrize("target", TARGETS)
def test_with_the_portable_t_alone_there_are_none(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(MODEL, folder, target=target, t_kernel="portable", verify=False)
    assert kernels_of(folder) == "standard"
    with pytest.raises(svgd_onnx.UserError, match="without t_kernel='portable'"):
        kernels_of(folder, "fast")


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
@pytest.mark.parametrize(
    ("optimizer", "warning"),
    [
        ("svgd", "the step of fast kernels is left out"),
        ("adamw", "C[+][+] compiler: the step of fast kernels is left out"),
    ],
)
def test_a_conversion_without_the_library_says_what_is_slower(
    target: str,
    optimizer: str,
    warning: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convert, "has_custom_op_library", lambda: False)
    folder = tmp_path / "artifacts"
    with pytest.warns(UserWarning, match=warning):
        svgd_onnx.convert(MODEL, folder, target=target, optimizer=optimizer, verify=False)
    with pytest.raises(svgd_onnx.UserError, match="the operator library was not installed"):
        kernels_of(folder, "fast")


def test_a_model_without_work_for_fast_kernels_is_said_to_be_one(tmp_path: Path) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    folder = tmp_path / "artifacts"
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})
    svgd_onnx.convert(model, folder, loss="mse", t_kernel="fused", verify=False)
    with pytest.raises(svgd_onnx.UserError, match="the model has nothing that these are for"):
        kernels_of(folder, "fast")


def test_the_commands_say_whose_kernels_run(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **models.examples(MODEL, 8))
    options = ["--data", tmp_path / "data.npz", "--steps", 1, "--batch-size", 8]
    options += ["--learning-rate", 0.1, "--verbose"]
    said = CliRunner().invoke(cli._app, list(map(str, ["train", folder, *options]))).output
    assert "Steps run with fast kernels, on onnxruntime" in said
    said = CliRunner().invoke(cli._app, ["inspect", str(folder)]).output
    assert f"Steps run with fast kernels on the processor ({fast_step(folder).name})" in said


def test_the_loss_that_training_ends_with_is_said_to_be_of_a_batch(
    folder: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", **models.examples(MODEL, 8))
    options = ["--data", tmp_path / "data.npz", "--steps", 1, "--batch-size", 8]
    arguments = ["train", folder, *options, "--learning-rate", 0.1]
    said = CliRunner().invoke(cli._app, list(map(str, arguments))).output
    assert "Trained from step 0 to 1: loss of the last batch " in said
