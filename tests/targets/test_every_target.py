"""What holds of every target in the table."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS

RATE, STEPS = 0.1, 4
MODEL = models.mlp()


@pytest.fixture(params=TARGETS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target=request.param)
    return tmp_path / "artifacts"


def trained(folder: Path) -> svgd_onnx.Trainer:
    trainer = svgd_onnx.Trainer(folder, seed=0, threads=1)
    for step in range(STEPS):
        trainer.train_step(models.examples(MODEL, seed=step), RATE)
    return trainer


def test_the_manifest_names_it(folder: Path) -> None:
    assert svgd_onnx.Manifest.load(folder).target in TARGETS


def test_losses_are_those_of_the_first_target(folder: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "first", target=next(iter(TARGETS)))
    trainers = [svgd_onnx.Trainer(each, threads=1) for each in (folder, tmp_path / "first")]
    for step in range(STEPS):
        batch = models.examples(MODEL, seed=step)
        loss, expected = (trainer.train_step(batch, RATE) for trainer in trainers)
        assert loss == pytest.approx(expected, rel=1e-5)


def test_a_saved_checkpoint_goes_on_bit_for_bit(folder: Path) -> None:
    trainer = trained(folder)
    trainer.save()
    reopened = svgd_onnx.Trainer(folder, threads=1)
    assert reopened.step == STEPS
    batch = models.examples(MODEL, seed=STEPS)
    assert reopened.train_step(batch, RATE) == trainer.train_step(batch, RATE)
    for parameter in trainer.manifest.parameters:
        assert (trainer.tensor(parameter.name) == reopened.tensor(parameter.name)).all()


def test_a_loss_that_is_not_finite_leaves_the_parameters_alone(folder: Path) -> None:
    trainer = trained(folder)
    before = trainer.tensor("fc1.weight")
    batch = models.examples(MODEL)
    batch["x"] = np.full_like(batch["x"], 3e38)
    with pytest.raises(svgd_onnx.UserError, match="The loss became"):
        trainer.train_step(batch, RATE)
    assert (trainer.tensor("fc1.weight") == before).all()


def test_what_is_not_in_the_checkpoint_is_refused(folder: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="has no tensor 'nothing'"):
        svgd_onnx.Trainer(folder).tensor("nothing")


def test_the_export_says_what_the_evaluation_says(folder: Path, tmp_path: Path) -> None:
    trainer = trained(folder)
    trainer.save()
    trainer.export(tmp_path / "now.onnx")
    target = TARGETS[trainer.manifest.target]
    values = target.checkpoint(folder)
    target.export(folder, trainer.manifest, values, tmp_path / "saved.onnx")
    batch = models.examples(MODEL)
    accuracy = trainer.evaluate(batch)["accuracy"]
    for path in (tmp_path / "now.onnx", tmp_path / "saved.onnx"):
        onnx.checker.check_model(str(path))
        (logits,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": batch["x"]})
        assert np.mean(logits.argmax(axis=1) == batch["labels"]) == accuracy
