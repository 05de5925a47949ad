"""Batches and data in which no label counts: they teach nothing, and never give NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network

import svgd_onnx
from svgd_onnx import LossSettings

WITHOUT_2 = (1.0, 3.0, 0.0)
RANDOM = np.random.default_rng(0)


def network() -> onnx.ModelProto:
    """x (batch, 4) -> y (batch, 3)."""
    net = Network()
    net.node("MatMul", "x", net.weight("w", 4, 3, scale=1.0), output="y")
    return net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        ("cross-entropy", {"class_weights": WITHOUT_2}),
        ("cross-entropy", {"class_weights": WITHOUT_2, "label_smoothing": 0.2}),
        ("focal", {"class_weights": WITHOUT_2}),
        ("hinge", {"class_weights": WITHOUT_2}),
        ("hinge", {"ignore_index": 2}),
    ],
)
def test_a_batch_in_which_no_label_counts_changes_nothing(
    loss: str, settings: dict[str, Any], target: str, trainer_of: MakeTrainer
) -> None:
    x = RANDOM.normal(size=(4, 4)).astype(np.float32)
    data = {"x": x, "labels": np.array([2, 2, 1, 2])}
    once, alone = (
        trainer_of(
            network(),
            loss=loss,
            loss_settings=LossSettings(**settings),
            optimizer="sgd",
            target=target,
        )
        for _ in range(2)
    )
    once.train(data, epochs=1, batch_size=1, learning_rate=1.0)
    alone.train_step({"x": x[2:3], "labels": np.array([1])}, 1.0)
    np.testing.assert_array_equal(once.tensor("w"), alone.tensor("w"))
    one = {name: array[2:3] for name, array in data.items()}
    assert once.evaluate(data) == pytest.approx(once.evaluate(one))


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_a_batch_without_a_triplet_changes_nothing(target: str, trainer_of: MakeTrainer) -> None:
    x = RANDOM.normal(size=(4, 4)).astype(np.float32)
    trainer = trainer_of(network(), loss="triplet", optimizer="sgd", target=target)
    before = trainer.tensor("w")
    data = {"x": x, "labels": np.array([5, 5, 8, 8])}
    trainer.train(data, epochs=2, batch_size=2, learning_rate=1.0)  # of two, none has both others
    np.testing.assert_array_equal(trainer.tensor("w"), before)
    assert trainer.evaluate(data)["loss"] > 0


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_embeddings_that_are_equal_have_a_finite_gradient(
    target: str, trainer_of: MakeTrainer
) -> None:
    x = RANDOM.normal(size=(4, 4)).astype(np.float32)
    x[1] = x[0]
    trainer = trainer_of(network(), loss="triplet", optimizer="sgd", target=target)
    trainer.train_step({"x": x, "labels": np.array([0, 0, 1, 1])}, 0.1)
    trainer.check_finite()


@pytest.mark.parametrize(
    ("loss", "settings", "labels", "message"),
    [
        ("focal", {"class_weights": WITHOUT_2}, [2, 2], "whose weight in class_weights is 0"),
        ("hinge", {"ignore_index": 1}, [1, 1], "is 1, which is to be ignored"),
        ("triplet", {}, [0, 1], "No label in array 'labels' of the data is there twice"),
        ("triplet", {}, [3, 3], "No label in array 'labels' of the data is there twice"),
    ],
)
def test_data_in_which_no_label_counts_is_refused(
    loss: str, settings: dict[str, Any], labels: list[int], message: str, trainer_of: MakeTrainer
) -> None:
    trainer = trainer_of(network(), loss=loss, loss_settings=LossSettings(**settings))
    with pytest.raises(svgd_onnx.UserError, match=message):
        trainer.evaluate({"x": np.zeros((2, 4), np.float32), "labels": np.array(labels)})


def test_a_distribution_is_not_negative(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(network(), loss="kl")
    batch = {"x": np.zeros((1, 4), np.float32), "target": np.array([[1.5, -0.5, 0]], np.float32)}
    with pytest.raises(svgd_onnx.UserError, match="Array 'target' in the batch has -0.5 in row 0"):
        trainer.train_step(batch, 0.1)


@pytest.mark.parametrize("dims", [(2, 4), (4,)])
def test_a_triplet_takes_three_embeddings(dims: tuple[int, ...]) -> None:
    net = Network()
    net.node("Mul", "x", net.weight("w", 4), output="y")
    model = net.model({"x": dims}, {"y": dims})
    with pytest.raises(svgd_onnx.UserError, match="triplet compares"):
        svgd_onnx.check(model, loss="triplet", fixed_batch=True)


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("loss", ["kl", "focal", "hinge", "triplet"])
def test_conversion_verifies_it(loss: str, target: str, trainer_of: MakeTrainer) -> None:
    manifest = trainer_of(network(), loss=loss, target=target, verify=True).manifest
    assert manifest.verified is not None
    assert manifest.verified.unresolved == []
    assert all(item.error < 1e-4 for item in svgd_onnx.check(network(), loss=loss, target=target))
