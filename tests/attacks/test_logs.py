"""A log that was damaged is repaired or refused when training resumes, and never has a number that was cut."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import models
import pytest

import svgd_onnx
from svgd_onnx.training.beginning import Beginning
from svgd_onnx.training.training_log import TrainingLog

MODEL = models.gemm()
DATA = models.examples(MODEL, 40)
STEPS = 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with artifacts that were trained for some steps, and their log."""
    folder = tmp_path_factory.mktemp("logs")
    svgd_onnx.convert(MODEL, folder / "artifacts", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(folder / "artifacts", threads=1)
    trainer.train(DATA, steps=STEPS, batch_size=8, learning_rate=0.1, log=folder / "log.csv")
    return folder


def resume(trained: Path, folder: Path, content: bytes) -> list[list[str]]:
    """The rows of the log after two more steps, where this was in it before."""
    shutil.copytree(trained / "artifacts", folder / "artifacts")
    log = folder / "log.csv"
    log.write_bytes(content)
    trainer = svgd_onnx.Trainer(folder / "artifacts", threads=1)
    options = {"steps": STEPS + 2, "batch_size": 8, "learning_rate": 0.1, "resume": True}
    trainer.train(DATA, log=log, **options)
    with log.open(newline="") as file:
        return list(csv.reader(file))[1:]


class At(svgd_onnx.Callback):
    """Does something after a step."""

    def __init__(self, step: int, does: Callable[[], object]) -> None:
        self._step, self._does = step, does

    def on_step(self, record: Any) -> None:
        if record.step == self._step:
            self._does()


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    options: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1, "log": log}
    for name in ("one", "other"):
        svgd_onnx.convert(MODEL, tmp_path / name, target="onnx", verify=False)

    def train(name: str, steps: int, *callbacks: svgd_onnx.Callback) -> None:
        trainer = svgd_onnx.Trainer(tmp_path / name, threads=1)
        trainer.train(DATA, steps=steps, callbacks=callbacks, **options)

    def intrude() -> None:
        with pytest.raises(svgd_onnx.UserError, match="Another training writes to the log"):
            train("other", 2)

    train("one", 6, At(4, intrude))
    assert [row.split(",")[0] for row in log.read_text().splitlines()[1:]] == list("123456")


@pytest.mark.parametrize("there", [True, False])
def test_of_two_that_begin_at_once_one_is_refused(there: bool, tmp_path: Path) -> None:
    for number in range(20):
        log = tmp_path / f"{number}.csv"
        if there:
            with TrainingLog(log, Beginning()) as rows:
                rows.write(1, 0, 0.1, 2.0, {})
        begin, end = threading.Barrier(2), threading.Barrier(2)

        def enter(log: Path, begin: threading.Barrier, end: threading.Barrier) -> bool:
            begin.wait()
            try:
                with TrainingLog(log, Beginning()):
                    end.wait()
            except svgd_onnx.UserError:
                end.wait()
                return False
            return True

        with ThreadPoolExecutor(2) as both:
            done = [both.submit(enter, log, begin, end) for _ in range(2)]
        assert sorted(each.result() for each in done) == [False, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process has children that share its files")
def test_a_child_that_lives_on_keeps_no_log(tmp_path: Path) -> None:
    log, children = tmp_path / "log.csv", list[int]()

    def fork() -> None:
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        children.append(child)

    try:
        with TrainingLog(log, Beginning()) as rows:
            rows.write(1, 0, 0.1, 2.0, {})
            fork()
        with TrainingLog(log, Beginning()) as rows:
            rows.write(1, 0, 0.1, 2.0, {})
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.parametrize("becomes", ["gone", "another"])
def test_a_log_that_is_taken_away_meanwhile_is_told_of(becomes: str, tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "a", target="onnx", verify=False)
    log = tmp_path / "log.csv"

    def take() -> None:
        log.unlink()
        if becomes == "another":
            log.write_text("mine")

    with pytest.warns(svgd_onnx.errors.Advice, match="was moved, removed or replaced") as warned:
        svgd_onnx.Trainer(tmp_path / "a", threads=1).train(
            DATA,
            steps=9,
            batch_size=8,
            learning_rate=0.1,
            log=log,
            checkpoint_every=3,
            callbacks=[At(2, take)],
        )
    assert len(warned) == 1
    assert not log.exists() if becomes == "gone" else log.read_text() == "mine"


def test_a_log_may_have_the_longest_name(tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "a", target="onnx", verify=False)
    log = tmp_path / ("l" * 251 + ".csv")
    for steps in (3, 5):
        svgd_onnx.Trainer(tmp_path / "a", threads=1).train(
            DATA, steps=steps, batch_size=8, learning_rate=0.1, log=log
        )
    assert len(log.read_text().splitlines()) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"a", log.name}


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_row_without_its_line_end_is_left_out_with_a_warning(
    cut: int, trained: Path, tmp_path: Path
) -> None:
    """However little is missing: 0.12 of 0.1234 is a number too."""
    whole = (trained / "log.csv").read_bytes()
    with pytest.warns(UserWarning, match="last row of the log .* is cut"):
        rows = resume(trained, tmp_path, whole[:-cut])
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5, 7, 8]


