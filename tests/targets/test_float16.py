"""Products in float16, and the scale of the loss.

onnxruntime's processor computes them in float32: what float16 rounds is seen by the ONNX package's own
evaluation, which is NumPy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import Answer
from models import Network
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import svgd_onnx
from svgd_onnx import UserError
from svgd_onnx.step_names import GOOD_STEPS, LEARNING_RATE, LEFT_OUT, LOSS, LOSS_SCALE, NEW_SUFFIX
from svgd_onnx.transforms.optimizers import loss_scale

RATE = 0.1
RANDOM = np.random.default_rng(0)
F16 = np.float16
OPEN: dict[str, Any] = {"loss": "mse", "target": "onnx", "compute": "float16", "verify": False}


def network() -> onnx.ModelProto:
    """y = tanh(x v) w: (batch, 4) -> (batch, 5) -> (batch, 3)."""
    net = Network()
    hidden = net.node("Tanh", net.node("MatMul", "x", net.weight("v", 4, 5, scale=0.5)))
    net.node("MatMul", hidden, net.weight("w", 5, 3, scale=0.5), output="y")
    return net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})


def batch(size: float = 1.0) -> dict[str, np.ndarray]:
    x = size * RANDOM.normal(size=(8, 4))
    return {"x": x.astype(np.float32), "target": RANDOM.normal(size=(8, 3)).astype(np.float32)}


class OneHot(OpRun):
    """The package's own takes no depth that is a vector of one number."""

    def _run(self, indices: Any, depth: Any, values: Any, axis: int = -1) -> tuple[Any]:
        wanted = np.arange(int(np.ravel(depth)[0]))
        hot = indices[..., np.newaxis] == wanted
        return (np.moveaxis(np.where(hot, values[1], values[0]), -1, axis),)


class Steps:
    """The steps of a folder, computed with true float16."""

    def __init__(self, folder: Path) -> None:
        self._model = ReferenceEvaluator(str(folder / "training_step.onnx"), new_ops=[OneHot])
        self.tensors = load_file(folder / "checkpoint.safetensors")

    def step(self, arrays: Mapping[str, np.ndarray], rate: float = RATE) -> float:
        given = {**self.tensors, **arrays, LEARNING_RATE: np.array(rate, np.float32)}
        names = self._model.output_names
        with np.errstate(all="ignore"):
            wanted = {name: given[name] for name in self._model.input_names}
            found = dict(zip(names, self._model.run(names, wanted)))
        loss = float(found[LOSS])
        if np.isfinite(loss):
            news = {name: value for name, value in found.items() if name.endswith(NEW_SUFFIX)}
            self.tensors |= {name.removesuffix(NEW_SUFFIX): value for name, value in news.items()}
        return loss


def converted(folder: Path, model: onnx.ModelProto | None = None, **options: Any) -> Steps:
    svgd_onnx.convert(model or network(), folder / "a", **{**OPEN, **options}, force=True)
    return Steps(folder / "a")


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(F16) @ b.astype(F16)).astype(np.float32)


