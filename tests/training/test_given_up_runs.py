"""A run from a kept checkpoint that ended before it saved leaves the log and the events of the run before."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import pytest
from event_records import points

import svgd_onnx
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.training.state import with_known_records
from svgd_onnx.training.training_log import TrainingLog

MODEL = models.gemm()
DATA = models.examples(MODEL, 40)
SETTINGS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1}
OTHER: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.01}


class PowerFails(svgd_onnx.Callback):
    """At a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, record: Any) -> None:
        if record.step == self._step:
            raise RuntimeError("the power failed")


@pytest.fixture(params=["ort-training", "onnx"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target=request.param, verify=False)
    return tmp_path / "artifacts"


def trainer(folder: Path, checkpoint: str = "last") -> svgd_onnx.Trainer:
    return svgd_onnx.Trainer(folder, threads=1, checkpoint=checkpoint)


def given_up(folder: Path, log: Path, board: Path | None = None) -> svgd_onnx.Trainer:
    """Begins anew, and comes no further than step 3."""
    opened = trainer(folder, "initial")
    with pytest.raises(RuntimeError, match="power"):
        opened.train(DATA, steps=9, log=log, tensorboard=board, callbacks=[PowerFails(3)], **OTHER)
    return opened


def rows(log: Path) -> list[tuple[int, float]]:
    """Steps and rates."""
    with log.open(newline="") as file:
        return [(int(row["step"]), float(row["learning_rate"])) for row in csv.DictReader(file)]


def of_run(rate: float, steps: Iterable[int]) -> list[tuple[int, float]]:
    return [(step, rate) for step in steps]


def test_training_goes_on_with_the_log_that_it_had(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    for _ in range(2):
        given_up(folder, log)
        assert rows(log) == of_run(0.01, range(1, 4))
    trainer(folder).train(DATA, steps=8, log=log, **SETTINGS)
    assert rows(log) == of_run(0.1, range(1, 9))
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "log.csv"}


def test_a_log_that_was_not_there_begins_where_training_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, **SETTINGS)
    given_up(folder, log)
    trainer(folder).train(DATA, steps=8, log=log, **SETTINGS)
    assert rows(log) == of_run(0.1, range(7, 9))


def test_what_was_in_memory_only_is_in_the_log_if_it_is_saved_later(
    folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    again = given_up(folder, log)
    with pytest.raises(RuntimeError, match="power"):
        again.train(_Failing(), steps=5, log=log, **OTHER)
    again.train(DATA, steps=5, log=log, **OTHER)
    assert rows(log) == of_run(0.01, range(1, 6))
    trainer(folder).train(DATA, steps=7, log=log, **SETTINGS)
    assert rows(log) == [*of_run(0.01, range(1, 6)), *of_run(0.1, range(6, 8))]


def test_a_run_that_saved_has_its_log_whatever_came_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process is killed between its checkpoint and the removal of what lay beside."""
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    with monkeypatch.context() as killed:
        killed.setattr(TrainingLog, "saved", lambda rows: None)
        trainer(folder, "initial").train(DATA, steps=4, log=log, **OTHER)
    assert len(list(tmp_path.glob("log.csv*"))) == 2
    trainer(folder).train(DATA, steps=5, log=log, **OTHER)
    assert rows(log) == of_run(0.01, range(1, 6))
    assert len(list(tmp_path.glob("log.csv*"))) == 1


def test_a_log_that_was_set_aside_and_not_yet_begun_anew_is_there_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both names are of one file then, and neither replaces the other."""
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    with monkeypatch.context() as killed:
        killed.setattr(csv, "DictWriter", PowerFails)
        with pytest.raises(TypeError):
            trainer(folder, "initial").train(DATA, steps=9, log=log, **OTHER)
    assert len(list(tmp_path.glob("log.csv*"))) == 2
    trainer(folder).train(DATA, steps=8, log=log, **SETTINGS)
    assert rows(log) == of_run(0.1, range(1, 9))
    assert len(list(tmp_path.glob("log.csv*"))) == 1


def test_a_file_of_a_like_name_stays(folder: Path, tmp_path: Path) -> None:
    log, copy = tmp_path / "log.csv", tmp_path / "log.csv.before-20261128"
    copy.write_text("mine")
    trainer(folder).train(DATA, steps=2, log=log, **SETTINGS)
    trainer(folder, "initial").train(DATA, steps=1, log=log, **SETTINGS)
    assert copy.read_text() == "mine"


@pytest.mark.parametrize("had_events", [True, False])
def test_so_do_its_events(had_events: bool, folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    trainer(folder).train(DATA, steps=6, tensorboard=board if had_events else None, **SETTINGS)
    for _ in range(2):
        given_up(folder, log, board)
        assert _steps(board, lambda name: "tfevents" in name) == [1, 2, 3]
    trainer(folder).train(DATA, steps=8, tensorboard=board, **SETTINGS)
    assert _steps(board) == list(range(1 if had_events else 7, 9))


def test_events_of_before_go_once_the_run_saves(folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    trainer(folder).train(DATA, steps=6, tensorboard=board, **SETTINGS)
    again = given_up(folder, log, board)
    again.train(DATA, steps=5, tensorboard=board, **OTHER)
    assert _steps(board) == [1, 2, 3, 4, 5]
    trainer(folder).train(DATA, steps=7, tensorboard=board, **SETTINGS)
    assert _steps(board) == list(range(1, 8))


def _steps(board: Path, is_read: Callable[[str], bool] = lambda name: True) -> list[int]:
    return [step for step, _ in points(board, is_read)["loss/training"]]


@pytest.mark.parametrize("checkpoint", ["initial", "step-4", "last"])
def test_rows_of_a_lost_run_do_not_come_with_one_that_had_no_log(
    checkpoint: str, folder: Path, tmp_path: Path
) -> None:
    """Of two rows of one step that which the checkpoint's own run wrote stays."""
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board}
    keep: dict[str, Any] = {"checkpoint_every": 2, "checkpoint_keep": 3}
    trainer(folder).train(DATA, steps=6, **both, **keep, **SETTINGS)
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder, checkpoint).train(
            DATA, steps=99, callbacks=[PowerFails(8)], **both, **OTHER
        )
    trainer(folder).train(DATA, steps=8, **SETTINGS)
    trainer(folder).train(DATA, steps=9, **both, **SETTINGS)
    assert rows(log) == of_run(0.1, [*range(1, 7), 9])
    assert _steps(board) == [*range(1, 7), 9]
    rates = points(board)["learning_rate"]
    assert all(rate == pytest.approx(0.1) for _, rate in rates)


def test_a_lost_run_that_was_the_first_in_a_log_leaves_nothing_in_it(
    folder: Path, tmp_path: Path
) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board}
    trainer(folder).train(DATA, steps=4, **SETTINGS)
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder).train(DATA, steps=12, callbacks=[PowerFails(7)], **both, **OTHER)
    assert [step for step, _ in rows(log)] == [5, 6, 7]
    trainer(folder).train(DATA, steps=8, **SETTINGS)
    trainer(folder).train(DATA, steps=10, **both, **SETTINGS)
    assert rows(log) == of_run(0.1, [9, 10])
    assert _steps(board) == [9, 10]
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "board", "log.csv"}