def test_rows_of_steps_that_were_lost_go_whatever_they_hold(trained: Path, tmp_path: Path) -> None:
    whole = (trained / "log.csv").read_bytes()
    rows = resume(trained, tmp_path, whole + b"7,1,0.1,0.5,,\r\n8,1,0.1,\xff\x00,,\r\n9,1,0.")
    assert [int(row[0]) for row in rows] == list(range(1, STEPS + 3))


@pytest.mark.parametrize("content", [b"", b"step,epoch,lear"])
def test_a_log_that_was_not_begun_begins(content: bytes, trained: Path, tmp_path: Path) -> None:
    assert [int(row[0]) for row in resume(trained, tmp_path, content)] == [7, 8]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n3,", b"\r\n,"),
        (b"\r\n3,", b"\r\nthree,"),
        (b"\r\n3,", b"\r\n2,"),
        (b"\r\n3,", b"\r\n-3,"),
        (b"\r\n3,", b"\r\n3,3,"),
        (b"\r\n3,", b"\r\n3\x00,"),
        (b"\r\n3,", b"\r\n\r\n3,"),
        (b"\r\n3,", b'\r\n"3,'),
        (b"\r\n3,0,0.1,", b"\r\n3,0,0.1,\xff"),
    ],
)
def test_rows_that_are_none_are_refused(
    old: bytes, new: bytes, trained: Path, tmp_path: Path
) -> None:
    whole = (trained / "log.csv").read_bytes()
    assert old in whole
    damaged = whole.replace(old, new, 1)
    with pytest.raises(svgd_onnx.UserError, match=r"log\.csv' is damaged at line"):
        resume(trained, tmp_path, damaged)
    assert (tmp_path / "log.csv").read_bytes() == damaged


def test_another_file_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="not a log"):
        resume(trained, tmp_path, b"a,b\r\n1,2\r\n")


@pytest.mark.parametrize("row", ["1e308,0,0.1,1", "1,0,0.1,-1e308"])
def test_numbers_beyond_all_that_can_be_drawn_are_damage(row: str, tmp_path: Path) -> None:
    columns = "step,epoch,learning_rate,loss,validation_loss,validation_accuracy"
    (tmp_path / "log.csv").write_text(f"{columns}\n1,0,0.1,1,,\n{row},,\n")
    with pytest.raises(svgd_onnx.UserError, match="damaged at line 3"):
        svgd_onnx.plot([tmp_path / "log.csv"])


def test_means_over_more_rows_than_any_log_has(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    columns = "step,epoch,learning_rate,loss,validation_loss,validation_accuracy"
    (tmp_path / "log.csv").write_text(f"{columns}\n1,0,0.1,1,,\n2,0,0.1,2,,\n")
    assert svgd_onnx.plot([tmp_path / "log.csv"], smooth=10**30).is_file()
