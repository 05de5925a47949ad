"""A training session: reproducible, resumable, the same with both kernels of T."""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer

import svgd_onnx

COUNT, BATCH = 40, 8
STEPS_PER_EPOCH = COUNT // BATCH


def state(trainer: svgd_onnx.Trainer) -> dict[str, np.ndarray]:
    """Everything in the checkpoint: parameters, running statistics, r."""
    names = [item.name for item in trainer.manifest.parameters]
    names += [item.state for item in trainer.manifest.operations if item.state is not None]
    return {name: trainer.tensor(name) for name in names}


def assert_same_bits(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("network", [models.mlp, models.residual])
def test_fused_and_portable_agree_over_100_steps(
    network: Callable[[], onnx.ModelProto], trainer_of: MakeTrainer
) -> None:
    model = network()
    fused, portable = (trainer_of(model, t_kernel=kernel) for kernel in ("fused", "portable"))
    for step in range(100):
        batch = models.examples(model, BATCH, seed=step % 7)
        losses = [trainer.train_step(batch, 0.1) for trainer in (fused, portable)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5), step


@pytest.mark.parametrize("kernel", ["fused", "portable"])
def test_training_is_deterministic(kernel: str, trainer_of: MakeTrainer) -> None:
    model = models.residual()
    results = []
    for _ in range(2):
        trainer = trainer_of(model, t_kernel=kernel)
        data = models.examples(model, COUNT)
        trainer.train(data, epochs=2, batch_size=BATCH, learning_rate=0.1)
        results.append(state(trainer))
    assert_same_bits(*results)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (models.mlp, {}),
        (models.residual, {"t_kernel": "portable"}),
        (models.dropout, {}),
        (models.mlp, {"momentum": 0.9}),
        (models.mlp, {"optimizer": "momentum"}),
        (models.mlp, {"optimizer": "rmsprop"}),
        (models.mlp, {"optimizer": "adamw"}),
    ],
    ids=["svgd", "portable", "dropout", "svgd+momentum", "momentum", "rmsprop", "adamw"],
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    network: Callable[[], onnx.ModelProto], options: dict[str, object], tmp_path: Path
) -> None:
    """Parameters, running statistics, r and the optimizer's state; in the middle of an epoch."""
    model = network()
    data = models.examples(model, COUNT)
    settings = {"batch_size": BATCH, "learning_rate": 0.05}
    for name in ("whole", "parts"):
        svgd_onnx.convert(model, tmp_path / name, **options)
    svgd_onnx.Trainer(tmp_path / "whole", seed=3, threads=1).train(data, steps=13, **settings)
    svgd_onnx.Trainer(tmp_path / "parts", seed=3, threads=1).train(data, steps=7, **settings)
    resumed = svgd_onnx.Trainer(tmp_path / "parts", threads=1)
    resumed.train(data, steps=13, resume=True, **settings)
    assert resumed.step == 13
    assert_same_bits(state(svgd_onnx.Trainer(tmp_path / "whole")), state(resumed))


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    """What was trained after it is trained again, and the log has each step once."""
    model = models.mlp()
    data = models.examples(model, COUNT)
    settings = {"steps": 12, "batch_size": BATCH, "learning_rate": 0.05, "checkpoint_every": 5}
    for name in ("whole", "parts"):
        svgd_onnx.convert(model, tmp_path / name)
    whole = svgd_onnx.Trainer(tmp_path / "whole")
    whole.train(data, log=tmp_path / "whole.csv", **settings)

    class RunInterruptedError(Exception):
        pass

    parts = svgd_onnx.Trainer(tmp_path / "parts")
    save, saved = parts.save, []

    def save_then_stop_at_the_second() -> None:
        save()
        saved.append(parts.step)
        if len(saved) == 2:
            raise RunInterruptedError

    parts.save = save_then_stop_at_the_second  # type: ignore[method-assign]
    with pytest.raises(RunInterruptedError):
        parts.train(data, log=tmp_path / "parts.csv", **settings)
    assert saved == [5, 10]
    resumed = svgd_onnx.Trainer(tmp_path / "parts")
    resumed.train(data, log=tmp_path / "parts.csv", resume=True, **settings)
    assert_same_bits(state(whole), state(resumed))
    assert (tmp_path / "whole.csv").read_text() == (tmp_path / "parts.csv").read_text()


def test_the_log_has_a_row_for_each_logged_step(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    model = models.mlp()
    data = models.examples(model, COUNT)
    log = tmp_path / "log.csv"
    trainer_of(model).train(
        data,
        epochs=2,
        batch_size=BATCH,
        learning_rate=0.1,
        schedule={6: 0.01, 8: 0.001},
        validation=data,
        log=log,
    )
    rows = list(csv.DictReader(log.open()))
    assert [int(row["step"]) for row in rows] == list(range(1, 2 * STEPS_PER_EPOCH + 1))
    assert [int(row["epoch"]) for row in rows] == [0] * STEPS_PER_EPOCH + [1] * STEPS_PER_EPOCH
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == [0.1] * 6 + [0.01] * 2 + [0.001] * 2
    validated = [int(row["step"]) for row in rows if row["validation_accuracy"]]
    assert validated == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH]


def test_training_learns(trainer_of: MakeTrainer) -> None:
    """A rule that a linear layer can learn is learnt."""
    model = models.mlp()
    x = np.random.default_rng(0).normal(size=(400, models.FEATURES)).astype(np.float32)
    data = {"x": x, "labels": x[:, : models.CLASSES].argmax(axis=1)}
    trainer = trainer_of(model)
    before = trainer.evaluate(data)["accuracy"]
    trainer.train(data, epochs=30, batch_size=20, learning_rate=0.2)
    assert before < 0.5
    assert trainer.evaluate(data)["accuracy"] > 0.9


