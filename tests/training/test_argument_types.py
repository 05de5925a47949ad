"""Numbers and switches as callers in Python have them: NumPy's count, and what is none is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
        ("metrics", 5, "a list of texts"),
        ("metrics", [5], "a list of texts"),
        ("metrics", None, "a list of texts"),
        ("log", 5, "a path"),
        ("tensorboard", [], "a path"),
        ("augment", "x", "a function"),
        ("validation", np.array(3), "is none"),
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


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("checkpoint", None, "a text"),
        ("device", [], "a text"),
        ("device_options", [5], "a dictionary"),
        ("communicator", True, "what svgd_onnx.distributed.join gives"),
    ],
)
def test_a_trainer_is_not_opened_with_something_else(
    trainer_of: MakeTrainer, name: str, value: Any, wanted: str
) -> None:
    folder = trainer_of(MODEL)._folder
    with pytest.raises(svgd_onnx.UserError, match=f"^{name} is .*, but must be {wanted}"):
        svgd_onnx.Trainer(folder, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("columns", "x=a,b", "a dictionary"),
        ("columns", {"x": 5}, "a list of texts"),
        ("transform", None, "a list of texts"),
        ("transform", [5], "a list of texts"),
        ("classes", None, "a list of texts"),
        ("classes", {"labels": 5}, "a list of texts"),
    ],
)
def test_data_are_not_opened_with_something_else(
    tmp_path: Path, name: str, value: Any, wanted: str
) -> None:
    np.savez(tmp_path / "data.npz", **DATA)
    with pytest.raises(svgd_onnx.UserError, match=f"^{name} is .*, but must be {wanted}"):
        svgd_onnx.load_data(tmp_path / "data.npz", **{name: value})


def test_what_a_trainer_is_asked_is_refused_in_a_sentence(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL)
    asked: list[tuple[Callable[[Any], object], Any, str]] = [
        (trainer.tensor, [], "a text"),
        (trainer.set_tensors, [], "a dictionary"),
        (trainer.export, None, "a path"),
        (lambda size: trainer.predict(DATA, batch_size=size), None, "a whole number"),
        (lambda workers: trainer.predict(DATA, workers=workers), "x", "a whole number"),
        (lambda metrics: trainer.evaluate(DATA, metrics=metrics), 5, "a list of texts"),
    ]
    for ask, value, wanted in asked:
        with pytest.raises(svgd_onnx.UserError, match=f"but must be {wanted}"):
            ask(value)


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


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("steps", [1.5, float("nan"), -1, 2**63, "a", None, np.float32(1), True])
def test_tensors_count_as_so_many_steps(trainer_of: MakeTrainer, target: str, steps: Any) -> None:
    trainer = trainer_of(MODEL, target=target)
    trainer.set_tensors({}, steps=np.int64(2))
    before = trainer.tensor("fc1.weight")
    with pytest.raises(svgd_onnx.UserError, match="^steps is .*, but must be"):
        trainer.set_tensors({"fc1.weight": 0 * before}, steps=steps)
    np.testing.assert_array_equal(trainer.tensor("fc1.weight"), before)
    trainer.save()
    assert svgd_onnx.Trainer(trainer._folder).step == 2


def test_steps_are_counted_by_the_training_that_makes_them(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL)

    class Counting(svgd_onnx.Callback):
        def on_step(self, record: svgd_onnx.Record) -> None:
            trainer.set_tensors({})
            for ask in (lambda: trainer.set_tensors({}, steps=1), trainer.begin_epoch):
                with pytest.raises(svgd_onnx.UserError, match="This trainer is training"):
                    ask()

    trainer.train(DATA, callbacks=[Counting()], **HOW)
    assert trainer.step == HOW["steps"]


def test_a_table_of_pandas_is_refused_in_a_sentence(trainer_of: MakeTrainer) -> None:
    class Table:
        def __len__(self) -> int:
            return 40

        def __getitem__(self, name: object) -> object:
            raise KeyError(name)

    trainer = trainer_of(MODEL)
    asked = (trainer.evaluate, trainer.predict, svgd_onnx.load_data)
    for ask in asked:
        with pytest.raises(svgd_onnx.UserError, match="Data of Table gives no example for the num"):
            ask(Table())


@pytest.mark.parametrize("model", [b"ONNX", None, 5])
def test_what_is_no_model_is_refused_in_a_sentence(tmp_path: Path, model: Any) -> None:
    with pytest.raises(svgd_onnx.UserError, match="^The model is of the type .*: give an ONNX"):
        svgd_onnx.convert(model, tmp_path / "a")
    with pytest.raises(svgd_onnx.UserError, match="^path is .*, but must be a path"):
        svgd_onnx.inspect(model)
    with pytest.raises(svgd_onnx.UserError, match="^output is .*, but must be a path"):
        svgd_onnx.convert(MODEL, "a\0")
