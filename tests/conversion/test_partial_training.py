"""Training a part of a model: nothing is differentiated that need not be."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MakeTrainer
from runtimes import RUNNABLE_TARGETS

import svgd_onnx


def test_a_head_is_trained_under_operators_without_a_gradient(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    trainer = trainer_of(models.obstacles(), train=["head*"])
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    assert trainable == ["head.weight", "head.bias"]
    frozen = trainer.tensor("backbone")
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(8, 6)).astype(np.float32),
        "labels": random.integers(4, size=8),
    }
    losses = [trainer.train_step(batch, 0.1) for _ in range(10)]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(trainer.tensor("backbone"), frozen)
    trainer.export(tmp_path / "trained.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "trained.onnx").graph.node]
    assert operators == [node.op_type for node in models.obstacles().graph.node]
    assert svgd_onnx.check(models.obstacles(), train=["head*"])


def test_frozen_batch_normalization_keeps_and_uses_its_statistics(
    trainer_of: MakeTrainer,
) -> None:
    """The loss of a training step is then that of the model as it is."""
    model = models.mlp()
    batch = models.examples(model, count=8)
    trainer = trainer_of(model, freeze_bn=True)
    statistics = [
        item.name for item in model.graph.initializer if item.name.endswith((".mean", ".var"))
    ]
    assert statistics
    before = {name: trainer.tensor(name) for name in statistics}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (probabilities,) = session.run(None, {"x": batch["x"]})
    expected = -np.mean(np.log(probabilities[np.arange(8), batch["labels"]]))
    np.testing.assert_allclose(trainer.train_step(batch, 0.1), expected, rtol=1e-5)
    for name, value in before.items():
        np.testing.assert_array_equal(trainer.tensor(name), value)
    assert all(item.is_right() for item in svgd_onnx.check(model, freeze_bn=True))


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("part", [{"train": ["fc2*"]}, {"freeze": ["fc1*", "bn*"]}])
def test_the_statistics_of_what_is_frozen_stay(
    target: str, part: dict[str, list[str]], tmp_path: Path
) -> None:
    """No gradient leads to this BatchNormalization, which is frozen with its scale and shift."""
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, **part)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    frozen = [each.name for each in trainer.manifest.parameters if not each.trainable]
    before = {name: trainer.tensor(name) for name in frozen}
    batch = models.examples(model, count=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (probabilities,) = session.run(None, {"x": batch["x"]})
    expected = -np.mean(np.log(probabilities[np.arange(8), batch["labels"]]))
    np.testing.assert_allclose(trainer.train_step(batch, 0.1), expected, rtol=1e-5)
    assert len(frozen) > 3
    for name, value in before.items():
        np.testing.assert_array_equal(trainer.tensor(name), value)


def test_another_head_stays_as_it_is(tmp_path: Path) -> None:
    """As PyTorch leaves parameters that the loss does not depend on."""
    net = models.Network()
    hidden = net.node("Relu", net.node("MatMul", "x", net.weight("body", 6, 5)))
    net.node("MatMul", hidden, net.weight("head", 5, 4), output="y")
    net.node("MatMul", hidden, net.weight("other", 5, 2), output="z")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4), "z": ("batch", 2)})
    with pytest.warns(UserWarning, match="does not depend on 'other': that stays as it is"):
        manifest = svgd_onnx.convert(model, tmp_path / "artifacts", prediction="y", target="onnx")
    assert [each.name for each in manifest.parameters if each.trainable] == ["body", "head"]
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    before = trainer.tensor("other")
    trainer.train_step(models.examples(model), 0.1)
    np.testing.assert_array_equal(trainer.tensor("other"), before)
    trainer.export(tmp_path / "trained.onnx")
    assert [each.name for each in onnx.load(tmp_path / "trained.onnx").graph.output] == ["y", "z"]


@pytest.mark.parametrize("op_type", models.GATES)
def test_a_frozen_recurrent_layer_may_go_both_ways(op_type: str, tmp_path: Path) -> None:
    """onnxruntime's builder leaves an operator for it whose kernel goes forwards alone."""
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 3, 8)).astype(np.float32)
    batch = {"x": x, "labels": np.array([0, 3, 1])}
    losses = []
    for target in RUNNABLE_TARGETS:
        folder = tmp_path / target
        svgd_onnx.convert(models.recurrent(op_type, 5), folder, target=target, train=["head"])
        trainer = svgd_onnx.Trainer(folder)
        losses.append([trainer.train_step(batch, 0.1) for _ in range(3)])
    np.testing.assert_allclose(losses, [losses[0]] * len(losses), rtol=1e-5)
