"""One writer a folder: the second is told who the first is, readers are not in the way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Refused

import svgd_onnx
from svgd_onnx import UserError
from svgd_onnx.files import FolderLock

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused

# Holds a folder until its standard input ends.
HOLDER = """
import pathlib, sys
from svgd_onnx.files import FolderLock
with FolderLock(pathlib.Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes into the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    return models.examples(models.mlp(), 8)


def test_the_second_is_told_who_the_first_is(
    refused: Refused, folder: Path, data: Path, model: Path, holder: subprocess.Popen[str]
) -> None:
    before = (folder / "checkpoint.safetensors").read_bytes()
    for command in (
        ("train", folder, "--data", data, "--steps", 1, *TRAIN),
        ("convert", model, "--output", folder, "--force"),
    ):
        error = refused(*command)
        assert f"process {holder.pid} on {socket.gethostname()}, training since 2" in error
    assert (folder / "checkpoint.safetensors").read_bytes() == before


def test_readers_take_the_last_whole_checkpoint(
    folder: Path, batch: dict[str, np.ndarray], holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.evaluate(batch)
    trainer.export(tmp_path / "trained.onnx")
    with pytest.raises(UserError, match=f"process {holder.pid} "):
        trainer.train_step(batch, 0.1)


def test_a_killed_process_holds_nothing(
    folder: Path, batch: dict[str, np.ndarray], holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    trainer = svgd_onnx.Trainer(folder)
    trainer.train(batch, steps=1, batch_size=8, learning_rate=0.1)


def is_free(folder: Path) -> bool:
    """Whether another process can hold the folder."""
    tried = subprocess.run(
        [sys.executable, "-c", HOLDER, str(folder)], input="", capture_output=True, text=True
    )
    return tried.returncode == 0


def test_a_trainer_holds_the_folder_from_a_step_to_a_save(
    folder: Path, batch: dict[str, np.ndarray]
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    assert is_free(folder)
    trainer.train_step(batch, 0.1)
    assert not is_free(folder)
    trainer.save()
    assert is_free(folder)
    trainer.train_step(batch, 0.1)
    del trainer
    assert is_free(folder)


def test_train_lets_go_of_the_folder(folder: Path, batch: dict[str, np.ndarray]) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.train(batch, steps=1, batch_size=8, learning_rate=0.1)
    assert is_free(folder)
    assert not (folder / ".svgd-holder.json").exists()


def test_of_two_trainers_of_one_process_the_second_does_not_overwrite_the_first(
    folder: Path, batch: dict[str, np.ndarray], tmp_path: Path
) -> None:
    first, second = svgd_onnx.Trainer(folder), svgd_onnx.Trainer(folder)
    first.train_step(batch, 0.1)
    second.train_step(batch, 0.1)
    first.save()
    saved = (folder / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match="was replaced since"):
        second.save()
    assert (folder / "checkpoint.safetensors").read_bytes() == saved
    second.export(tmp_path / "trained.onnx")


def test_a_checkpoint_that_is_gone_is_not_said_to_be_replaced(
    folder: Path, batch: dict[str, np.ndarray], tmp_path: Path
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.train_step(batch, 0.1)
    (folder / "checkpoint.safetensors").rename(tmp_path / "away")
    with pytest.raises(UserError, match="no longer there: put the folder back"):
        trainer.save()
    (tmp_path / "away").rename(folder / "checkpoint.safetensors")
    trainer.save()
    assert svgd_onnx.Trainer(folder).step == 1


def test_a_trainer_does_not_write_into_a_folder_that_was_converted_anew(
    model: Path, folder: Path, batch: dict[str, np.ndarray]
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.train_step(batch, 0.1)
    svgd_onnx.convert(model, folder, target="onnx", verify=False, force=True)
    with pytest.raises(UserError, match="was replaced since"):
        trainer.save()
    assert not [name for name in os.listdir(folder.parent) if name.endswith(".svgd-tmp")]


def test_a_folder_that_is_gone_is_let_go_in_silence(folder: Path) -> None:
    lock = FolderLock(folder, "training")
    lock.take()
    shutil.rmtree(folder)
    lock.release()
    folder.mkdir()
    lock.take()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("ending", ["let go", "save"])
def test_a_child_does_not_hold_what_its_parent_does(
    folder: Path, batch: dict[str, np.ndarray], ending: str
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.train_step(batch, 0.1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if ending == "let go":
                trainer._state.claim._lock.release()
                code = 0
            else:
                trainer.save()
        except UserError as error:
            code = 0 if f"in use by process {os.getppid()}" in str(error) else 1
        finally:
            os._exit(code)  # nothing of pytest's is to run twice
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not is_free(folder) and (folder / ".svgd-holder.json").exists()
    trainer.save()
    assert svgd_onnx.Trainer(folder).step == 1
