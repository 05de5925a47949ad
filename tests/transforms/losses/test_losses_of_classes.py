"""Losses with classes: where the classes are, what counts, and losses that a model has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network
from reference import LOSSES

import svgd_onnx
from svgd_onnx import LossSettings

CLASSES = 5


def positions(class_axis: int) -> onnx.ModelProto:
    """x (batch, 3, 4) -> logits (batch, 3, 5), or (batch, 5, 3) with the classes on axis 1."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, CLASSES, scale=1.0))
    value = net.node("Add", value, net.weight("b", CLASSES))
    if class_axis == 1:
        value = net.node("Transpose", value, perm=[0, 2, 1])
    net.node("Identity", value, output="logits")
    shape = ("batch", CLASSES, 3) if class_axis == 1 else ("batch", 3, CLASSES)
    return net.model({"x": ("batch", 3, 4)}, {"logits": shape})


def pooled(activation: str | None = None, opset: int = 17) -> onnx.ModelProto:
    """x (batch, 2, 6, 6) -> logits or probabilities (batch, 5, 1, 1), as SqueezeNet has them."""
    net = Network()
    value = net.node("Conv", "x", net.weight("w", CLASSES, 2, 3, 3), kernel_shape=[3, 3])
    value = net.node("GlobalAveragePool", value)
    if activation:
        net.node(activation, value, output="y", axis=1)
    else:
        net.node("Identity", value, output="y")
    return net.model({"x": ("batch", 2, 6, 6)}, {"y": ("batch", CLASSES, 1, 1)}, opset)


WEIGHTS = (0.5, 1.0, 2.0, 0.25, 3.0)


def test_a_gradient_check_agrees_with_every_setting() -> None:
    """The check computes the loss itself in float64, constants and all."""
    settings = LossSettings("mean", 2, 1, WEIGHTS, 0.2)
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 3, 4)).astype(np.float32)
    batch = {"x": x, "labels": random.integers(CLASSES, size=(6, 3))}
    checked = svgd_onnx.check(positions(2), loss_settings=settings, arrays=batch)
    assert max(item.error for item in checked) < 1e-5


