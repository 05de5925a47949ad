"""Every loss with every setting that it has, against the float64 reference."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network
from reference import virtual_gradients

import svgd_onnx
from svgd_onnx import LossSettings
from svgd_onnx.transforms import losses
from svgd_onnx.transforms.losses.loss_of_classes import LossOfClasses

BATCH, POSITIONS, CLASSES = 6, 3, 5
WEIGHTS = (0.5, 1.0, 2.0, 0.25, 3.0)
WITHOUT_ONE = (0.5, 1.0, 0.0, 0.25, 3.0)

REDUCTIONS: list[dict[str, Any]] = [{}, {"reduction": "sum"}]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "cross-entropy": [
        *REDUCTIONS,
        {"ignore_index": -100},
        {"ignore_index": 1, "reduction": "sum"},
        {"class_weights": WEIGHTS},
        {"class_weights": WEIGHTS, "reduction": "sum"},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.1, "reduction": "sum"},
        {"ignore_index": 1, "class_weights": WEIGHTS, "label_smoothing": 0.2},
        {"class_axis": 2},
        {"class_axis": -1, "label_smoothing": 0.1},
        {"class_axis": 2, "ignore_index": 1, "class_weights": WEIGHTS, "label_smoothing": 0.2},
        {"class_weights": WITHOUT_ONE},
        {"class_weights": WITHOUT_ONE, "label_smoothing": 0.2, "ignore_index": 1},
        {"class_weights": WITHOUT_ONE, "label_smoothing": 0.2, "reduction": "sum"},
        {"from_logits": True},
    ],
    "focal": [
        *REDUCTIONS,
        {"focal_gamma": 0.0},
        {"focal_gamma": 0.5, "class_axis": 2},
        {"focal_gamma": 3.5, "ignore_index": 1, "class_weights": WEIGHTS},
        {"class_weights": WITHOUT_ONE, "reduction": "sum"},
        {"from_logits": True},
    ],
    "hinge": [
        *REDUCTIONS,
        {"margin": 0.3, "class_axis": 2},
        {"margin": 2.0, "ignore_index": 1, "class_weights": WEIGHTS},
        {"class_weights": WITHOUT_ONE, "reduction": "sum"},
    ],
    "kl": [
        *REDUCTIONS,
        {"class_axis": 2},
        {"class_axis": 2, "reduction": "sum"},
        {"from_logits": True},
    ],
    "triplet": [*REDUCTIONS, {"margin": 0.1}, {"margin": 5.0}],
    "mse": REDUCTIONS,
    "bce-with-logits": [*REDUCTIONS, {"from_logits": True}],
    "l1": REDUCTIONS,
    "huber": REDUCTIONS,
    "none": [{}],
}
CASES = [
    pytest.param(loss, settings, id=" ".join([loss, *settings]))
    for loss, table in SETTINGS.items()
    for settings in table
]


def network(loss: str, class_axis: int) -> onnx.ModelProto:
    """x (batch, 3, 4) -> prediction (batch, 3, 5), or with axes swapped; of the own loss, that too."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, CLASSES, scale=1.0))
    value = net.node("Add", value, net.weight("b", CLASSES))
    perm = [0, 2, 1] if class_axis == 1 else [0, 1, 2]
    net.node("Transpose", value, perm=perm, output="prediction")
    dims = ("batch", CLASSES, POSITIONS) if class_axis == 1 else ("batch", POSITIONS, CLASSES)
    if loss != "none":
        return net.model({"x": ("batch", POSITIONS, 4)}, {"prediction": dims})
    error = net.node("Sub", "prediction", "target")
    net.node("ReduceMean", net.node("Mul", error, error), keepdims=0, output="loss")
    inputs = {"x": ("batch", POSITIONS, 4), "target": dims}
    return net.model(inputs, {"prediction": dims, "loss": ()})


