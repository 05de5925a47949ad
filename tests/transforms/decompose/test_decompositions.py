"""The decomposed model has the same value, and the right gradient; every rule is reached."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from conftest import MakeTrainer
from decompositions import DECOMPOSED, MODELS, options

import svgd_onnx
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.transforms.decompose import RULES, Decompose
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings


@pytest.mark.parametrize("name", MODELS)
def test_the_training_graph_computes_what_the_model_does(
    name: str, trainer_of: MakeTrainer
) -> None:
    model, told = MODELS[name](), options(name)
    batch = example_batch(model, loss=told["loss"], batch_size=3)
    trainer = trainer_of(model, optimizer="sgd", **told)
    loss = trainer.train_step(batch, learning_rate=0.0)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    target = batch.pop("target", None)
    (expected,) = session.run(None, batch)
    if target is not None:
        expected = np.mean((expected.astype(np.float64) - target) ** 2)
    assert loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_central_differences_in_float64(name: str) -> None:
    model = MODELS[name]()
    found = svgd_onnx.check(model, batch_size=3, **options(name))
    (weights,) = (prop.value.split("\n") for prop in model.metadata_props)
    assert {item.parameter for item in found} >= {*weights}, "a weight is taken for a constant"
    for item in found:
        assert item.error < 1e-5, item


@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_operator_is_decomposed(name: str) -> None:
    settings = TrainingSettings(**options(name))
    plan = plan_training(DECOMPOSED[name](), settings, VirtualGradientSettings())
    nodes = list(plan.forward.graph)
    decompose = Decompose({copy for copies in plan.copies.values() for copy in copies})
    decompose(plan.forward)
    assert name.split()[0] in {node.op_type for node in nodes if node.graph is None}
    assert not decompose.refusals


def test_every_rule_is_reached() -> None:
    assert {name.split()[0] for name in DECOMPOSED} == set(RULES)
