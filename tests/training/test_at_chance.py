"""A training whose loss stays that of guessing is told so, once; one that learns is not."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
import reference.losses as reference
from conftest import Run

import svgd_onnx
from svgd_onnx import LossSettings
from svgd_onnx.errors import Advice
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.at_chance import AtChance
from svgd_onnx.transforms.losses import loss_named

SAID = (
    "The training loss is still that of guessing, 1.39, and does not fall: begin anew with a lower "
)
EXAMPLES = models.examples(models.mlp(), 64)


def untrained() -> onnx.ModelProto:
    """The MLP with a last layer of zeros, whose loss is log 4 to begin with."""
    model = models.mlp()
    for tensor in model.graph.initializer:
        if tensor.name.startswith("fc2"):
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(np.zeros(tensor.dims, np.float32), tensor.name)
            )
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    svgd_onnx.convert(untrained(), tmp_path / "a", target="onnx", verify=False)
    return tmp_path / "a"


def told(folder: Path, **options: Any) -> list[str]:
    settings = {"batch_size": 8, "epochs": 8, "learning_rate": 1e-9, **options}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        svgd_onnx.Trainer(folder).fit(EXAMPLES, **settings)
    return [str(each.message) for each in caught if isinstance(each.message, Advice)]


def test_what_learns_nothing_is_told_once(folder: Path) -> None:
    (said,) = told(folder)
    assert said.startswith(f"{SAID}learning_rate, as a tenth of it")


def test_what_learns_is_not(folder: Path) -> None:
    assert told(folder, learning_rate=0.3) == []


@pytest.mark.parametrize("options", [{"epochs": 1, "batch_size": 1}, {"epochs": 6}])
def test_few_steps_and_one_epoch_say_nothing(options: dict[str, int], folder: Path) -> None:
    assert told(folder, **options) == []


def test_the_command_line_says_it(run: Run, folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **EXAMPLES)
    options = ("--epochs", 8, "--batch-size", 8, "--learning-rate", 1e-9)
    done = run("train", folder, "--data", tmp_path / "d.npz", *options)
    assert done.code == 0
    assert done.err.startswith(f"svgd-onnx: {SAID}--learning-rate, ") and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("means", "nothing"),
    [
        ([1.39, 1.388, 1.387], True),
        ([2.4, 1.6, 1.387], True),  # it blew up, and died
        ([1.39, 1.384, 1.378], False),  # it begins
        ([1.39, 1.2, 1.387], False),  # it had learned something
        ([1.39, 1.6, 1.9], False),  # it is worse than guessing: that is seen
        ([0.7, 0.7, 0.7], False),
        ([1.387, float("nan"), 1.387], True),
    ],
)
def test_what_counts_as_nothing(means: Sequence[float], nothing: bool, folder: Path) -> None:
    chance = AtChance(Manifest.load(folder))
    for epoch, mean in enumerate(means):
        for step in range(50):
            chance.note(epoch, mean + 0.1 * (-1) ** step)
    assert chance.has_learned_nothing() == nothing


WEIGHTS = (1.0, 2.0, 0.5, 3.0, 1.0)


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        ("cross-entropy", {}),
        ("cross-entropy", {"class_weights": WEIGHTS}),
        ("cross-entropy", {"label_smoothing": 0.1}),
        ("cross-entropy", {"ignore_index": 2}),
        ("focal", {"focal_gamma": 2.0}),
        ("focal", {"focal_gamma": 0.5, "class_weights": WEIGHTS}),
        ("bce-with-logits", {}),
    ],
)
def test_the_loss_of_guessing_is_that_of_equal_scores(loss: str, settings: dict[str, Any]) -> None:
    scores = np.full((20, 5), 0.0)
    random = np.random.default_rng(0)
    target = random.integers(0, 5, 20) if loss != "bce-with-logits" else random.random((20, 5))
    function = getattr(reference, loss.replace("-", "_"))
    expected, _ = function(scores, target, **settings)
    found = loss_named(loss).of_guessing(5, LossSettings(**settings))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "bce-with-logits", "mse", "hinge"])
def test_a_sum_and_other_losses_have_none(loss: str) -> None:
    assert loss_named(loss).of_guessing(5, LossSettings(reduction="sum")) is None
    if loss in ("mse", "hinge"):
        assert loss_named(loss).of_guessing(5, LossSettings()) is None
