"""Numbers and switches as callers in Python have them: NumPy's count, and what is none is refused at once."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.targets import TARGETS

MODEL = models.mlp()
DATA = models.examples(MODEL, 40)
HOW: dict[str, Any] = {"steps": 2, "batch_size": 8, "learning_rate": 0.1}


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_of_numpy_are_those_of_python(trainer_of: MakeTrainer, target: str) -> None:
    trained = {}
    for kind in ("python", "numpy"):
        whole, real = (int, float) if kind == "python" else (np.int64, np.float64)
        folder = trainer_of(MODEL, target=target)._folder
        trainer = svgd_onnx.Trainer(folder, seed=whole(3), threads=whole(1))
        result = trainer.train(
            DATA,
            epochs=whole(1),
            batch_size=whole(8),
            learning_rate=real(0.1),
            validation=0.25,
            early_stopping=whole(2),
            min_delta=real(0.0),
            checkpoint_every=whole(2),
            checkpoint_keep=whole(2),
            log_every=whole(1),
            workers=whole(1),
            shuffle=np.bool_(True) if kind == "numpy" else True,
        )
        assert svgd_onnx.Trainer(folder).step == trainer.step > 0
        trained[kind] = result
    assert trained["numpy"] == trained["python"]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("steps", 2.0, "a whole number"),
        ("steps", True, "a whole number"),
        ("batch_size", "8", "a whole number"),
        ("batch_size", None, "a whole number"),
        ("checkpoint_every", 1.5, "a whole number"),
        ("early_stopping", float("nan"), "a whole number"),
        ("log_every", 1.5, "a whole number"),
        ("workers", "x", "a whole number"),
        ("learning_rate", "0.1", "a number"),
        ("learning_rate", 1e39, "finite as float32"),
        ("learning_rate", 10**400, "a number that float holds"),
        ("min_delta", "x", "a number"),
        ("shuffle", "no", "True or False"),
        ("resume", None, "True or False"),
        ("schedule", {1.5: 0.1}, "a whole number"),
    ],
)
def test_what_is_none_is_refused_before_a_step(
    trainer_of: MakeTrainer, name: str, value: object, wanted: str
) -> None:
    trainer = trainer_of(MODEL)
    with pytest.raises(svgd_onnx.UserError, match=wanted):
        trainer.train(DATA, **{**HOW, name: value})
    assert trainer.step == 0


@pytest.mark.parametrize(("name", "value"), [("seed", 1.5), ("seed", True), ("threads", 1.5)])
def test_a_trainer_is_not_opened_with_one(
    trainer_of: MakeTrainer, name: str, value: object
) -> None:
    folder = trainer_of(MODEL)._folder
    with pytest.raises(
        svgd_onnx.UserError, match=f"^{name} is {value}, but must be a whole number"
    ):
        svgd_onnx.Trainer(folder, **{name: value})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 1e39, -0.1, None, "0.1", [0.1]])
def test_a_step_takes_the_rates_that_training_takes(
    trainer_of: MakeTrainer, target: str, rate: Any
) -> None:
    trainer = trainer_of(MODEL, target=target)
    batch = {name: array[:8] for name, array in DATA.items()}
    trainer.train_step(batch, 0.1)
    before = {item.name: trainer.tensor(item.name) for item in trainer.manifest.parameters}
    with pytest.raises(svgd_onnx.UserError, match="learning.rate"):
        trainer.train_step(batch, rate)
    for name, array in before.items():
        np.testing.assert_array_equal(trainer.tensor(name), array)


@pytest.mark.parametrize(
    "batch", [None, (np.zeros((8, 8)), np.zeros(8)), {"x": [[1.0], [1.0, 2.0]], "labels": [0, 1]}]
)
def test_a_batch_is_arrays_by_name(trainer_of: MakeTrainer, batch: Any) -> None:
    with pytest.raises(svgd_onnx.UserError, match="the batch|The batch"):
        trainer_of(MODEL).train_step(batch, 0.1)
