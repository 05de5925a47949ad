"""What cannot be written is found before the first step, and before a conversion."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import models
import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Refused
from event_records import points

import svgd_onnx
from svgd_onnx import UserError
from svgd_onnx.files import require_room
from svgd_onnx.training.state import TrainingState

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused


@pytest.fixture
def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def stepped(*arguments: object) -> float:
        pytest.fail("a step was made")

    monkeypatch.setattr(TrainingState, "step", stepped)


@contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk that is full. Not for a whole test: what pytest
    writes may go into a file too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(tmp_path: Path) -> None:
    with small_files(4096):
        require_room(tmp_path / "file", 4096)
        with pytest.raises(UserError, match="no space left to write"):
            require_room(tmp_path / "file", 4097)
    assert not list(tmp_path.iterdir())


def test_more_than_any_disk_holds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no space left to write"):
        require_room(tmp_path / "file", 1 << 60)


def test_where_nothing_can_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*arguments: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    require_room(tmp_path / "file", 4096)
    with pytest.raises(UserError, match="no space left to write"):
        require_room(tmp_path / "file", 1 << 60)


def test_a_checkpoint_that_would_not_fit(tmp_path: Path, no_step: None) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", verify=False)
    before = {path.name for path in (tmp_path / "artifacts").iterdir()}
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    size = (tmp_path / "artifacts" / "checkpoint.safetensors").stat().st_size
    assert size > 512
    with small_files(size - 1), pytest.raises(UserError, match="no space left to write"):
        trainer.train(models.examples(model, 8), steps=9, batch_size=8, learning_rate=0.1)
    after = {path.name for path in (tmp_path / "artifacts").iterdir()}
    assert after - before <= {".svgd-lock"}


def test_a_folder_whose_checkpoint_alone_does_not_fit(tmp_path: Path) -> None:
    """The numbers do, for which there is room at first, and the models; not what stands around the numbers."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 2_000, models.CLASSES), output="logits")
    model = net.model({"x": ("batch", 2_000)}, {"logits": ("batch", models.CLASSES)})
    folder = tmp_path / "artifacts"
    numbers = 4 * 2_000 * models.CLASSES
    with small_files(numbers + 100), pytest.raises(UserError) as refused:
        svgd_onnx.convert(model, folder, target="onnx", verify=False)
    assert f"There is no space left to write '{folder}'" in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("log", ["none/log.csv", "data.npz/log.csv", "x" * 300])
def test_a_log_that_cannot_be_opened(
    refused: Refused, folder: Path, data: Path, no_step: None, log: str
) -> None:
    path = data.parent / log
    refused("train", folder, "--data", data, "--log", path, "--steps", 1, *TRAIN)


# As a user who may not write: root drops its rights first.
UNPRIVILEGED = """
import os, sys
import numpy as np
import svgd_onnx
from svgd_onnx.training import data
folder, examples, model = sys.argv[1:]
trainer, convert = svgd_onnx.Trainer(folder), svgd_onnx.convert
batch = data.load(examples)
trainer.evaluate(batch)
if os.getuid() == 0:  # nothing is imported from here on: root's Python may be root's alone
    os.setgid(65534), os.setuid(65534)
def stepped(*arguments):
    raise AssertionError("a step was made")
svgd_onnx.Trainer._step = stepped
trainer.evaluate(batch)
for write in (
    lambda: trainer.train(batch, steps=1, batch_size=8, learning_rate=0.1),
    lambda: convert(model, os.path.join(folder, "new"), target="onnx"),
    lambda: trainer.export(os.path.join(folder, "trained.onnx")),
):
    try:
        write()
    except svgd_onnx.UserError as error:
        assert "cannot be written (Permission denied)" in str(error), error
    else:
        raise AssertionError("it was written")
"""


def test_a_folder_that_may_only_be_read(folder: Path, data: Path, model: Path) -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own are closed to others
        Path(place).chmod(0o755)
        moved = shutil.copytree(folder, Path(place) / "artifacts")
        moved.chmod(0o555)
        command = [sys.executable, "-c", UNPRIVILEGED, moved, data, model]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        moved.chmod(0o755)


def test_a_log_on_a_disk_that_gets_full_loses_no_step(folder: Path) -> None:
    trainer = svgd_onnx.Trainer(folder)
    batch = models.examples(models.mlp(), 8)
    log, most = folder.parent / "log.csv", 1 << 14  # a checkpoint has less
    with small_files(most), pytest.raises(UserError, match="cannot be written to the log") as end:
        trainer.train(batch, steps=5000, batch_size=8, learning_rate=0.01, log=log)
    steps = trainer._state.progress.step
    assert 0 < steps < 5000
    assert f"The checkpoint has the {steps:,} steps so far." in str(end.value)
    resumed = svgd_onnx.Trainer(folder)
    assert resumed._state.progress.step == steps
    resumed.train(batch, steps=steps + 2, batch_size=8, learning_rate=0.01, log=log, resume=True)
    last = [int(row.split(",")[0]) for row in log.read_text().splitlines()[1:]][-3:]
    assert last == [steps - 1, steps + 1, steps + 2]


def test_events_on_such_a_disk_neither(folder: Path) -> None:
    """What is of each operation makes them larger than a log."""
    trainer = svgd_onnx.Trainer(folder)
    batch = models.examples(models.mlp(), 8)
    options: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.01}
    board = folder.parent / "board"
    with small_files(1 << 14), pytest.raises(UserError, match="Events cannot be written") as end:
        trainer.train(batch, steps=5000, tensorboard=board, **options)
    steps = svgd_onnx.Trainer(folder).step
    assert 0 < steps < 5000
    assert str(end.value).endswith(f"The checkpoint has the {steps:,} steps so far.")
    svgd_onnx.Trainer(folder).train(batch, steps=steps + 2, tensorboard=board, **options)
    found = [step for step, _ in points(board)["loss/training"]]
    assert found[:9] == list(range(1, 10)) and found[-2:] == [steps + 1, steps + 2]


def test_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(UserError, match="No folder for temporary files can be written"):
        trainer.predict(models.examples(models.mlp()))
