"""When training ends early, and which checkpoint is the best, whether or not it was interrupted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

import svgd_onnx
from svgd_onnx.errors import Advice
from svgd_onnx.targets.training_progress import Validation
from svgd_onnx.training import loop
from svgd_onnx.training.monitor import Monitor

MODEL = models.mlp()
DATA = models.examples(MODEL, 16)
SETTINGS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.01, "validation": DATA}

TARGETS = pytest.mark.parametrize("target", ["ort-training", "onnx"])
Scored = Callable[[Sequence[float]], None]


@pytest.fixture
def folder(tmp_path: Path, target: str) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target=target, verify=False)
    return tmp_path / "artifacts"


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Scored:
    """Makes validations of a training say what the test wants: a value for each epoch, of every metric."""

    def say(values: Sequence[float]) -> None:
        def evaluate(
            session: object, manifest: object, data: object, metrics: Any, *, workers: int
        ) -> dict[str, float]:
            said = values[len(seen)]
            seen.append(said)
            return dict.fromkeys(
                ["loss", *(metric.name for own in metrics for metric in own)], said
            )

        seen: list[float] = []
        monkeypatch.setattr(loop, "evaluate", evaluate)

    return say


def trainer(folder: Path, **options: Any) -> svgd_onnx.Trainer:
    return svgd_onnx.Trainer(folder, threads=1, **options)


def history(values: Sequence[float | None]) -> list[Validation]:
    return [Validation(2 * at + 2, {"loss": value}) for at, value in enumerate(values)]


def test_patience_counts_epochs_without_improvement() -> None:
    monitor = Monitor("loss", patience=2)
    values = [3.0, 2.0, 2.0, 1.9, None, 2.5]
    over = [monitor.is_over(history(values[:count])) for count in range(len(values) + 1)]
    assert over == [False] * 6 + [True]
    assert Monitor("loss", patience=2, min_delta=0.5).is_over(history([3.0, 2.6, 2.55]))
    assert not Monitor("loss", patience=2, min_delta=0.5).is_over(history([3.0, 2.6, 2.45]))
    assert not Monitor("loss").is_over(history([1.0] * 99))


def test_why_it_is_over() -> None:
    monitor = Monitor("loss", patience=2)
    assert (
        monitor.why_over(history([3.0, 2.0, 2.0, 2.5]))
        == "validation loss did not improve in 2 epochs after step 4"
    )
    assert (
        Monitor("loss", patience=2, min_delta=0.5).why_over(history([3.0, 2.0, 1.9, 1.8]))
        == "validation loss did not improve by more than 0.5 in 2 epochs after step 4"
    )
    assert "after 1 of them all it was not a finite number" in monitor.why_over(
        history([2.0, None, 2.5])
    )
    assert "was not a finite number after any of 2 epochs" in monitor.why_over(
        history([None, None])
    )
    assert monitor.best_step(history([3.0, None, 2.0, 2.0])) == 6
    assert monitor.best_step(history([None])) is None


@TARGETS
def test_a_validation_within_an_epoch_does_not_count(folder: Path) -> None:
    for steps in range(1, 8, 2):
        one = trainer(folder)
        one.train(DATA, steps=steps, early_stopping=1, **{**SETTINGS, "learning_rate": 0.0})
    assert one.step == 4 and one.stopped_early


@TARGETS
def test_training_ends_where_the_loss_no_longer_improves(folder: Path, scored: Scored) -> None:
    scored([3, 2, 2.5, 2, 1, 1])
    one = trainer(folder)
    one.train(DATA, epochs=6, early_stopping=2, **SETTINGS)
    assert one.stopped_early and one.step == 8
    # asked again it is still over, and with more patience goes on
    again = trainer(folder)
    assert again.train(DATA, epochs=6, early_stopping=2, **SETTINGS) == {}
    assert again.stopped_early and again.step == 8
    again.train(DATA, epochs=5, early_stopping=3, **SETTINGS)
    assert not again.stopped_early and again.step == 10


@TARGETS
def test_the_direction_is_the_metrics(folder: Path, scored: Scored) -> None:
    scored([0.1, 0.2, 0.3, 0.3])
    one = trainer(folder)
    one.train(DATA, epochs=5, early_stopping=1, monitor="f1", **SETTINGS)
    assert one.stopped_early and one.step == 8


@TARGETS
def test_the_best_checkpoint_is_kept(folder: Path, scored: Scored) -> None:
    scored([3, 1, 2, 1, 2])
    weights: dict[int, np.ndarray] = {}
    name = trainer(folder).manifest.parameters[0].name

    class Note(svgd_onnx.Callback):
        def on_step(self, record: Any) -> None:
            weights[record.step] = one.tensor(name)

    one = trainer(folder)
    one.train(DATA, epochs=5, checkpoint_best=True, callbacks=[Note()], **SETTINGS)
    assert one.best_step == 4
    best = trainer(folder, checkpoint="best")
    assert best.step == 4
    np.testing.assert_array_equal(best.tensor(name), weights[4])
    np.testing.assert_array_equal(trainer(folder).tensor(name), weights[10])
    assert [path.name for path in folder.glob("checkpoint.step-4*")]


@TARGETS
def test_the_best_step_is_known_where_training_ends_right_after_it(
    folder: Path, scored: Scored
) -> None:
    scored([3, 1, 2, 1, 2])

    class End(svgd_onnx.Callback):
        def on_step(self, record: Any) -> None:
            if record.step == 4:
                raise OSError("ended")

    one = trainer(folder)
    with pytest.raises(OSError, match="ended"):
        one.train(DATA, epochs=5, checkpoint_best=True, callbacks=[End()], **SETTINGS)
    one.save()
    again = trainer(folder)
    assert (again.step, again.best_step) == (4, 4)
    again.train(DATA, epochs=5, checkpoint_best=True, **SETTINGS)
    assert again.best_step == 4 and trainer(folder, checkpoint="best").step == 4
    assert not list(folder.glob("checkpoint.step-2*"))


@TARGETS
def test_a_best_checkpoint_that_is_the_last_is_the_folders_own(
    folder: Path, scored: Scored
) -> None:
    scored([3, 2])
    trainer(folder).train(DATA, epochs=2, checkpoint_best=True, **SETTINGS)
    assert trainer(folder, checkpoint="best").step == 4
    assert not list(folder.glob("checkpoint.step-4*"))
    # and stays the best when a training without the option goes on
    trainer(folder).train(DATA, steps=6, batch_size=8, learning_rate=0.01)
    assert trainer(folder, checkpoint="best").step == 4


class RunInterruptedError(Exception):
    pass


class Interrupt(svgd_onnx.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, record: Any) -> None:
        if record.step == self.step:
            raise RunInterruptedError


@TARGETS
@pytest.mark.parametrize("interrupted", [3, 6, 9, 11])
def test_an_interrupted_run_stops_where_one_that_was_not_does(
    interrupted: int, folder: Path, tmp_path: Path, target: str
) -> None:
    """Rates of a plateau, early stopping and the best: by a metric that comes to a standstill at once."""
    options: dict[str, Any] = {
        **SETTINGS,
        "epochs": 30,
        "schedule": "plateau,patience=0,factor=0.5,metric=accuracy",
        "learning_rate": 1e-4,
        "early_stopping": 5,
        "monitor": "accuracy",
        "checkpoint_best": True,
        "checkpoint_every": 1,
    }
    svgd_onnx.convert(MODEL, tmp_path / "whole", target=target, verify=False)
    whole = trainer(tmp_path / "whole")
    whole.train(DATA, log=tmp_path / "whole.csv", **options)
    assert whole.stopped_early
    with pytest.raises(RunInterruptedError):
        trainer(folder).train(
            DATA, log=tmp_path / "log.csv", callbacks=[Interrupt(interrupted)], **options
        )
    again = trainer(folder)
    assert again.step == interrupted - 1
    again.train(DATA, log=tmp_path / "log.csv", **options)
    assert (again.step, again.best_step) == (whole.step, whole.best_step)
    best = [trainer(each, checkpoint="best") for each in (folder, tmp_path / "whole")]
    for parameter in best[0].manifest.parameters:
        np.testing.assert_array_equal(*(each.tensor(parameter.name) for each in best))
    assert (tmp_path / "log.csv").read_text() == (tmp_path / "whole.csv").read_text()
    rates = [float(row["learning_rate"]) for row in csv.DictReader((tmp_path / "log.csv").open())]
    assert rates[0] == 1e-4 and rates[-1] < 1e-5


@pytest.mark.parametrize("target", ["onnx"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"early_stopping": 0}, "early_stopping is 0"),
        ({"early_stopping": 1, "min_delta": -1.0}, "min_delta is -1"),
        ({"min_delta": 0.1}, "min_delta goes with early_stopping only"),
        ({"monitor": "accuracy"}, "monitor goes with early_stopping or checkpoint_best only"),
        ({"early_stopping": 1, "monitor": "f3"}, "There is no metric 'f3'"),
        ({"early_stopping": 1, "monitor": "mae"}, "'mae' does not fit"),
        ({"checkpoint_keep": 0}, "checkpoint_keep is 0"),
        ({"early_stopping": 1, "validation": None}, "early_stopping is of the validation data"),
        ({"checkpoint_best": True, "validation": None}, "give validation"),
        ({"metrics": ["f1"], "validation": None}, "metric is of the validation data"),
        (
            {"schedule": "plateau", "validation": None},
            "schedule=.plateau. is of the validation data",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_the_first_step(
    options: dict[str, Any], sentence: str, folder: Path
) -> None:
    one = trainer(folder)
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        one.train(DATA, steps=1, **{**SETTINGS, **options})
    assert one.step == 0


@pytest.mark.parametrize("options", [{"early_stopping": 2}, {"checkpoint_best": True}])
def test_what_is_no_number_is_said_once(
    options: dict[str, Any], tmp_path: Path, scored: Scored
) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target="onnx", verify=False)
    scored([float("nan")] * 9)
    one = trainer(tmp_path / "artifacts")
    with pytest.warns(
        Advice, match="validation's loss is not a finite number after step 2"
    ) as said:
        one.train(DATA, epochs=3, **options, **SETTINGS)
    assert len(said) == 1 and one.best_step is None