@pytest.mark.filterwarnings("error")
def test_each_of_two_logs_in_turn_has_its_part_of_the_training(
    folder: Path, tmp_path: Path
) -> None:
    """Also after a run in one of them that was lost, and runs in the other."""

    def train(name: str, steps: int, **options: Any) -> None:
        both = {"log": tmp_path / f"{name}.csv", "tensorboard": tmp_path / name}
        trainer(folder).train(DATA, steps=steps, **both, **{**SETTINGS, **options})

    for name, steps in (("a", 2), ("b", 4), ("a", 6)):
        train(name, steps)
    with pytest.raises(RuntimeError, match="power"):
        train("b", 99, learning_rate=0.01, callbacks=[PowerFails(9)])
    for name, steps in (("a", 8), ("b", 10), ("a", 11)):
        train(name, steps)
    for name, steps in (("a", [1, 2, 5, 6, 7, 8, 11]), ("b", [3, 4, 9, 10])):
        assert rows(tmp_path / f"{name}.csv") == of_run(0.1, steps)
        assert _steps(tmp_path / name) == steps


@pytest.mark.parametrize("how", ["cut", "changed"])
def test_where_it_was_cut_or_changed_what_is_left_of_the_last_part_stays(
    how: str, folder: Path, tmp_path: Path
) -> None:
    logs = {name: tmp_path / f"{name}.csv" for name in "ab"}
    for name, steps in (("a", 2), ("b", 4), ("a", 7)):
        trainer(folder).train(DATA, steps=steps, log=logs[name], **SETTINGS)
    content = logs["a"].read_bytes()
    content = content[:-3] if how == "cut" else content.replace(b"\n6,1,0.1,", b"\n6,1,0.2,")
    logs["a"].write_bytes(content)
    with pytest.warns(svgd_onnx.errors.Advice, match="is cut" if how == "cut" else "not as this"):
        trainer(folder).train(DATA, steps=9, log=logs["a"], **SETTINGS)
    kept = [1, 2, 5, 6] if how == "cut" else [1, 2, 5, 6, 7]
    assert [step for step, _ in rows(logs["a"])] == [*kept, 8, 9]


