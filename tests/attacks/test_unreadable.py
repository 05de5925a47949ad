"""What may not be read is said to be that, and neither missing nor damaged."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import models
import onnx
import pytest
from attacks import attacked

import svgd_onnx
from svgd_onnx.targets import TARGETS

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused

# As a user who may not read: root drops its rights first.
UNPRIVILEGED = """
import os, sys
from pathlib import Path
import svgd_onnx
from svgd_onnx.conversion.model import load_model
from svgd_onnx.training import adapter_file, data, prediction
good, examples, *closed = sys.argv[1:]
batch = data.load(examples)
svgd_onnx.Trainer(good).evaluate(batch)
if os.getuid() == 0:  # nothing is imported from here on: root's Python may be root's alone
    os.setgid(65534), os.setuid(65534)
svgd_onnx.Trainer(good).evaluate(batch)
for path in closed:
    kinds = {
        ".npz": [data.load],
        ".onnx": [load_model, lambda model: prediction.open_model(Path(model), None)],
        ".beside": [load_model],
        ".safetensors": [adapter_file.read_adapter],
        "": [lambda folder: svgd_onnx.Trainer(folder).evaluate(batch)],
    }
    for read in kinds[os.path.splitext(path)[1]]:
        try:
            read(path)
        except svgd_onnx.UserError as error:
            assert "cannot be read (Permission denied)" in str(error), (path, error)
        else:
            raise AssertionError(path)
"""


@pytest.mark.parametrize("target", TARGETS)
def test_files_that_may_not_be_read_are_not_called_damaged(target: str, data: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        place = Path(name)
        place.chmod(0o755)
        good = place / "good"
        svgd_onnx.convert(models.mlp(), good, target=target, verify=False)
        closed = []
        for file in good.iterdir():
            if file.name.startswith(("svgd.json", "eval_model", "checkpoint")):
                copy = shutil.copytree(good, place / f"without-{file.stem}-{len(closed)}")
                (copy / file.name).chmod(0)
                closed.append(copy)
        closed.append(shutil.copytree(good, place / "not-looked-into"))
        closed[-1].chmod(0o644)
        for alone in ("examples.npz", "model.onnx", "adapter.safetensors"):
            shutil.copy(data, place / alone)
            (place / alone).chmod(0)
            closed.append(place / alone)
        beside = place / "model.beside"
        how = {"save_as_external_data": True, "location": "beside.weights", "size_threshold": 0}
        onnx.save(models.mlp(), beside, **how)
        (place / "beside.weights").chmod(0)
        closed.append(beside)
        command = [sys.executable, "-c", UNPRIVILEGED, good, shutil.copy(data, place), *closed]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        closed[-5].chmod(0o755)


@pytest.mark.parametrize("target", TARGETS)
def test_all_files_of_artifacts_may_be_read_by_whom_the_umask_lets(
    target: str, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "artifacts"
        svgd_onnx.convert(models.mlp(), folder, target=target, verify=False)
        trainer = svgd_onnx.Trainer(folder)
        trainer.train(models.examples(models.mlp(), 8), steps=1, batch_size=8, learning_rate=0.1)
        trainer.export(tmp_path / "trained.onnx")
    finally:
        os.umask(before)
    made = [*folder.glob("[!.]*"), tmp_path / "trained.onnx"]
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in made}
    assert set(modes.values()) == {"0o644"}, modes


@pytest.mark.parametrize("option", ["--data", "--validation", "--log", "--checkpoint"])
def test_a_path_of_no_characters_is_refused(
    option: str, refused: attacked.Refused, folder: Path, data: Path
) -> None:
    given = ["train", folder, "--data", data, *attacked.TRAIN, "--steps", 1, option, ""]
    assert f"{option} is empty: give a path" in refused(*given)