def gradients(
    v: np.ndarray, w: np.ndarray, arrays: Mapping[str, np.ndarray], scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By v, by w, by x v and by y of the mean squared error times a scale, products in float16."""
    x, target = arrays["x"], arrays["target"]
    with np.errstate(all="ignore"):
        hidden = np.tanh(product(x, v))
        by_y = np.float32(2 * scale / target.size) * (product(hidden, w) - target)
        by_hidden = product(by_y, w.T) * (1 - hidden**2)
        return product(x.T, by_hidden), product(hidden.T, by_y), by_hidden, by_y


def test_a_step_is_the_one_of_products_in_float16(tmp_path: Path) -> None:
    steps = converted(tmp_path, optimizer="sgd", loss_scale=1024)
    for _ in range(3):
        arrays = batch()
        v, w = steps.tensors["v"], steps.tensors["w"]
        by_v, by_w, *_ = gradients(v, w, arrays, 1024)
        steps.step(arrays)
        np.testing.assert_allclose(steps.tensors["v"], v - RATE * by_v / 1024, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(steps.tensors["w"], w - RATE * by_w / 1024, rtol=1e-6, atol=1e-7)
        assert steps.tensors["v"].dtype == np.float32


def test_r_is_of_the_gradient_without_the_scale(tmp_path: Path) -> None:
    arrays = batch()
    scaled = converted(tmp_path, loss_scale=4096.0)
    v, w = scaled.tensors["v"], scaled.tensors["w"]
    *_, by_hidden, by_y = gradients(v, w, arrays, 1.0)
    scaled.step(arrays)
    plain = converted(tmp_path, compute="float32", loss_scale=None)
    plain.step(arrays)
    states = [name for name in scaled.tensors if name not in ("v", "w")]
    assert len(states) == 2
    for name in states:
        assert scaled.tensors[name].dtype == np.float32
        np.testing.assert_allclose(scaled.tensors[name], plain.tensors[name], rtol=5e-3, atol=1e-9)
    np.testing.assert_allclose(scaled.tensors["w"], plain.tensors["w"], rtol=2e-3, atol=1e-5)


def test_what_is_too_small_for_float16_arrives_by_the_scale(tmp_path: Path) -> None:
    arrays = {**batch(), "y_target": np.zeros((8, 3), np.float32)}
    moved = []
    for scale in (1, 2**20):
        loss = {"y": svgd_onnx.OutputLoss("mse", weight=1e-8)}
        steps = converted(tmp_path, loss=loss, optimizer="sgd", loss_scale=scale)
        before = steps.tensors["v"]
        steps.step(arrays, rate=1e6)
        moved.append(float(np.abs(steps.tensors["v"] - before).max()))
    assert moved[0] == 0 < moved[1]


def test_the_scale_follows_a_plain_grad_scaler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's: halves and leaves out where a gradient is not finite, doubles after so many that were."""
    monkeypatch.setattr(loss_scale, "GROWTH_INTERVAL", 3)
    steps = converted(tmp_path, optimizer="sgd")
    scale, good, left_out = 65536.0, 0, 0
    v, w = steps.tensors["v"], steps.tensors["w"]
    for number in range(40):
        arrays = batch(size=3000.0 if number % 5 == 0 else 1.0)
        assert np.isfinite(steps.step(arrays))
        by_v, by_w, *_ = gradients(v, w, arrays, scale)
        if np.isfinite(by_v).all() and np.isfinite(by_w).all():
            v, w = v - np.float32(RATE) * by_v / np.float32(scale), w - RATE * by_w / scale
            v, w = v.astype(np.float32), w.astype(np.float32)
            good += 1
            if good == 3:
                scale, good = scale * 2, 0
        else:
            scale, good, left_out = scale / 2, 0, left_out + 1
        assert (steps.tensors[LOSS_SCALE], steps.tensors[GOOD_STEPS]) == (scale, good), number
        np.testing.assert_allclose(steps.tensors["v"], v, rtol=1e-3, atol=1e-4)
    assert 2 < left_out < 38


@pytest.mark.parametrize("optimizer", ["svgd", "adamw", "lion"])
def test_a_step_that_is_left_out_changes_nothing_but_the_scale(
    optimizer: str, tmp_path: Path
) -> None:
    model = models.mlp()  # with running statistics
    options: dict[str, Any] = {"optimizer": optimizer, "ema": 0.9, "clip_norm": 1.0}
    steps = converted(tmp_path, model, loss="cross-entropy", **options)
    arrays = models.examples(model, 8)
    steps.step(arrays)
    steps.tensors[LOSS_SCALE] = np.array(2.0**100, np.float32)
    before = dict(steps.tensors)
    assert np.isfinite(steps.step(arrays))
    changed = {name for name in before if not np.array_equal(before[name], steps.tensors[name])}
    assert changed == {LOSS_SCALE, GOOD_STEPS, LEFT_OUT}
    now = [float(steps.tensors[name]) for name in (LOSS_SCALE, GOOD_STEPS, LEFT_OUT)]
    assert now == [2.0**99, 0, 1]


def test_where_no_scale_helps_the_loss_says_so(tmp_path: Path) -> None:
    steps = converted(tmp_path, optimizer="sgd")
    steps.tensors[LOSS_SCALE] = np.array(2.0**-17, np.float32)
    steps.tensors["w"] = np.full((5, 3), 6e4, np.float32)
    assert np.isnan(steps.step({"x": batch()["x"], "target": np.full((8, 3), -1e30, np.float32)}))


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05, "l1": 0.01}, {"recompute": True}])
@pytest.mark.parametrize("optimizer", ["svgd", "momentum"])
def test_training_is_that_of_float32_but_for_rounding(
    optimizer: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model = models.convolutional()
    arrays = models.examples(model, 4)
    ends = []
    for compute in ("float32", "float16"):
        numbers = {"compute": compute, "optimizer": optimizer, "loss": "cross-entropy"}
        scale = 1024 if compute == "float16" else None
        steps = converted(tmp_path, model, loss_scale=scale, **numbers, **options)
        first = dict(steps.tensors)
        losses = [steps.step(arrays, 0.05) for _ in range(5)]
        ends.append((losses, steps.tensors))
    (expected, single), (found, half) = ends
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    for name, array in single.items():
        moved = float(np.abs(array - first[name]).max())
        assert float(np.abs(half[name] - array).max()) <= 0.05 * moved + 1e-6, name


def test_steps_that_are_left_out_are_counted(tmp_path: Path) -> None:
    arrays = {"x": batch()["x"], "target": np.full((8, 3), 3e4, np.float32)}
    converted(tmp_path, optimizer="sgd")
    checkpoint = tmp_path / "a" / "checkpoint.safetensors"
    with safe_open(checkpoint, "numpy") as file:
        metadata = file.metadata()
    scale = {LOSS_SCALE: np.array(2.0**127, np.float32)}
    save_file({**load_file(checkpoint), **scale}, checkpoint, metadata)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    trainer.train(arrays, steps=30, batch_size=8, learning_rate=1e-6)
    assert trainer.step == 30 and 0 < trainer.skipped < 30
    assert trainer.tensor(LOSS_SCALE) == 2.0 ** (127 - trainer.skipped)


def test_a_run_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    model = models.mlp()
    arrays = models.examples(model, 16)
    options: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.01}
    ends = []
    for parts in ((6,), (3, 6)):
        manifest = svgd_onnx.convert(
            model, tmp_path / "a", target="onnx", compute="float16", force=True
        )
        assert (manifest.compute, manifest.loss_scale) == ("float16", "dynamic")
        assert manifest.verified is not None
        assert not (tmp_path / "a" / "training_step.fast.onnx").exists()
        for steps in parts:
            trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
            trainer.train(arrays, steps=steps, **options)
        ends.append([trainer.tensor(each.name) for each in manifest.parameters])
        assert trainer.tensor(GOOD_STEPS) == 6
    for one, other in zip(*ends):
        np.testing.assert_array_equal(one, other)
    trainer.export(tmp_path / "trained.onnx")
    exported = onnx.load(tmp_path / "trained.onnx")
    assert {each.data_type for each in exported.graph.initializer} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "ort-training"}, "compute='float16' is of the target onnx"),
        ({"accumulation_steps": 2}, "give loss_scale a number"),
        ({"compute": "float32", "loss_scale": 8}, "loss_scale is of float16: give compute"),
        ({"compute": "bfloat16"}, "Unknown compute 'bfloat16': choose from float32, float16"),
        ({"loss_scale": 0}, "loss_scale is 0, but must be above 0"),
        (
            {"loss_scale": "much"},
            "loss_scale is much, but must be above 0, as float32, or 'dynamic'",
        ),
        ({"loss_scale": True}, "loss_scale is True"),
        ({"gradient_norms": True}, "gradients as they are, which compute='float16' scales"),
    ],
)
def test_what_is_refused(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        converted(tmp_path, **options)
    assert not (tmp_path / "a").exists()


def test_batches_are_accumulated_with_a_fixed_scale(tmp_path: Path) -> None:
    arrays = models.examples(models.mlp(), 8)
    ends = []
    for compute in ({}, {"compute": "float16", "loss_scale": 1024}):
        options: dict[str, Any] = {"target": "onnx", "accumulation_steps": 2, "force": True}
        svgd_onnx.convert(models.mlp(), tmp_path / "a", verify=False, **options, **compute)
        trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
        trainer.train(arrays, steps=4, batch_size=4, learning_rate=0.1)
        ends.append(trainer.tensor("fc2.weight"))
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-2, atol=1e-4)


def test_a_model_without_products_is_told(tmp_path: Path) -> None:
    net = Network()
    net.node("Mul", "x", net.weight("w", 3), output="y")
    model = net.model({"x": ("batch", 3)}, {"y": ("batch", 3)})
    with pytest.warns(svgd_onnx.errors.Advice, match="Nothing is computed in float16"):
        converted(tmp_path, model, optimizer="sgd")


def test_on_the_command_line(answer: Answer, tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    line = ("convert", tmp_path / "model.onnx", "--output", tmp_path / "a", "--compute", "float16")
    assert "give --target onnx" in answer(*line, "--target", "ort-training")
    for scale in ("dynamic", "1024"):
        assert "Verified" in answer(*line, "--target", "onnx", "--loss-scale", scale, "--force")
        assert svgd_onnx.Manifest.load(tmp_path / "a").loss_scale == scale
    loss = ("--loss", "mse", "--reduction", "sum", "--target", "onnx", "--force")
    refused = answer(*line, *loss, "--loss-scale", "3e38")
    assert "not finite in float16 on made-up data, with the --loss-scale 3e+38" in refused
