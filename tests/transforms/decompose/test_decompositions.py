"""The decomposed model has the same value, and the right gradient; every rule is reached."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from conftest import MakeTrainer
from decompositions import DECOMPOSED, MODELS, options
from settings import CASES

import svgd_onnx
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.transforms.decompose import RULES, Decompose
from svgd_onnx.transforms.decompose.refused import REFUSED
from svgd_onnx.transforms.rule import RefusedError
from svgd_onnx.transforms.writer import Writer


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
        assert item.error < 2e-5, item  # processors round differently


@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_operator_is_decomposed(name: str) -> None:
    plan = plan_training(DECOMPOSED[name](), TrainingSettings(**options(name)))
    nodes = list(plan.forward.graph)
    decompose = Decompose({copy for copies in plan.copies.values() for copy in copies})
    decompose(plan.forward)
    assert name.split()[0] in {node.op_type for node in nodes if node.graph is None}
    assert not decompose.refusals


def test_every_rule_is_reached() -> None:
    """Those that only our own differentiator needs are in the settings of its gradients."""
    reached = {name.split()[0] for name in DECOMPOSED} | {case.op_type for case in CASES.values()}
    assert reached >= RULES.keys() - REFUSED.keys()


@pytest.mark.parametrize("op_type", REFUSED)
def test_what_cannot_be_differentiated_is_refused_with_a_reason(op_type: str) -> None:
    with pytest.raises(RefusedError, match=r"\w+ \w+"):
        REFUSED[op_type](ir.node(op_type, []), Writer("", 21))
