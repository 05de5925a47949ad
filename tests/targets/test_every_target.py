"""What holds of every target in the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.export import export

RATE, STEPS = 0.1, 4
MODEL = models.mlp()


@pytest.fixture(params=TARGETS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target=request.param, verify=False)
    return tmp_path / "artifacts"


def trained(folder: Path) -> svgd_onnx.Trainer:
    trainer = svgd_onnx.Trainer(folder, seed=0, threads=1)
    for step in range(STEPS):
        trainer.train_step(models.examples(MODEL, seed=step), RATE)
    return trainer


def state(trainer: svgd_onnx.Trainer) -> dict[str, bytes]:
    """Everything in the checkpoint: parameters, running statistics, r, what the update keeps."""
    names = [item.name for item in (*trainer.manifest.parameters, *trainer.manifest.states)]
    names += [item.state for item in trainer.manifest.operations if item.state is not None]
    return {name: trainer.tensor(name).tobytes() for name in names}


def test_losses_are_those_of_the_first_target(folder: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "first", target=next(iter(TARGETS)))
    trainers = [svgd_onnx.Trainer(each, threads=1) for each in (folder, tmp_path / "first")]
    for step in range(STEPS):
        batch = models.examples(MODEL, seed=step)
        loss, expected = (trainer.train_step(batch, RATE) for trainer in trainers)
        assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_runtime_cannot_run_ends_in_a_sentence(target: str, tmp_path: Path) -> None:
    sums = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[N,T,4] a, float[N,U,4] b) => (float[N,3] y) {
            sum = Add(a, b)
            axis = Constant<value_ints = [1]>()
            all = ReduceSum<keepdims = 0>(sum, axis)
            y = MatMul(all, w)
        }"""
    )
    weight = np.ones((4, 3), np.float32)
    sums.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    svgd_onnx.convert(sums, tmp_path / "artifacts", target=target)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    batch = {"a": np.ones((2, 3, 4)), "b": np.ones((2, 5, 4)), "labels": np.array([0, 1])}
    with pytest.raises(svgd_onnx.UserError, match="cannot run the model on this batch"):
        trainer.train_step(batch, RATE)
    with pytest.raises(svgd_onnx.UserError, match="cannot run the model on this batch"):
        trainer.evaluate(batch)


UPDATES: list[dict[str, Any]] = [
    {},
    {"accumulation_steps": 2},  # the checkpoint is of a step that is half done
    {"optimizer": "adamw", "accumulation_steps": 2, "clip_norm": 0.1},
    {"optimizer": "adafactor", "accumulation_steps": 4, "ema": 0.9},
    {"optimizer": "lamb", "weight_decay": {"*.weight": 0.1}},
    {"ema": 0.9, "rate": {"*.bias": 2.0}},
    {"proximal": 0.5},
]


@pytest.mark.parametrize("network", [models.mlp, models.dropout])
@pytest.mark.parametrize("update", UPDATES, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_a_resumed_training_is_an_uninterrupted_one_bit_for_bit(
    network: Callable[[], onnx.ModelProto], update: dict[str, Any], target: str, tmp_path: Path
) -> None:
    model = network()
    states = []
    for name, parts in (("whole", [6]), ("resumed", [3, 6])):
        svgd_onnx.convert(model, tmp_path / name, target=target, verify=False, **update)
        for steps in parts:
            trainer = svgd_onnx.Trainer(tmp_path / name, threads=1)
            options = {"steps": steps, "batch_size": 4, "resume": steps != parts[0]}
            trainer.train(models.examples(model), learning_rate=RATE, **options)
        states.append(state(trainer))
    assert states[0] == states[1]


@pytest.mark.parametrize("target", TARGETS)
def test_a_parameter_without_axes_keeps_having_none(target: str, tmp_path: Path) -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 4))
    net.node("Mul", value, net.constant("factor", np.array(2, np.float32)), output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(model, folder, target=target, train=["w", "factor"], optimizer="sgd")
    trainer = svgd_onnx.Trainer(folder, threads=1)
    batch = {"x": np.ones((3, 6), np.float32), "labels": np.array([0, 1, 2])}
    trainer.train_step(batch, RATE)
    assert trainer.tensor("factor").shape == ()
    assert trainer.tensor("factor") != 2


def test_a_loss_that_is_not_finite_changes_nothing(folder: Path) -> None:
    trainer = trained(folder)
    before = state(trainer)
    batch = models.examples(MODEL)
    batch["x"] = np.full_like(batch["x"], 3e38)
    with pytest.raises(svgd_onnx.UserError, match="NaN or infinite at step 5"):
        trainer.train_step(batch, RATE)
    assert state(trainer) == before


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path: Path) -> None:
    for target in TARGETS.values():
        weights = []
        for steps, size in ((1, 12), (3, 4)):
            folder = tmp_path / f"{target.name}-{steps}"
            options = {"accumulation_steps": steps, "optimizer": "sgd", "freeze_bn": True}
            svgd_onnx.convert(MODEL, folder, target=target.name, verify=False, **options)
            trainer = svgd_onnx.Trainer(folder, threads=1)
            batch = models.examples(MODEL)
            for start in range(0, 12, size):
                part = {name: array[start : start + size] for name, array in batch.items()}
                trainer.train_step(part, RATE)
            weights.append(trainer.tensor("fc1.weight"))
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-5, atol=1e-7)


def test_a_device_that_there_is_not_is_refused(folder: Path) -> None:
    with pytest.raises(svgd_onnx.UserError):
        svgd_onnx.Trainer(folder, device="abacus")


def test_what_is_not_in_the_checkpoint_is_refused(folder: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="has no tensor 'nothing'"):
        svgd_onnx.Trainer(folder).tensor("nothing")


def test_evaluation_and_export_have_the_parameters_as_they_are_now(
    folder: Path, tmp_path: Path
) -> None:
    trainer = trained(folder)
    batch = models.examples(MODEL)
    loss = trainer.evaluate(batch)["loss"]
    trainer.export(tmp_path / "now.onnx")
    trainer.save()
    export(folder, tmp_path / "saved.onnx")
    for path in (tmp_path / "now.onnx", tmp_path / "saved.onnx"):
        onnx.checker.check_model(str(path))
        (probability,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": batch["x"]})
        of_labels = probability[np.arange(len(probability)), batch["labels"]].astype(np.float64)
        assert loss == pytest.approx(-np.log(of_labels).mean(), rel=1e-5)