@pytest.mark.parametrize("becomes", ["gone", "elsewhere"])
def test_a_folder_of_events_that_is_gone_keeps_no_checkpoint(
    becomes: str, folder: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    opened = trainer(folder)
    with pytest.raises(RuntimeError, match="power"):
        opened.train(DATA, steps=9, tensorboard=board, callbacks=[PowerFails(3)], **SETTINGS)
    shutil.rmtree(board) if becomes == "gone" else board.rename(tmp_path / "elsewhere")
    opened.save()
    assert trainer(folder).step == 3


def test_a_log_of_another_training_is_kept_with_a_warning(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=4, log=log, **SETTINGS)
    trainer(tmp_path / "other").train(DATA, steps=6, log=log, **OTHER)
    with pytest.warns(svgd_onnx.errors.Advice, match="not as this training left it"):
        trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    assert rows(log) == [*of_run(0.01, range(1, 5)), *of_run(0.1, range(5, 7))]


def test_a_log_that_is_not_begun_is_as_it_was(folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    log.write_text("mine")
    board.write_text("no folder")
    with pytest.raises(svgd_onnx.UserError, match="board"):
        trainer(folder).train(DATA, steps=4, log=log, tensorboard=board, **SETTINGS)
    assert log.read_text() == "mine"
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder).train(_Failing(), steps=4, log=log, **SETTINGS)
    assert log.read_text() == "mine"
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder).train(_Failing(), steps=4, log=tmp_path / "new.csv", **SETTINGS)
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "board", "log.csv"}


def test_a_log_may_lie_beside_the_events(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    log = board / "log.csv"
    board.mkdir()
    trainer(folder).train(DATA, steps=6, log=log, tensorboard=board, **SETTINGS)
    given_up(folder, log, board)
    trainer(folder).train(DATA, steps=8, log=log, tensorboard=board, **SETTINGS)
    assert rows(log) == of_run(0.1, range(1, 9))
    assert _steps(board, lambda name: "tfevents" in name) == list(range(1, 9))


def test_a_lost_run_of_other_scores_alone_is_another(folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board, **SETTINGS}
    trainer(folder).train(DATA, validation=DATA, steps=6, **both)
    before, events = log.read_bytes(), points(board)
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder, "initial").train(DATA, steps=9, callbacks=[PowerFails(8)], **both)
    trainer(folder).train(DATA, validation=DATA, steps=6, **both)
    assert log.read_bytes() == before and points(board) == events


