"""Event files for TensorBoard, read back by an independent reader."""

from __future__ import annotations

import csv
import errno
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import Answer, Run
from event_records import Points, points

import svgd_onnx

MODEL = models.residual()
DATA = models.examples(MODEL, 32)
SETTINGS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1, "schedule": "cosine"}
LAYERS = {"stem.weight", "conv1.weight", "conv2.weight", "fc.weight"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target="onnx", verify=False)
    return tmp_path / "artifacts"


def train(folder: Path, board: Path, **options: Any) -> svgd_onnx.Trainer:
    trainer = svgd_onnx.Trainer(folder, threads=1)
    trainer.fit(DATA, DATA, tensorboard=board, **{**SETTINGS, **options})
    return trainer


def steps(found: Points, tag: str) -> list[int]:
    return [step for step, _ in found[tag]]


class Watch(svgd_onnx.Callback):
    """Notes T's factors by the formula, in float64, after some steps; and stops hard at one."""

    def __init__(self, trainer: svgd_onnx.Trainer, stop: int | None = None) -> None:
        self.trainer, self.stop = trainer, stop
        self.factors: dict[int, dict[str, np.ndarray]] = {}
        self.below: dict[int, dict[str, float]] = {}

    def on_step(self, record: Any) -> None:
        rs = {
            each.parameter: self.trainer.tensor(each.state).astype(np.float64)
            for each in self.trainer.manifest.operations
            if each.state is not None
        }
        self.factors[record.step] = {name: 0.01 / np.sqrt(r + 1e-6) for name, r in rs.items()}
        self.below[record.step] = {name: float(np.mean(r < 1e-6)) for name, r in rs.items()}
        if record.step == self.stop:
            raise RuntimeError("the power failed")


def test_losses_metrics_and_rates_are_those_of_the_log(folder: Path, tmp_path: Path) -> None:
    train(folder, tmp_path / "board", epochs=3, log=tmp_path / "log.csv", metrics=["f1"])
    found = points(tmp_path / "board")
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for tag, column in {
        "loss/training": "loss",
        "learning_rate": "learning_rate",
        "loss/validation": "validation_loss",
        "accuracy/validation": "validation_accuracy",
        "f1/validation": "validation_f1",
    }.items():
        logged = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        assert steps(found, tag) == [step for step, _ in logged]
        values = [value for _, value in found[tag]]
        assert values == pytest.approx([value for _, value in logged], rel=1e-6), tag


def test_factors_are_those_of_the_formula_in_float64(folder: Path, tmp_path: Path) -> None:
    trainer = svgd_onnx.Trainer(folder, threads=1)
    watch = Watch(trainer)
    board = tmp_path / "board"
    trainer.fit(DATA, DATA, tensorboard=board, epochs=2, callbacks=[watch], **SETTINGS)
    found = points(board)
    assert {tag.partition("/")[2] for tag in found if tag.startswith("t_factor_mean/")} == LAYERS
    for layer in LAYERS:
        for kind, of in {"lowest": np.min, "mean": np.mean, "highest": np.max}.items():
            expected = [(step, of(watch.factors[step][layer])) for step in (4, 8)]
            for (step, value), (wanted_step, wanted) in zip(
                found[f"t_factor_{kind}/{layer}"], expected, strict=True
            ):
                assert step == wanted_step and value == pytest.approx(wanted, rel=1e-6)
        below = found[f"r_below_epsilon/{layer}"]
        assert below == [(s, pytest.approx(watch.below[s][layer], rel=1e-6)) for s in (4, 8)]


def test_every_operation_is_looked_at_each_50_steps(folder: Path, tmp_path: Path) -> None:
    trainer = svgd_onnx.Trainer(folder, threads=1)
    trainer.train(DATA, steps=130, tensorboard=tmp_path / "board", log_every=20, **SETTINGS)
    found = points(tmp_path / "board")
    assert steps(found, "loss/training") == [20, 40, 60, 80, 100, 120]
    assert steps(found, "t_factor_mean/fc.weight") == [60, 120, 130]


