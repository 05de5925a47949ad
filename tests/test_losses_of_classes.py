"""Cross-entropy in all its forms, against its definition in float64 and central differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network

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


def cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    class_weights: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> float:
    """Label by label, as PyTorch documents its CrossEntropyLoss; logits (..., C), labels (...)."""
    weights = np.ones(CLASSES) if class_weights is None else np.asarray(class_weights, np.float64)
    total = divisor = 0.0
    for row, label in zip(logits.reshape(-1, CLASSES).astype(np.float64), labels.reshape(-1)):
        if label == ignore_index:
            continue
        log_p = row - np.log(np.exp(row).sum())
        target = np.full(CLASSES, label_smoothing / CLASSES)
        target[label] += 1.0 - label_smoothing
        total -= float(np.sum(weights * target * log_p))
        divisor += weights[label]
    return total / divisor if reduction == "mean" else total


WEIGHTS = (0.5, 1.0, 2.0, 0.25, 3.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "ignore": {"ignore_index": -100},
    "weights": {"class_weights": WEIGHTS},
    "weights, sum": {"class_weights": WEIGHTS, "reduction": "sum"},
    "smoothing": {"label_smoothing": 0.1},
    "smoothing, sum": {"label_smoothing": 0.1, "reduction": "sum"},
    "all": {"ignore_index": 1, "class_weights": WEIGHTS, "label_smoothing": 0.2},
}


@pytest.mark.parametrize("class_axis", [1, 2])
@pytest.mark.parametrize("name", SETTINGS)
def test_value_and_gradients(name: str, class_axis: int, trainer_of: MakeTrainer) -> None:
    settings = LossSettings(class_axis=class_axis, **SETTINGS[name])
    model = positions(class_axis)
    random = np.random.default_rng(0)
    x = random.normal(size=(6, 3, 4)).astype(np.float32)
    labels = random.integers(CLASSES, size=(6, 3))
    if settings.ignore_index is not None:
        labels[0] = labels[3, 1] = settings.ignore_index
    batch = {"x": x, "labels": labels}
    trainer = trainer_of(model, loss_settings=settings)
    logits = x.astype(np.float64) @ trainer.tensor("w") + trainer.tensor("b")
    expected = cross_entropy(logits, labels, **SETTINGS[name])
    assert trainer.train_step(batch, 0.0) == pytest.approx(expected, rel=1e-6)
    assert trainer.evaluate(batch)["loss"] == pytest.approx(expected, rel=1e-6)
    checked = svgd_onnx.check(model, loss_settings=settings, arrays=batch)
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
        assert result["loss"] == pytest.approx(cross_entropy(logits, labels, **settings), rel=1e-6)
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
    with pytest.raises(svgd_onnx.UserError, match="--class-axis is 1, but .* normalizes axis 2"):
        trainer_of(model, loss_settings=LossSettings(class_axis=1))


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        ("cross-entropy", {"class_axis": 3}, "axis 3 cannot hold the classes"),
        ("cross-entropy", {"ignore_index": 2**63}, "--ignore-index is .* but labels are int64"),
        ("cross-entropy", {"class_weights": (1.0, 2.0)}, "2 weights, but axis 1 .* 5 classes"),
        ("cross-entropy", {"class_weights": (1.0, -2.0)}, "--class-weights has -2.0"),
        ("cross-entropy", {"label_smoothing": 1.0}, "--label-smoothing is 1.0"),
        ("cross-entropy", {"reduction": "max"}, "Unknown reduction 'max'"),
        ("mse", {"ignore_index": 3}, "--ignore-index goes with --loss cross-entropy"),
        ("none", {"reduction": "sum"}, "--reduction does not go with --loss none"),
        ("none", {}, "must be one float32 number"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
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