def test_an_evaluation_in_batches_is_that_of_one(
    trainer_of: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svgd_onnx.training.evaluation.BATCH_SIZE", 4)
    random = np.random.default_rng(0)
    x = random.normal(size=(10, 3, 4)).astype(np.float32)
    labels = random.integers(CLASSES, size=(10, 3))
    labels[:5, 0] = -1
    for settings in ({"ignore_index": -1, "class_weights": WEIGHTS}, {"reduction": "sum"}):
        if "reduction" in settings:
            labels = abs(labels)
        trainer = trainer_of(positions(2), loss_settings=LossSettings(class_axis=-1, **settings))
        logits = x.astype(np.float64) @ trainer.tensor("w") + trainer.tensor("b")
        result = trainer.evaluate({"x": x, "labels": labels})
        expected, _ = LOSSES["cross_entropy"](logits, labels, class_axis=2, **settings)
        assert result["loss"] == pytest.approx(expected, rel=1e-6)
        counted = labels != -1
        right = (logits.argmax(axis=-1) == labels)[counted]
        assert result["accuracy"] == pytest.approx(right.mean())


def test_a_batch_of_ignored_labels_only_changes_nothing(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(
        positions(2),
        optimizer="sgd",
        loss_settings=LossSettings(class_axis=2, ignore_index=-1),
    )
    before = trainer.tensor("w")
    labels = np.full((4, 3), -1)
    labels[3, 2] = 0  # the batch is one that counts, but the step below sees only the first two
    x = np.ones((4, 3, 4), np.float32)
    trainer.train({"x": x, "labels": labels}, steps=2, batch_size=2, learning_rate=0.0)
    np.testing.assert_array_equal(trainer.tensor("w"), before)


@pytest.mark.parametrize("activation", [None, "Softmax", "LogSoftmax"])
def test_trailing_axes_of_one_are_dropped(activation: str | None, trainer_of: MakeTrainer) -> None:
    x = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype(np.float32)
    batch = {"x": x, "labels": np.arange(4)}
    trainer = trainer_of(pooled(activation))
    assert trainer.manifest.label is not None
    assert len(trainer.manifest.label.shape) == 1
    assert trainer.train_step(batch, 0.1) == trainer_of(pooled()).train_step(batch, 0.1)
    assert set(trainer.evaluate(batch)) == {"loss", "accuracy"}


def test_the_axis_of_a_final_softmax_is_that_of_the_classes(trainer_of: MakeTrainer) -> None:
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, CLASSES))
    net.node("Softmax", value, output="y", axis=-1)
    model = net.model({"x": ("batch", 3, 4)}, {"y": ("batch", 3, CLASSES)})
    manifest = trainer_of(model).manifest
    assert manifest.loss_settings.class_axis == 2
    with pytest.raises(svgd_onnx.UserError, match="class_axis is 1, but .* normalizes axis 2"):
        trainer_of(model, loss_settings=LossSettings(class_axis=1))


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        ("cross-entropy", {"class_axis": 3}, "axis 3 cannot hold the classes"),
        ("cross-entropy", {"class_weights": (1.0, 2.0)}, "2 weights, but axis 1 .* 5 classes"),
        ("none", {}, "must be one float32 number"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused(
    loss: str, settings: dict[str, Any], message: str, trainer_of: MakeTrainer
) -> None:
    with pytest.raises(svgd_onnx.UserError, match=message):
        trainer_of(positions(1), loss=loss, loss_settings=LossSettings(**settings))


@pytest.mark.parametrize(
    "op_type", ["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss", "weighted and ignoring"]
)
def test_a_loss_that_is_in_the_model(op_type: str, trainer_of: MakeTrainer, tmp_path: Path) -> None:
    """The model's own inputs are the data, and the exported model has its loss still."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, CLASSES))
    net.node("Identity", value, output="logits")
    if op_type == "SoftmaxCrossEntropyLoss":
        net.node(op_type, value, "labels", output="loss")
    else:
        inputs = [net.node("LogSoftmax", value, axis=1), "labels"]
        attributes = {}
        if op_type == "weighted and ignoring":
            inputs.append(net.constant("weights", np.array(WEIGHTS, np.float32)))
            attributes["ignore_index"] = 2
        net.node("NegativeLogLikelihoodLoss", *inputs, output="loss", **attributes)
    model = net.model(
        {"x": ("batch", 4), "labels": ("batch",)}, {"loss": (), "logits": ("batch", CLASSES)}
    )
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    trainer = trainer_of(model, loss="none", prediction="loss", optimizer="sgd")
    batch = {
        "x": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32),
        "labels": np.arange(8) % CLASSES,
    }
    before = trainer.train_step(batch, 0.5)
    assert trainer.train_step(batch, 0.5) < before
    evaluated = trainer.evaluate(batch)
    assert set(evaluated) == {"loss"}
    trainer.export(tmp_path / "trained.onnx")
    exported = onnx.load(tmp_path / "trained.onnx")
    assert [value.name for value in exported.graph.input] == ["x", "labels"]
    assert [value.name for value in exported.graph.output] == ["loss", "logits"]
    checked = svgd_onnx.check(model, loss="none", prediction="loss", arrays=batch)
    assert all(item.error < 1e-5 for item in checked)


def test_one_class_is_none() -> None:
    net = Network()
    net.node("MatMul", "x", net.weight("w", 4, 1), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 1)})
    with pytest.raises(svgd_onnx.UserError, match="has one class only"):
        svgd_onnx.check(model)


def test_a_sigmoid_is_seen_through_what_squeezes_it(trainer_of: MakeTrainer) -> None:
    def model(activation: bool) -> onnx.ModelProto:
        net = Network()
        value = net.node("MatMul", "x", net.weight("w", 4, 1))
        value = net.node("Sigmoid", value) if activation else value
        net.node("Squeeze", value, net.constant("axis", np.array([1])), output="y")
        return net.model({"x": ("batch", 4)}, {"y": ("batch",)})

    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    batch = {"x": x, "target": (x[:, 0] > 0).astype(np.float32)}
    trainers = [
        trainer_of(model(activation), loss="bce-with-logits") for activation in (True, False)
    ]
    assert trainers[0].train_step(batch, 0.1) == trainers[1].train_step(batch, 0.1)
    assert trainers[0].evaluate(batch) == trainers[1].evaluate(batch)
