"""A batch whose gradient is NaN or infinite changes nothing, whether training stops or goes on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer

import svgd_onnx

RATE = 0.05
Batch = dict[str, np.ndarray]


def saturated(width: int) -> tuple[onnx.ModelProto, Batch]:
    """What is infinite behind Exp is 1 behind Tanh, whose slope is 0 there: the loss is finite, 0 * inf not."""
    net = models.Network()
    hidden = net.node(
        "MatMul", net.node("Exp", "x"), net.weight("w1", 64, width, mean=1, scale=0.01)
    )
    net.node("MatMul", net.node("Tanh", hidden), net.weight("w2", width, 4), output="logits")
    bad = {"x": np.full((8, 64), 100, np.float32), "labels": np.zeros(8, np.int64)}
    return net.model({"x": ("N", 64)}, {"logits": ("N", 4)}), bad


def small_gradient() -> tuple[onnx.ModelProto, Batch]:
    """The gradient is read as it is."""
    return saturated(5)


def large_gradient() -> tuple[onnx.ModelProto, Batch]:
    """What the gradient is a product of is read instead."""
    return saturated(300)


def loud() -> tuple[onnx.ModelProto, Batch]:
    """A gradient of 1e25, finite as is its loss, has no square; r would be infinite, and T zero for good."""
    net = models.Network()
    value = net.node("Gemm", "x", net.weight("w", 6, 4), net.weight("b", 4))
    net.node("Mul", value, "gain", output="y")
    model = net.model({"x": ("N", 6), "gain": ("N", 4)}, {"y": ("N", 4)})
    bad = {
        "x": np.ones((8, 6), np.float32),
        "gain": np.full((8, 4), 1e25, np.float32),
        "target": np.zeros((8, 4), np.float32),
    }
    return model, bad


def spread() -> tuple[onnx.ModelProto, Batch]:
    """The variance of 1e25 is infinite, what is divided by it 0: the running variance would be infinite."""
    model = models.mlp()
    bad = models.examples(model, 8)
    bad["x"] = (bad["x"] * 1e25).astype(np.float32)
    return model, bad


def convolved() -> tuple[onnx.ModelProto, Batch]:
    """As `saturated`, of a convolution, which has fast kernels."""
    net = models.Network()
    weight = net.weight("w1", 4, 2, 3, 3, mean=1, scale=0.01)
    hidden = net.node("Conv", net.node("Exp", "x"), weight, kernel_shape=[3, 3])
    flat = net.node("Flatten", net.node("Tanh", hidden))
    net.node("MatMul", flat, net.weight("w2", 36, 4), output="logits")
    bad = {"x": np.full((8, 2, 5, 5), 100, np.float32), "labels": np.zeros(8, np.int64)}
    return net.model({"x": ("N", 2, 5, 5)}, {"logits": ("N", 4)}), bad


MODELS = [small_gradient, large_gradient, loud, spread, convolved]
KINDS = [
    ("ort-training", "fused"),
    ("ort-training", "portable"),
    ("onnx", "fused"),
    ("onnx", "portable"),
]


def good(model: onnx.ModelProto, seed: int, like: Batch) -> Batch:
    batch = models.examples(model, 8, seed=seed)
    return {name: batch[name].astype(like[name].dtype) for name in like}


def state(trainer: svgd_onnx.Trainer) -> dict[str, bytes]:
    """Parameters, running statistics, r; and the optimizer's state as it shows in the next step."""
    names = [item.name for item in trainer.manifest.parameters]
    names += [item.state for item in trainer.manifest.operations if item.state is not None]
    return {name: trainer.tensor(name).tobytes() for name in names}


@pytest.mark.parametrize(("target", "kernel"), KINDS)
@pytest.mark.parametrize("case", MODELS)
def test_training_stops_and_names_step_and_layer(
    case: Callable[[], tuple[onnx.ModelProto, Batch]],
    target: str,
    kernel: str,
    trainer_of: MakeTrainer,
) -> None:
    model, bad = case()
    loss = "l1" if "target" in bad else "cross-entropy"
    trainer = trainer_of(model, target=target, t_kernel=kernel, loss=loss)
    batch = {**bad, "gain": np.ones_like(bad["gain"])} if "gain" in bad else good(model, 1, bad)
    trainer.train_step(batch, RATE)
    before = state(trainer)
    layer = {"spread": "bn.", "loud": "w'"}.get(case.__name__, "w1'")
    with pytest.raises(svgd_onnx.UserError, match=f"'{layer}.* NaN or infinite at step 2"):
        trainer.train_step(bad, RATE)
    assert state(trainer) == before
    assert trainer.step == 1


