"""Norms of gradients and of virtual gradients, beside an independent reference in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import control_flow_models
import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from reference import virtual_gradients

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch

NETWORKS = [models.mlp, models.residual, models.shared_weight, models.sequence]
SETTINGS = {"scale": 0.1, "rho": 0.8, "epsilon": 1e-4}


def norms_in_float64(
    model: onnx.ModelProto, trainer: svgd_onnx.Trainer, batch: dict[str, np.ndarray], method: str
) -> dict[str, float]:
    """Of the first step's gradients, by NumPy."""
    found = virtual_gradients(
        model,
        {name: array for name, array in batch.items() if name != "labels"},
        batch["labels"],
        loss="cross_entropy",
        output=trainer.manifest.logits,
        trainable=[item.name for item in trainer.manifest.parameters if item.trainable],
        method=method,
        **SETTINGS,
    )
    return {name: float(np.linalg.norm(each)) for name, each in found.gradients.items()}


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize(
    "options",
    [{}, {"t_kernel": "portable"}, {"encapsulation": "operators"}, {"recompute": True}],
    ids=["fused", "portable", "twins", "recompute"],
)
@pytest.mark.parametrize("network", NETWORKS)
def test_both_norms_of_every_parameter(
    network: Callable[[], onnx.ModelProto],
    options: dict[str, Any],
    target: str,
    trainer_of: MakeTrainer,
) -> None:
    model = network()
    trainer = trainer_of(model, target=target, gradient_norms=True, **SETTINGS, **options)
    batch = models.examples(model, count=8)
    trainer.train_step(batch, learning_rate=0.1)
    found = trainer.gradient_norms()
    for place, method in enumerate(("sgd", "svgd")):
        expected = norms_in_float64(model, trainer, batch, method)
        assert found.keys() == expected.keys()
        for name, norm in expected.items():
            # that of a bias before BatchNormalization is 0
            assert found[name][place] == pytest.approx(norm, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_training_is_the_same_with_them(target: str, trainer_of: MakeTrainer) -> None:
    model = models.residual()
    trainers = [trainer_of(model, target=target, gradient_norms=norms) for norms in (False, True)]
    for step in range(5):
        batch = models.examples(model, 8, seed=step)
        losses = [trainer.train_step(batch, 0.1) for trainer in trainers]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for each in trainers[0].manifest.parameters:
        plain, watched = (trainer.tensor(each.name) for trainer in trainers)
        np.testing.assert_allclose(watched, plain, rtol=1e-4, atol=1e-6)


def test_they_are_of_the_batch_before_the_optimizer_has_a_say(trainer_of: MakeTrainer) -> None:
    """Neither L1, nor clipping, nor the mean over several batches is in them."""
    model = models.mlp()
    batch = models.examples(model, 8)
    found = []
    for more in ({}, {"l1": 0.1, "clip_norm": 1e-3, "accumulation_steps": 3}):
        trainer = trainer_of(model, target="onnx", gradient_norms=True, **more)
        trainer.train_step(batch, 0.1)
        found.append(trainer.gradient_norms())
    for name, norms in found[0].items():
        assert found[1][name] == pytest.approx(norms, rel=1e-5, abs=1e-8)


def test_without_t_both_are_the_same(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(models.mlp(), optimizer="adamw", gradient_norms=True)
    trainer.train_step(models.examples(models.mlp(), 8), 0.1)
    norms = trainer.gradient_norms()
    assert all(plain == virtual for plain, virtual in norms.values()) and norms["fc1.weight"][0] > 0


@pytest.mark.parametrize("name", control_flow_models.MODELS)
def test_weights_in_bodies(name: str, trainer_of: MakeTrainer) -> None:
    """T is beside the loop, for the rows of all turns; without it the gradients are those of SGD."""
    model = control_flow_models.MODELS[name]()
    batch = example_batch(model, batch_size=5, random_size={"*": 5}, loss="mse")
    found = []
    for options in ({}, {"optimizer": "sgd"}):
        trainer = trainer_of(model, target="onnx", loss="mse", gradient_norms=True, **options)
        trainer.train_step(batch, 0.0)
        found.append(trainer.gradient_norms())
    for parameter, (plain, _) in found[0].items():
        assert plain == pytest.approx(found[1][parameter][0], rel=1e-5)


def test_names_of_the_model_come_first(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    (old,) = [each for each in model.graph.input if each.name == "x"]
    for node in model.graph.node:
        node.input[:] = ["svgd.gradient_norms" if each == "x" else each for each in node.input]
    old.name = "svgd.gradient_norms"
    batch = models.examples(model, 8)
    for target in ("ort-training", "onnx"):
        trainer = trainer_of(model, target=target, gradient_norms=True)
        trainer.train_step(batch, 0.1)
        assert all(norm > 0 for norm, _ in trainer.gradient_norms().values())


def test_artifacts_without_them_say_so(trainer_of: MakeTrainer) -> None:
    with pytest.raises(svgd_onnx.UserError, match="convert with gradient_norms"):
        trainer_of(models.mlp()).gradient_norms()


def test_the_command_line(tmp_path: Path, run: Any) -> None:
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    folder = tmp_path / "artifacts"
    done = run("convert", tmp_path / "model.onnx", "--output", folder, "--gradient-norms")
    assert done.code == 0
    trained = [item.name for item in svgd_onnx.Manifest.load(folder).parameters if item.trainable]
    assert list(svgd_onnx.Trainer(folder).gradient_norms()) == trained