def batch_for(loss: str, class_axis: int) -> dict[str, np.ndarray]:
    """Random data with every label, and in the first place an ignored one; the target last."""
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, POSITIONS, 4)).astype(np.float32)
    if loss == "triplet":
        return {"x": x, "labels": np.array([4, 7, 4, -2, 7, 7])}
    if losses.LOSSES[loss].target_dtype == "int64":
        return {"x": x, "labels": random.integers(CLASSES, size=(BATCH, POSITIONS))}
    shape = (BATCH, CLASSES, POSITIONS) if class_axis == 1 else (BATCH, POSITIONS, CLASSES)
    target = random.uniform(size=shape)
    if loss == "kl":
        target[0, 0, 0] = 0.0
        target /= target.sum(axis=class_axis, keepdims=True)
    return {"x": x, "target": target.astype(np.float32)}


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize(("loss", "settings"), CASES)
def test_value_and_gradients(
    loss: str, settings: dict[str, Any], target: str, trainer_of: MakeTrainer
) -> None:
    class_axis = settings.get("class_axis", 1)
    model, batch = network(loss, class_axis), batch_for(loss, class_axis)
    if settings.get("ignore_index") == -100:
        batch["labels"][0] = batch["labels"][3, 1] = -100
    trainer = trainer_of(
        model,
        loss=loss,
        loss_settings=LossSettings(**settings),
        prediction="loss" if loss == "none" else None,
        optimizer="sgd",
        target=target,
    )
    expected = virtual_gradients(
        model,
        {"x": batch["x"]},
        list(batch.values())[-1],
        loss={"none": "mse"}.get(loss, loss.replace("-", "_")),
        loss_settings={name: each for name, each in settings.items() if name != "from_logits"},
        output="prediction",
        trainable=["w", "b"],
        method="sgd",
    )
    before = {name: trainer.tensor(name) for name in ("w", "b")}
    assert trainer.evaluate(batch)["loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert trainer.train_step(batch, 1.0) == pytest.approx(expected.loss, rel=1e-6)
    for name, value in before.items():
        gradient = value - trainer.tensor(name)
        np.testing.assert_allclose(gradient, expected.gradients[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [name for name in losses.LOSSES if name != "none"])
def test_value_and_gradients_are_finite_for_extreme_predictions(
    loss: str, trainer_of: MakeTrainer
) -> None:
    batch = batch_for(loss, 1)
    batch["x"] *= 1000
    trainer = trainer_of(network(loss, 1), loss=loss, optimizer="sgd")
    assert np.isfinite(trainer.train_step(batch, 0.0))
    assert all(np.isfinite(trainer.gradient(name)).all() for name in ("w", "b"))


def test_every_loss_is_tested_with_every_setting() -> None:
    tested = {loss: {name for each in table for name in each} for loss, table in SETTINGS.items()}
    assert tested == {name: set(loss.settings) for name, loss in losses.LOSSES.items()}


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        ("mse", {"ignore_index": 3}, r"ignore_index goes with loss='cross-entropy'.* only\."),
        ("l1", {"label_smoothing": 0.5}, "label_smoothing goes with loss='cross-entropy'.* only"),
        ("none", {"reduction": "sum"}, "reduction does not go with loss='none'"),
        ("cross-entropy", {"ignore_index": 2**63}, "ignore_index is .* but labels are int64"),
        ("cross-entropy", {"class_weights": (1.0, -2.0)}, "class_weights has -2.0"),
        ("cross-entropy", {"class_weights": (0.0, 0.0)}, "class_weights has no weight above 0"),
        ("cross-entropy", {"focal_gamma": 1.0}, r"focal_gamma goes with loss='focal' only\."),
        ("focal", {"focal_gamma": -1.0}, "focal_gamma is -1.0, but must be 0 or more"),
        ("hinge", {"margin": 0.0}, "margin is 0.0, but must be above 0"),
        ("cross-entropy", {"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ("cross-entropy", {"reduction": "max"}, "Unknown reduction 'max'"),
    ],
)
def test_settings_that_a_loss_does_not_have(
    loss: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(svgd_onnx.UserError, match=message):
        losses.check_settings(losses.loss_named(loss), LossSettings(**settings))


def test_every_loss_that_has_a_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Another(LossOfClasses):
        name = "another"

    monkeypatch.setitem(losses.LOSSES, "another", Another())
    with pytest.raises(
        svgd_onnx.UserError, match="with loss='cross-entropy' or .*loss='another' on"
    ):
        losses.check_settings(losses.LOSSES["mse"], LossSettings(class_axis=1))


def test_binary_cross_entropy_is_finite_and_exact_for_extreme_logits(
    trainer_of: MakeTrainer,
) -> None:
    """log(1 + e^x) overflows if it is computed as written; at 0 its derivative is 1/2."""
    trainer = trainer_of(
        models.regression(), loss="bce-with-logits", optimizer="sgd", freeze=["fc1*"]
    )
    x = np.zeros((1, models.FEATURES), np.float32)
    target = np.array([[0.0, 1.0, 0.0]], np.float32)
    bias = {item.name: trainer.tensor(item.name) for item in trainer.manifest.parameters}
    logits = np.tanh(bias["fc1.bias"]) @ bias["fc2.weight"] + bias["fc2.bias"]
    # one large step moves the first logit to about -1000 and the second to about +1000
    trainer.train_step({"x": x, "target": target}, learning_rate=6000.0)
    loss = trainer.train_step({"x": x, "target": target}, learning_rate=0.0)
    assert np.isfinite(loss)
    assert loss < np.log1p(np.exp(np.abs(logits))).sum()


def test_a_final_sigmoid_is_seen_through(trainer_of: MakeTrainer) -> None:
    x = np.random.default_rng(0).normal(size=(8, models.FEATURES)).astype(np.float32)
    target = (x[:, :3] > 0).astype(np.float32)
    batch = {"x": x, "target": target}
    with_sigmoid = trainer_of(models.regression("Sigmoid"), loss="bce-with-logits")
    without = trainer_of(models.regression(), loss="bce-with-logits")
    assert with_sigmoid.train_step(batch, 0.1) == without.train_step(batch, 0.1)
    assert with_sigmoid.evaluate(batch) == without.evaluate(batch)


@pytest.mark.parametrize("activation", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("loss", ["focal", "kl"])
def test_a_final_softmax_is_seen_through(
    loss: str, activation: str, trainer_of: MakeTrainer
) -> None:
    def model(activation: str | None) -> onnx.ModelProto:
        net = Network()
        value = net.node("MatMul", "x", net.weight("w", 4, CLASSES))
        net.node(activation or "Identity", value, output="y")
        return net.model({"x": ("batch", 4)}, {"y": ("batch", CLASSES)})

    random = np.random.default_rng(0)
    x = random.normal(size=(6, 4)).astype(np.float32)
    share = random.dirichlet(np.ones(CLASSES), 6).astype(np.float32)
    batch = {"x": x, "target": share} if loss == "kl" else {"x": x, "labels": np.arange(6) % 5}
    seen, plain = (trainer_of(model(each), loss=loss) for each in (activation, None))
    assert seen.train_step(batch, 0.1) == plain.train_step(batch, 0.1)
    assert seen.evaluate(batch) == plain.evaluate(batch)
