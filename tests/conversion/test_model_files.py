"""What a model's file may look like."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network
from runtimes import RUNNABLE_TARGETS

import svgd_onnx

pytestmark = pytest.mark.filterwarnings("ignore:The custom operator library")


def shifted() -> onnx.ModelProto:
    """x (batch, 4) -> Gather of all columns by integers, MatMul, Add -> y: constants and weights."""
    net = Network()
    taken = net.node("Gather", "x", net.constant("columns", np.array([3, 2, 1, 0])), axis=1)
    product = net.node("MatMul", taken, net.weight("w", 4, 3))
    net.node("Add", product, net.weight("b", 3), output="y")
    return net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})


def saved_with_external_data(folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(
        shifted(),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    return path


class TestExternalData:
    """torch.onnx.export(dynamo=True) writes weights and constants beside the model."""

    @pytest.mark.parametrize("target", RUNNABLE_TARGETS)
    def test_trains_without_the_users_file(self, target: str, tmp_path: Path) -> None:
        path = saved_with_external_data(tmp_path)
        svgd_onnx.convert(path, tmp_path / "artifacts", loss="mse", target=target)
        svgd_onnx.convert(shifted(), tmp_path / "whole", loss="mse", target=target)
        (tmp_path / "model.onnx.data").unlink()
        batch = models.examples(shifted())
        batch["target"] = np.ones((len(batch["x"]), 3), np.float32)
        batch.pop("labels", None)
        losses = [
            svgd_onnx.Trainer(tmp_path / folder).train_step(batch, 0.1)
            for folder in ("artifacts", "whole")
        ]
        assert losses[0] == losses[1]

    def test_is_checked(self, tmp_path: Path) -> None:
        found = svgd_onnx.check(saved_with_external_data(tmp_path), loss="mse")
        assert [each.parameter for each in found] == ["w", "b"]
        assert all(each.is_right() for each in found)

    def test_may_be_a_link(self, tmp_path: Path) -> None:
        path = saved_with_external_data(tmp_path)
        (tmp_path / "model.onnx.data").rename(tmp_path / "elsewhere")
        (tmp_path / "model.onnx.data").symlink_to(tmp_path / "elsewhere")
        assert svgd_onnx.inspect(path).parameters

    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        path = saved_with_external_data(tmp_path)
        (tmp_path / "model.onnx.data").unlink()
        with pytest.raises(svgd_onnx.UserError, match=r"model\.onnx\.data', which does not exist"):
            svgd_onnx.inspect(path)

    def test_of_a_model_in_memory_is_looked_for(self, tmp_path: Path) -> None:
        model = onnx.load(saved_with_external_data(tmp_path), load_external_data=False)
        with pytest.raises(svgd_onnx.UserError, match="tensor 'columns' of the model"):
            svgd_onnx.convert(model, tmp_path / "artifacts", loss="mse")


def test_a_model_has_an_output(tmp_path: Path) -> None:
    model = models.mlp()
    del model.graph.output[:]
    onnx.save(model, tmp_path / "model.onnx")
    for given in (model, tmp_path / "model.onnx"):
        with pytest.raises(svgd_onnx.UserError, match="has no output"):
            svgd_onnx.convert(given, tmp_path / "artifacts")


def test_an_output_needs_no_shape(tmp_path: Path) -> None:
    model = models.mlp()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, tmp_path / "model.onnx")
    manifest = svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "artifacts", target="onnx")
    assert manifest.outputs[0].shape[1:] == [models.CLASSES]


def test_an_operator_that_onnx_has_deprecated_trains(tmp_path: Path) -> None:
    """GroupNormalization of opset 18 has a scale and a shift for each group."""
    net = Network()
    scale, shift = net.weight("scale", 2, mean=1), net.weight("shift", 2)
    normal = net.node("GroupNormalization", "x", scale, shift, num_groups=2)
    net.node("MatMul", net.node("Flatten", normal), net.weight("w", 16, 4), output="y")
    model = net.model({"x": ("batch", 4, 4)}, {"y": ("batch", 4)}, opset=18, check=False)
    onnx.save(model, tmp_path / "model.onnx")
    svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "artifacts")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    batch = models.examples(model)
    losses = [trainer.train_step(batch, 0.01) for _ in range(5)]
    assert losses[-1] < losses[0]
    trainer.export(tmp_path / "trained.onnx")
    found = svgd_onnx.check(tmp_path / "trained.onnx")
    assert all(each.is_right() for each in found)


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_a_size_of_minus_one_is_an_open_one(target: str, tmp_path: Path) -> None:
    model = models.mlp()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    assert np.isfinite(trainer.train_step(models.examples(model, count=3), 0.1))
    assert np.isfinite(trainer.train_step(models.examples(model, count=5), 0.1))


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_a_slice_may_have_bounds_of_int32(target: str, tmp_path: Path) -> None:
    net = Network()
    bounds = [net.constant(f"bound_{i}", np.array([i], np.int32)) for i in (0, 3, 1)]
    hidden = net.node("MatMul", "x", net.weight("w", 4, 5))
    net.node("Slice", hidden, *bounds, output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, optimizer="sgd")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    before = trainer.tensor("w")
    batch = {"x": np.eye(4, dtype=np.float32), "labels": np.array([0, 1, 2, 0])}
    trainer.train_step(batch, 1.0)
    powers = np.exp(before[:, :3])
    expected = (powers / powers.sum(1, keepdims=True) - np.eye(3)[batch["labels"]]) / 4
    np.testing.assert_allclose(before[:, :3] - trainer.tensor("w")[:, :3], expected, atol=1e-6)
    np.testing.assert_array_equal(before[:, 3:], trainer.tensor("w")[:, 3:])
