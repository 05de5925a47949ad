"""SIGINT and SIGTERM: one sentence, 130 and 143, nothing temporary left, whole checkpoints."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import models
import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Start

import svgd_onnx
from svgd_onnx.files import whole

model, folder, data, start = attacked.model, attacked.folder, attacked.data, attacked.start

SIGNALS = [signal.SIGINT, signal.SIGTERM]
LONG = 300.0  # seconds, on a busy machine


def until(what: Callable[[], bool]) -> None:
    """Waits for something to come true."""
    deadline = time.monotonic() + LONG
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ended(process: subprocess.Popen[str], number: int) -> str:
    """The one sentence with which a signal ended a process."""
    _, error = process.communicate(timeout=LONG)
    assert process.returncode == 128 + number, error
    assert error.startswith("svgd-onnx: interrupted") and error.count("\n") == 1, error
    return error


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name != ".svgd-lock"]


def listens(process: subprocess.Popen[str]) -> bool:
    """Whether a process has come as far as its first line: until then it is Python that starts."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_starts(start: Start, folder: Path, data: Path, number: int) -> None:
    process = start("train", folder, "--data", data, "--steps", 10**6, *TRAIN)
    until(lambda: listens(process))
    time.sleep(random.Random(number).random() / 5)  # imports take longer
    process.send_signal(number)
    ended(process, number)
    assert not leftovers(folder.parent)


def test_while_it_converts(start: Start, model: Path, tmp_path: Path) -> None:
    number = signal.SIGTERM
    process = start("convert", model, "--output", tmp_path / "out", "--target", "onnx")
    until(lambda: bool(leftovers(tmp_path)))
    process.send_signal(number)
    assert "files are whole" in ended(process, number)
    assert not leftovers(tmp_path)
    assert not (tmp_path / "out").exists()


def test_while_it_trains(start: Start, folder: Path, data: Path) -> None:
    number = signal.SIGINT
    log = folder.parent / "log.csv"
    every = ("--checkpoint-every", 20, "--log", log, "--steps", 10**6)
    process = start("train", folder, "--data", data, *every, *TRAIN)
    until(lambda: log.exists() and log.read_text().count("\n") > 50)
    process.send_signal(number)
    error = ended(process, number)
    saved = svgd_onnx.Trainer(folder).step
    assert saved >= 20 and saved % 20 == 0
    assert f"the checkpoint is of step {saved}: train again to go on from there" in error
    assert not leftovers(folder.parent)


def test_a_checkpoint_where_it_stopped(start: Start, folder: Path, data: Path) -> None:
    number = signal.SIGTERM
    log = folder.parent / "log.csv"
    options = ("--checkpoint-on-stop", "--log", log, "--steps", 10**6)
    process = start("train", folder, "--data", data, *options, *TRAIN)
    until(lambda: log.exists() and log.read_text().count("\n") > 5)
    process.send_signal(number)
    error = ended(process, number)
    step = svgd_onnx.Trainer(folder).step
    assert step and f"at step {step}; the checkpoint is of step {step}: " in error
    assert log.read_text().splitlines()[-1].startswith(f"{step},")
    assert not leftovers(folder.parent)


# The main thread is in native code, which lets other threads run, and does not come back soon.
NATIVE = """
import ctypes, signal
from svgd_onnx import signals
signals.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # else it would wake up the sleep
print("listens", flush=True)
ctypes.CDLL(None).sleep(600)
"""


def test_in_native_code() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NATIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "listens\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended(process, signal.SIGTERM)
        assert time.monotonic() - began < LONG / 2


def test_what_a_shell_ignores_is_ignored() -> None:
    program = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from svgd_onnx import signals; signals.listen();"
        "os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "goes on\n"


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_the_step_of_the_checkpoint_is_known_while_it_is_replaced(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal may come before or after the new one has its place, and says of which step it is."""
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.train_step(models.examples(models.mlp()), 0.1)
    told: list[int] = []
    for name in ("_flush", "_flush_folder"):
        flush = getattr(whole, name)
        monkeypatch.setattr(
            whole, name, lambda path, flush=flush: (told.append(trainer.saved_step), flush(path))
        )
    trainer.save()
    assert told[0] == 0 and told[-1] == 1 == trainer.saved_step