def test_columns_of_a_lost_run_go_with_it(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    before = log.read_bytes()
    with pytest.raises(RuntimeError, match="power"):
        trainer(folder, "initial").train(
            DATA,
            steps=9,
            validation=DATA,
            metrics=["f1"],
            log=log,
            callbacks=[PowerFails(6)],
            **OTHER,
        )
    assert b"validation_f1" in log.read_bytes()
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    assert log.read_bytes() == before


def test_nothing_to_do_from_a_kept_checkpoint_changes_nothing(folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board, **SETTINGS}
    keep: dict[str, Any] = {"checkpoint_every": 2, "checkpoint_keep": 3}
    trainer(folder).train(DATA, steps=6, **keep, **both)
    before = {path.name: path.read_bytes() for path in (log, *board.iterdir())}
    trainer(folder, "step-4").train(DATA, steps=4, **both)
    assert {path.name: path.read_bytes() for path in (log, *board.iterdir())} == before


def test_what_is_of_operations_stays_where_few_steps_are_logged(
    folder: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    for steps in (6, 8):
        trainer(folder).train(DATA, steps=steps, tensorboard=board, log_every=4, **SETTINGS)
    found = points(board)
    assert [step for step, _ in found["loss/training"]] == [4, 8]
    assert [step for step, _ in found["r_below_epsilon/fc1.weight"]] == [6, 8]


def test_a_run_without_a_log_before_it_makes_no_difference(folder: Path, tmp_path: Path) -> None:
    """In one process, where neither was saved."""
    log = tmp_path / "log.csv"
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    before = log.read_bytes()
    opened = trainer(folder, "initial")
    for given in (None, log):
        with pytest.raises(RuntimeError, match="power"):
            step = 3 if given is None else 5
            opened.train(DATA, steps=9, log=given, callbacks=[PowerFails(step)], **OTHER)
    trainer(folder).train(DATA, steps=6, log=log, **SETTINGS)
    assert log.read_bytes() == before


def test_steps_of_ones_own_before_it_neither(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    shutil.copytree(folder, tmp_path / "other")
    trainer(tmp_path / "other").train(DATA, steps=6, log=log, **SETTINGS)
    before = log.read_bytes()
    opened = trainer(folder)
    opened.train_step({name: array[:8] for name, array in DATA.items()}, learning_rate=0.1)
    with pytest.raises(RuntimeError, match="power"):
        opened.train(DATA, steps=9, log=log, callbacks=[PowerFails(3)], **OTHER)
    assert rows(log) == of_run(0.01, [2, 3])
    assert (tmp_path / "log.csv.svgd-before").read_bytes() == before


class Saves(svgd_onnx.Callback):
    """At a step, as a program may at any time."""

    def __init__(self, opened: svgd_onnx.Trainer, step: int) -> None:
        self._opened, self._step = opened, step

    def on_step(self, record: Any) -> None:
        if record.step == self._step:
            self._opened.save()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ends", [3, 5])
def test_a_program_may_save_while_training_goes_on(ends: int, folder: Path, tmp_path: Path) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board, **SETTINGS}
    opened = trainer(folder)
    if ends == 3:
        opened.train(DATA, steps=3, callbacks=[Saves(opened, 3)], **both)
        assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "board", "log.csv"}
    else:
        with pytest.raises(RuntimeError, match="power"):
            opened.train(DATA, steps=9, callbacks=[Saves(opened, 3), PowerFails(5)], **both)
    trainer(folder).train(DATA, steps=7, **both)
    assert rows(log) == of_run(0.1, range(1, 8)) and _steps(board) == list(range(1, 8))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("checkpoint", ["last", "step-2"])
def test_one_trainer_goes_on_after_errors_in_two_logs_in_turn(
    checkpoint: str, folder: Path, tmp_path: Path
) -> None:
    if checkpoint != "last":
        keep: dict[str, Any] = {"checkpoint_every": 1, "checkpoint_keep": 4}
        both = {"log": tmp_path / "l.csv", "tensorboard": tmp_path / "l"}
        trainer(folder).train(DATA, steps=4, **both, **keep, **OTHER)
    opened = trainer(folder, checkpoint)
    begin = opened.step
    for name, stop in (("l", begin + 2), ("m", begin + 4), ("l", None)):
        both = {"log": tmp_path / f"{name}.csv", "tensorboard": tmp_path / name}
        if stop is None:
            opened.train(DATA, steps=begin + 6, **both, **SETTINGS)
            continue
        with pytest.raises(RuntimeError, match="power"):
            opened.train(DATA, steps=99, callbacks=[PowerFails(stop)], **both, **SETTINGS)
    before = of_run(0.01, range(1, begin + 1))
    first, last = range(begin + 1, begin + 3), range(begin + 5, begin + 7)
    assert rows(tmp_path / "l.csv") == [*before, *of_run(0.1, [*first, *last])]
    assert rows(tmp_path / "m.csv") == of_run(0.1, range(begin + 3, begin + 5))
    assert _steps(tmp_path / "l") == [step for step, _ in rows(tmp_path / "l.csv")]
    assert _steps(tmp_path / "m") == [step for step, _ in rows(tmp_path / "m.csv")]
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "l", "m", "l.csv", "m.csv"}


@pytest.mark.filterwarnings("error")
def test_rows_of_a_training_that_was_given_up_without_a_log_go(
    folder: Path, tmp_path: Path
) -> None:
    log, board = tmp_path / "log.csv", tmp_path / "board"
    both: dict[str, Any] = {"log": log, "tensorboard": board}
    trainer(folder).train(DATA, steps=2, **both, **OTHER)
    trainer(folder, "initial").train(DATA, steps=4, **SETTINGS)
    trainer(folder).train(DATA, steps=6, **both, **SETTINGS)
    assert rows(log) == of_run(0.1, [5, 6]) and _steps(board) == [5, 6]


@pytest.mark.filterwarnings("error")
def test_event_files_follow_their_steps_whatever_the_clock_says(
    folder: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    trainer(folder).train(DATA, steps=3, tensorboard=board, **SETTINGS)
    (file,) = board.iterdir()
    time = file.name.split(".")[3]
    file.rename(board / file.name.replace(time, str(int(time) + 5000)))
    for steps in (5, 7):
        trainer(folder).train(DATA, steps=steps, tensorboard=board, **SETTINGS)
    found = sorted(step for step, _ in points(board)["loss/training"])
    assert found == list(range(1, 8))


def test_a_record_that_a_program_kept_while_it_trained_on_is_none() -> None:
    record = f"1:5:{'ab' * 8}:{'cd' * 8}"
    known = TrainingProgress(step=5, rows_record=record, events_record="", recorded=5)
    assert with_known_records(known) == known
    for text in ("ab" * 8, record.replace("5", "-5"), record.replace("5", "0"), "1:5", "1:5:x:y"):
        assert with_known_records(replace(known, rows_record=text)).rows_record is None
    stale = with_known_records(replace(known, step=6))
    assert (stale.rows_record, stale.events_record) == (None, None)


class _Failing:
    """Examples of which none can be read."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, number: int) -> dict[str, Any]:
        raise RuntimeError("the power failed")