def test_a_resumed_run_has_the_points_of_one_that_was_not_interrupted(tmp_path: Path) -> None:
    found = []
    for name in ("whole", "parts"):
        folder, board = tmp_path / name, tmp_path / f"board-{name}"
        svgd_onnx.convert(MODEL, folder, target="onnx", verify=False)
        options: dict[str, Any] = {"epochs": 4, "checkpoint_every": 5}
        if name == "parts":
            trainer = svgd_onnx.Trainer(folder, threads=1)
            watch = Watch(trainer, stop=8)
            with pytest.raises(RuntimeError, match="power"):
                trainer.fit(DATA, DATA, tensorboard=board, callbacks=[watch], **options, **SETTINGS)
            assert steps(points(board), "loss/training")[-1] == 8
        train(folder, board, **options)
        found.append(points(board))
    whole, parts = found
    assert whole == parts and steps(whole, "loss/training") == list(range(1, 17))


def test_begun_anew_nothing_is_left_of_before(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    train(folder, board, steps=9)
    anew = svgd_onnx.Trainer(folder, threads=1, checkpoint="initial")
    anew.train(DATA, steps=2, tensorboard=board, **SETTINGS)
    assert steps(points(board), "loss/training") == [1, 2]


def test_where_nothing_is_left_to_do_nothing_changes(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    train(folder, board, steps=3)
    before = {file.name: file.read_bytes() for file in board.iterdir()}
    train(folder, board, steps=3)
    assert {file.name: file.read_bytes() for file in board.iterdir()} == before


def test_an_event_that_is_cut_goes(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    train(folder, board, steps=3)
    (file,) = board.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    train(folder, board, steps=5)
    assert steps(points(board), "loss/training") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("at", ["length", "content"])
def test_a_damaged_event_is_refused_and_nothing_goes(at: str, folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    train(folder, board, steps=3)
    (file,) = board.iterdir()
    content = bytearray(file.read_bytes())
    content[0 if at == "length" else 14] ^= 1
    file.write_bytes(content)
    with pytest.raises(svgd_onnx.UserError, match="is damaged: delete it"):
        train(folder, board, steps=5)
    assert file.read_bytes() == bytes(content)


@pytest.mark.parametrize("mark", ["tfevents", "svgd-before"])
def test_what_a_killed_process_left_is_no_event_file_and_goes(
    mark: str, folder: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    train(folder, board, steps=3)
    (file,) = board.iterdir()
    name = file.name.replace("tfevents", mark)
    (board / f".{name}.0123abcd.svgd-tmp").mkdir()
    train(folder, board, steps=5)
    assert steps(points(board), "loss/training") == [1, 2, 3, 4, 5]


def test_groups_have_rates_of_their_own(tmp_path: Path) -> None:
    rates = {"conv*": 0.5, "fc.*": 2.0}
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target="onnx", verify=False, rate=rates)
    train(tmp_path / "artifacts", tmp_path / "board", steps=2)
    found = points(tmp_path / "board")
    alpha = np.array([value for _, value in found["learning_rate"]])
    for glob, factor in rates.items():
        values = [value for _, value in found[f"learning_rate/{glob}"]]
        assert values == pytest.approx(factor * alpha, rel=1e-6)


def test_without_t_there_is_nothing_of_it(tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", verify=False, optimizer="adamw")
    train(tmp_path / "artifacts", tmp_path / "board", steps=2)
    found = points(tmp_path / "board")
    assert "loss/training" in found and not [tag for tag in found if "factor" in tag]


class TestRefused:
    def test_events_of_something_else(self, folder: Path, tmp_path: Path) -> None:
        board = tmp_path / "board"
        train(folder, board, steps=2)
        other = tmp_path / "other"
        svgd_onnx.convert(MODEL, other, target="onnx", verify=False)
        before = points(board)
        with pytest.raises(svgd_onnx.UserError, match="events of something else"):
            train(other, board, steps=2)
        assert points(board) == before and svgd_onnx.Trainer(other).step == 0

    def test_a_damaged_file(self, folder: Path, tmp_path: Path) -> None:
        board = tmp_path / "board"
        train(folder, board, steps=2)
        (file,) = board.iterdir()
        content = bytearray(file.read_bytes())
        content[12:20] = b"\xff" * 8
        file.write_bytes(content)
        with pytest.raises(svgd_onnx.UserError, match="is damaged: delete it"):
            train(folder, board, steps=4)

    def test_a_folder_of_artifacts(self, folder: Path) -> None:
        with pytest.raises(svgd_onnx.UserError, match="for artifacts alone"):
            train(folder, folder / "board", steps=2)
        assert not (folder / "board").exists()

    def test_a_file(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "board").write_text("mine")
        with pytest.raises(svgd_onnx.UserError, match="is no folder"):
            train(folder, tmp_path / "board", steps=2)
        assert (tmp_path / "board").read_text() == "mine"

    def test_a_link_to_nowhere(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "board").symlink_to(tmp_path / "nowhere")
        with pytest.raises(svgd_onnx.UserError, match="is no folder"):
            train(folder, tmp_path / "board", steps=2)

    def test_a_disk_that_is_full(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Training ends with a sentence, and the last checkpoint stays."""

        def write(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        train(folder, tmp_path / "board", steps=2)
        monkeypatch.setattr("tensorboardX.RecordWriter.write", write)
        with pytest.raises(svgd_onnx.UserError, match="Events cannot be written"):
            train(folder, tmp_path / "board", steps=4)
        assert svgd_onnx.Trainer(folder).step == 2

    def test_a_program_that_saves_then_has_its_checkpoint(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer = svgd_onnx.Trainer(folder, threads=1)

        def flush(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        class Saves(svgd_onnx.Callback):
            def on_step(self, record: Any) -> None:
                if record.step == 4:
                    monkeypatch.setattr("tensorboardX.RecordWriter.flush", flush)
                    trainer.save()

        with pytest.raises(svgd_onnx.UserError, match="The checkpoint has the 4 steps so far"):
            trainer.train(
                DATA, steps=9, tensorboard=tmp_path / "board", callbacks=[Saves()], **SETTINGS
            )
        assert svgd_onnx.Trainer(folder).step == 4

    def test_without_the_package_that_writes_it(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [*sys.modules]:
            if name.partition(".")[0] == "tensorboardX":
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "tensorboardX", None)
        with pytest.raises(svgd_onnx.UserError, match=r"pip install 'svgd-onnx\[tensorboard\]'"):
            train(folder, tmp_path / "board", steps=2)


def test_the_command_line(folder: Path, tmp_path: Path, run: Run, answer: Answer) -> None:
    np.savez(tmp_path / "data.npz", **DATA)
    fixed = ("--steps", 3, "--batch-size", 8, "--learning-rate", 0.1)
    board = tmp_path / "runs" / "one"
    given = ("train", folder, "--data", tmp_path / "data.npz", *fixed)
    assert run(*given, "--tensorboard", board, "--json").facts["tensorboard"] == str(board)
    assert steps(points(board), "loss/training") == [1, 2, 3]
    recorded = (folder / "run.toml").read_text()
    assert f'tensorboard = "{board}"' in recorded
    columns = tmp_path / "columns"
    columns.mkdir()
    for name, array in DATA.items():
        np.save(columns / f"{name}.npy", array)
    inside = ("train", folder, "--data", columns, *fixed, "--tensorboard", columns / "board")
    assert "which is read" in answer(*inside)


@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
def test_norms_of_gradients_by_a_step_that_gives_them(optimizer: str, tmp_path: Path) -> None:
    folder, board = tmp_path / "artifacts", tmp_path / "board"
    options = {"target": "onnx", "verify": False, "optimizer": optimizer}
    svgd_onnx.convert(MODEL, folder, gradient_norms=True, **options)
    trainer = train(folder, board, steps=2)
    norms = trainer.gradient_norms()
    found = points(board)
    tags = ["norm_of_gradient", "norm_of_virtual_gradient"]
    if optimizer != "svgd":
        assert tags.pop() not in found  # it would be the same
    for place, tag in enumerate(tags):
        assert {each for each in found if each.startswith(f"{tag}/")} == {
            f"{tag}/{name}" for name in norms
        }
        for name, values in norms.items():
            assert found[f"{tag}/{name}"] == [(2, pytest.approx(values[place], rel=1e-6))]
        squares = np.square([values[place] for values in norms.values()])
        assert steps(found, tag) == [1, 2]
        assert found[tag][-1][1] == pytest.approx(np.sqrt(squares.sum()), rel=1e-6)
