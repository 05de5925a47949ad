"""User code that listens to a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import pytest
from conftest import MakeTrainer

import svgd_onnx

MODEL = models.mlp()
DATA = models.examples(MODEL, 16)
SETTINGS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1}


class Listener(svgd_onnx.Callback):
    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def on_step(self, record: Any) -> None:
        self.heard.append(("step", record))

    def on_epoch(self, record: Any) -> None:
        self.heard.append(("epoch", record))

    def on_checkpoint(self, record: Any) -> None:
        self.heard.append(("checkpoint", record))


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_callbacks_hear_of_steps_epochs_and_checkpoints(
    target: str, trainer_of: MakeTrainer
) -> None:
    listener = Listener()
    options = {"metrics": ["f1"], "schedule": "linear", "checkpoint_every": 3, **SETTINGS}
    trainer = trainer_of(MODEL, target=target)
    result = trainer.fit(DATA, DATA, epochs=2, callbacks=[listener], **options)
    heard = [(kind, record.step, record.epoch) for kind, record in listener.heard]
    assert heard == [
        ("step", 1, 0),
        ("step", 2, 0),
        ("epoch", 2, 0),
        ("step", 3, 1),
        ("checkpoint", 3, 1),
        ("step", 4, 1),
        ("epoch", 4, 1),
        ("checkpoint", 4, 1),
    ]
    steps = [record for kind, record in listener.heard if kind == "step"]
    assert [record.rate for record in steps] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert [sorted(record.metrics) for record in steps] == [[], ["accuracy", "f1", "loss"]] * 2
    assert steps[-1].loss == result["loss"]
    assert steps[-1].metrics["f1"] == result["validation_f1"]


def test_a_callback_may_stop_training_with_a_checkpoint(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL)

    class Stop(svgd_onnx.Callback):
        def on_step(self, record: Any) -> None:
            if record.step == 3:
                trainer.stop()

    trainer.train(DATA, steps=9, callbacks=[Stop()], **SETTINGS)
    assert (trainer.step, trainer.saved_step) == (3, 3)
    trainer.train(DATA, steps=9, **SETTINGS)  # it was stopped that time only
    assert trainer.step == 9


def test_to_stop_while_nothing_trains_is_of_the_next_training_which_says_so(
    trainer_of: MakeTrainer,
) -> None:
    trainer = trainer_of(MODEL)
    trainer.stop()
    with pytest.warns(UserWarning, match=r"stop\(\) was called before this training began"):
        trainer.train(DATA, steps=9, **SETTINGS)
    assert trainer.step == 0
    trainer.train(DATA, steps=9, **SETTINGS)
    assert trainer.step == 9


def test_a_callback_cannot_train_what_is_training(trainer_of: MakeTrainer) -> None:
    """Its batches would come twice, and others never."""
    trainer = trainer_of(MODEL)

    class Again(svgd_onnx.Callback):
        def on_step(self, record: Any) -> None:
            if record.step == 2:
                with pytest.raises(svgd_onnx.UserError, match="This trainer is training, and a"):
                    trainer.train(DATA, steps=4, **SETTINGS)
                with pytest.raises(svgd_onnx.UserError, match="This trainer is training, and a"):
                    trainer.train_step(DATA, 0.1)

    trainer.train(DATA, steps=5, callbacks=[Again()], **SETTINGS)
    assert trainer.step == 5


def test_an_exception_reaches_the_caller_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(MODEL, folder, verify=False)
    before = sorted(path.name for path in folder.iterdir())

    class Fail(svgd_onnx.Callback):
        def on_step(self, record: Any) -> None:
            if record.step == 5:
                raise ZeroDivisionError

    trainer = svgd_onnx.Trainer(folder)
    with pytest.raises(ZeroDivisionError):
        trainer.train(DATA, steps=9, checkpoint_every=2, callbacks=[Fail()], **SETTINGS)
    assert svgd_onnx.Trainer(folder).step == trainer.saved_step == 4
    added = {path.name for path in folder.iterdir()} - set(before)
    assert all(name.startswith((".svgd-", "checkpoint.step-0")) for name in added)
    again = svgd_onnx.Trainer(folder)  # the folder is free
    again.train(DATA, steps=9, **SETTINGS)
    assert again.step == 9


@pytest.mark.parametrize("given", [[print], print, 5])
def test_what_is_no_callback_is_refused(trainer_of: MakeTrainer, given: Any) -> None:
    with pytest.raises(
        svgd_onnx.UserError, match="give objects of subclasses of svgd_onnx.Callback"
    ):
        trainer_of(MODEL).train(DATA, steps=1, callbacks=given, **SETTINGS)
