"""Gradient graphs of onnxruntime's builder and of our own rules, held against each other."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.conversion.example_batch import random_batch
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import TrainingPlan, plan_training
from svgd_onnx.gradient_check.gradients import by_use, gradients
from svgd_onnx.runtime import has_training
from svgd_onnx.transforms.differentiate.differentiators import AUTO, ONNXRUNTIME, OWN, differentiate
from svgd_onnx.transforms.differentiate.onnxruntime_faults import fault_of
from svgd_onnx.transforms.lower import Lower
from tools.fixtures.trainings import SIZES, options_for

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures").glob("*.onnx"))
NETWORKS = ("mlp", "convolutional", "residual", "shared_weight", "sequence", "gemm")


def planned(model: onnx.ModelProto | Path, **options: object) -> TrainingPlan:
    return plan_training(model, TrainingSettings(**options), dropout=False)


def gradients_of(plan: TrainingPlan, differentiator: str) -> dict[str, np.ndarray]:
    """On a random batch, by the training set's own kernels or by standard operators."""
    model, _ = differentiate(plan.forward, plan.copies, differentiator)
    if differentiator == OWN:
        Lower()(model)
    values = {name: tensor.numpy() for name, tensor in plan.values.items()}
    batch = random_batch(plan, 3, SIZES, np.random.default_rng(0))
    return gradients(model, plan, {**batch, **values, **by_use(plan, values)})


def assert_same(plan: TrainingPlan) -> None:
    """Within 1e-5 of a gradient's largest entry, and what rounding leaves of the model's largest.

    The gradient of a bias before BatchNormalization is 0, of which float32 leaves noise.
    """
    expected, found = (gradients_of(plan, each) for each in (ONNXRUNTIME, OWN))
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        allowed = 1e-5 * np.abs(gradient).max() + 1e-6 * largest
        assert np.abs(found[name] - gradient).max() <= allowed, name


@pytest.mark.parametrize("network", NETWORKS)
def test_on_small_networks(network: str) -> None:
    assert_same(planned(getattr(models, network)()))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_on_every_export(path: Path) -> None:
    assert_same(planned(path, **options_for(path.stem)))


def sliced(step: int) -> onnx.ModelProto:
    """x (batch, 4) -> MatMul -> every `step`-th -> y."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, 4))
    bounds = (
        net.constant(name, np.array([number]))
        for name, number in (
            ("start", 0 if step > 0 else -1),
            ("end", 2**31 if step > 0 else -(2**31)),
            ("axis", 1),
            ("step", step),
        )
    )
    net.node("Slice", value, *bounds, output="y")
    return net.model({"x": ("batch", 4)}, {"y": ("batch", 4 if abs(step) == 1 else 2)})


@pytest.mark.skipif(not has_training(), reason="onnxruntime-training is not installed")
def test_auto_takes_the_builder_where_nothing_is_known_against_it() -> None:
    plan = planned(models.mlp())
    assert differentiate(plan.forward, plan.copies, AUTO)[1] == ONNXRUNTIME


def test_auto_takes_rules_of_our_own_where_the_builder_errs(tmp_path: Path) -> None:
    """onnxruntime's SliceGrad fails on negative steps."""
    model = sliced(-1)
    plan = planned(model, loss="mse")
    assert "negative steps" in str(fault_of(plan.forward.graph))
    manifest = svgd_onnx.convert(
        model, tmp_path / "artifacts", target="ort-training", loss="mse", optimizer="sgd"
    )
    assert manifest.differentiator == OWN
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    x = np.eye(4, dtype=np.float32)
    before = trainer.tensor("w")
    loss = trainer.train_step({"x": x, "target": np.zeros((4, 4), np.float32)}, 0.0)
    assert loss == pytest.approx(np.mean(np.square(before)), rel=1e-6)
    np.testing.assert_allclose(trainer.gradient("w"), before / 8, rtol=1e-6)


def test_auto_takes_rules_of_our_own_where_the_builder_lacks_an_operator(tmp_path: Path) -> None:
    net = Network()
    net.node("Atan", net.node("MatMul", "x", net.weight("w", 4, 3)), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})
    assert svgd_onnx.convert(model, tmp_path / "a", loss="mse").differentiator == OWN
    with pytest.raises(svgd_onnx.UserError, match="Atan"):
        svgd_onnx.convert(model, tmp_path / "b", loss="mse", differentiator=ONNXRUNTIME)
    for check in svgd_onnx.check(model, loss="mse"):
        assert check.error < 1e-5


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("network", ["residual", "shared_weight"])
def test_virtual_gradients_train_alike(network: str, target: str, tmp_path: Path) -> None:
    model = getattr(models, network)()
    losses = []
    for each in (ONNXRUNTIME, OWN):
        svgd_onnx.convert(model, tmp_path / each, target=target, differentiator=each)
        trainer = svgd_onnx.Trainer(tmp_path / each, threads=1)
        batch = models.examples(model)
        losses.append([trainer.train_step(batch, 0.05) for _ in range(20)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_only_what_leads_to_a_trained_parameter_is_differentiated() -> None:
    """With the last layer alone, nothing below it has a gradient."""
    plan = planned(models.mlp(), train=("fc2*",))
    model, _ = differentiate(plan.forward, plan.copies, OWN)
    names = {value.name for node in model.graph for value in node.outputs}
    assert "fc2.weight_grad" in names
    assert not any(name and name.startswith("fc1") and name.endswith("_grad") for name in names)