@pytest.mark.parametrize(("target", "kernel"), KINDS)
@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
def test_a_run_that_leaves_steps_out_is_one_without_them(
    optimizer: str, target: str, kernel: str, tmp_path: Path
) -> None:
    model, bad = small_gradient()
    states = []
    for name, batches in {"with": [1, bad, 2, bad, 3], "without": [1, 2, 3]}.items():
        options = {"target": target, "t_kernel": kernel, "optimizer": optimizer}
        svgd_onnx.convert(model, tmp_path / name, verify=False, **options)
        trainer = svgd_onnx.Trainer(tmp_path / name, threads=1, non_finite="skip")
        for batch in batches:
            trainer.train_step(good(model, batch, bad) if isinstance(batch, int) else batch, RATE)
        assert (trainer.step, trainer.skipped) == (len(batches), len(batches) - 3)
        states.append(state(trainer))
    assert states[0] == states[1]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_what_was_left_out_is_counted_logged_and_resumed(target: str, tmp_path: Path) -> None:
    model, bad = small_gradient()
    data = models.examples(model, 40)
    data["x"][7] = 100
    states = []
    for name, parts in (("whole", [10]), ("parts", [5, 10])):
        svgd_onnx.convert(model, tmp_path / name, target=target, verify=False)
        for steps in parts:
            trainer = svgd_onnx.Trainer(tmp_path / name, threads=1, non_finite="skip")
            options = {"steps": steps, "batch_size": 8, "resume": steps != parts[0]}
            trainer.train(data, learning_rate=RATE, log=tmp_path / f"{name}.csv", **options)
        assert trainer.skipped == 2  # one an epoch
        states.append(state(trainer))
    assert states[0] == states[1]
    assert (tmp_path / "whole.csv").read_text() == (tmp_path / "parts.csv").read_text()
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "whole.csv").open())]
    assert int(np.isnan(losses).sum()) == 2


@pytest.mark.parametrize(
    ("target", "kernels"), [("ort-training", "auto"), ("onnx", "fast"), ("onnx", "standard")]
)
@pytest.mark.parametrize(
    "width", [5, 1 << 16]
)  # the gradient of a large weight is looked at before
@pytest.mark.parametrize("optimizer", ["rmsprop", "adamw", "lamb", "adafactor"])
def test_a_gradient_whose_square_is_infinite_gets_into_no_second_moment(
    optimizer: str, width: int, target: str, kernels: str, tmp_path: Path
) -> None:
    """A direction is a number divided by the root of that, which is NaN, or 0 from then on."""
    net = models.Network()
    hidden = net.node("MatMul", "x", net.weight("w1", 4, width, scale=1e-3))
    net.node("MatMul", hidden, net.weight("w2", width, 4), output="logits")
    model = net.model({"x": ("N", 4)}, {"logits": ("N", 4)})
    svgd_onnx.convert(model, tmp_path / "a", target=target, optimizer=optimizer, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", kernels=kernels, threads=1)
    batch = models.examples(model, 8)
    trainer.train_step(batch, 1e-4)
    names = [*trainer.manifest.parameters, *trainer.manifest.states]
    before = {each.name: trainer.tensor(each.name).tobytes() for each in names}
    bad = {**batch, "x": batch["x"] * np.float32(1e21)}
    assert np.isfinite(trainer.evaluate(bad)["loss"])
    with pytest.raises(svgd_onnx.UserError, match="infinite at step 2"):
        trainer.train_step(bad, 1e-4)
    assert {each.name: trainer.tensor(each.name).tobytes() for each in names} == before


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("optimizer", ["svgd", "adamw", "lion"])
def test_accumulated_batches_that_are_left_out_are_made_up_for(
    optimizer: str, target: str, tmp_path: Path
) -> None:
    """A step of two batches has two that count."""
    model, bad = small_gradient()
    states = []
    for name, batches in {"with": [1, bad, 2], "without": [1, 2]}.items():
        options = {"target": target, "optimizer": optimizer, "accumulation_steps": 2}
        svgd_onnx.convert(model, tmp_path / name, verify=False, **options)
        trainer = svgd_onnx.Trainer(tmp_path / name, threads=1, non_finite="skip")
        for batch in batches:
            trainer.train_step(good(model, batch, bad) if isinstance(batch, int) else batch, RATE)
        states.append(state(trainer))
    assert states[0] == states[1]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_an_infinite_r_is_refused_before_the_first_step(
    target: str, trainer_of: MakeTrainer
) -> None:
    model, bad = small_gradient()
    trainer = trainer_of(model, target=target)
    trainer._session.tensor("svgd.r.w1")[0] = np.inf  # a view
    with pytest.raises(svgd_onnx.UserError, match=r"'svgd\.r\.w1' is NaN or infinite"):
        trainer.train_step(good(model, 1, bad), RATE)


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_a_parameter_that_was_nan_already_is_named(target: str, trainer_of: MakeTrainer) -> None:
    model, bad = small_gradient()
    trainer = trainer_of(model, target=target)
    trainer._session.tensor("w1")[0] = np.nan  # a view
    with pytest.raises(svgd_onnx.UserError, match="'w1' had NaN or infinities in the checkpoint"):
        trainer.train_step(good(model, 1, bad), RATE)


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_rows_that_no_example_reads_and_masked_logits_may_be_infinite(
    target: str, trainer_of: MakeTrainer
) -> None:
    net = models.Network()
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    rows[0] = -np.inf  # of a word that no example has
    value = net.node(
        "MatMul", net.node("Gather", net.constant("rows", rows), "word"), net.weight("w", 6, 4)
    )
    mask = np.array([0, 0, 0, -np.inf], np.float32)
    net.node("Add", value, net.constant("mask", mask), output="logits")
    model = net.model({"word": ("N",)}, {"logits": ("N", 4)}, check=False)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    trainer = trainer_of(model, target=target, train=["rows", "w"])
    random = np.random.default_rng(1)
    data = {"word": random.integers(1, 5, size=16), "labels": random.integers(3, size=16)}
    before = trainer.tensor("rows")
    trainer.train(data, epochs=3, batch_size=8, learning_rate=RATE)
    after = trainer.tensor("rows")
    assert np.isinf(after[0]).all()
    assert np.isfinite(after[1:]).all()
    assert (after[1:] != before[1:]).any()