def test_evaluation_uses_running_statistics_and_drops_nothing(trainer_of: MakeTrainer) -> None:
    """One example at a time gives what all at once give."""
    for network in (models.mlp, models.dropout):
        model = network()
        data = models.examples(model, COUNT)
        trainer = trainer_of(model)
        trainer.train(data, epochs=1, batch_size=BATCH, learning_rate=0.1)
        one_by_one = [
            trainer.evaluate({name: array[row : row + 1] for name, array in data.items()})["loss"]
            for row in range(COUNT)
        ]
        assert trainer.evaluate(data)["loss"] == pytest.approx(np.mean(one_by_one), rel=1e-5)


def test_dropout_depends_on_the_seed(tmp_path: Path) -> None:
    model = models.dropout()
    losses = []
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(losses))
        svgd_onnx.convert(model, folder)
        trainer = svgd_onnx.Trainer(folder, seed=seed)
        losses.append(trainer.train_step(models.examples(model), 0.1))
    assert losses[0] == losses[1] != losses[2]


def test_a_step_with_an_infinite_loss_changes_no_parameter(trainer_of: MakeTrainer) -> None:
    model = models.gemm()
    trainer = trainer_of(model)
    trainer.train_step(models.examples(model), 1e38)
    before = {
        item.name: trainer.tensor(item.name)
        for item in trainer.manifest.parameters
        if item.trainable
    }
    with pytest.raises(svgd_onnx.UserError, match="at step 2"):
        trainer.train_step(models.examples(model, seed=2), 0.1)
    assert_same_bits(before, {name: trainer.tensor(name) for name in before})


def test_frozen_parameters_stay(trainer_of: MakeTrainer) -> None:
    model = models.convolutional()
    trainer = trainer_of(model, train=["fc.*"], freeze=["*.bias"])
    trained = {item.name for item in trainer.manifest.parameters if item.trainable}
    assert trained == {"fc.weight"}
    before = state(trainer)
    trainer.train(models.examples(model, COUNT), epochs=1, batch_size=BATCH, learning_rate=0.1)
    for item in trainer.manifest.parameters:
        same = np.array_equal(before[item.name], trainer.tensor(item.name))
        assert same != item.trainable, item.name


def test_a_batch_axis_of_fixed_size_is_respected(trainer_of: MakeTrainer) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="logits")
    model = net.model({"x": (8, 6)}, {"logits": (8, 4)})
    data = models.examples(model, COUNT)
    trainer = trainer_of(model, fixed_batch=True)
    with pytest.raises(svgd_onnx.UserError, match="fixed at 8.*convert it without fixed_batch"):
        trainer.train(data, epochs=1, batch_size=4, learning_rate=0.1)
    with pytest.raises(svgd_onnx.UserError, match="no multiple.*convert it without fixed_batch"):
        trainer.evaluate({name: array[:-1] for name, array in data.items()})
    trainer.train(data, epochs=1, batch_size=8, learning_rate=0.1)
    assert np.isfinite(trainer.evaluate(data)["loss"])


def test_rows_that_are_infinite_from_the_beginning_do_no_harm(trainer_of: MakeTrainer) -> None:
    net = models.Network()
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    rows[0] = -np.inf  # of a word that no example has
    shifted = net.node("Add", net.node("Gather", net.constant("rows", rows), "word"), "x")
    net.node("MatMul", net.node("Softmax", shifted), net.weight("w", 6, 4), output="logits")
    model = net.model({"x": ("N", 6), "word": ("N",)}, {"logits": ("N", 4)}, check=False)
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    random = np.random.default_rng(1)
    data = {
        "x": random.normal(size=(8, 6)).astype(np.float32),
        "word": random.integers(1, 5, size=8),
        "labels": random.integers(4, size=8),
    }
    trainer = trainer_of(model, train=["rows", "w"])
    trainer.train(data, epochs=2, batch_size=4, learning_rate=0.1)
    assert np.isinf(trainer.tensor("rows")[0]).all()
    assert np.isfinite(trainer.tensor("rows")[1:]).all()


def test_a_trainer_stays_with_its_folder_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    svgd_onnx.convert(models.mlp(), "artifacts", verify=False)
    trainer = svgd_onnx.Trainer("artifacts", threads=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    data = models.examples(models.mlp(), COUNT)
    trainer.train(data, epochs=1, batch_size=BATCH, learning_rate=0.1)
    trainer.export("trained.onnx")
    trainer.predict(data)
    assert {path.name for path in Path().iterdir()} == {"trained.onnx"}
    assert svgd_onnx.Trainer(tmp_path / "artifacts").step == STEPS_PER_EPOCH


def test_one_thread_trains_at_a_time(trainer_of: MakeTrainer) -> None:
    arrays = models.examples(models.mlp(), 8)
    trainer = trainer_of(models.mlp())
    stepping, others = threading.Event(), threading.Event()
    refused: list[str] = []

    class Waits(svgd_onnx.Callback):
        def on_step(self, record: object) -> None:
            stepping.set()
            assert others.wait(60)

    def other() -> None:
        assert stepping.wait(60)
        for use in (
            lambda: trainer.train_step(arrays, 0.1),
            lambda: trainer.train(arrays, epochs=1, batch_size=8, learning_rate=0.1),
        ):
            with pytest.raises(svgd_onnx.UserError) as error:
                use()
            refused.append(str(error.value))
        others.set()

    thread = threading.Thread(target=other)
    thread.start()
    trainer.train(arrays, steps=2, batch_size=8, learning_rate=0.1, callbacks=[Waits()])
    thread.join()
    assert len(refused) == 2 and all("Another thread trains" in each for each in refused)
    assert trainer.step == 2
