"""Every operator that is decomposed: the same value, and the right gradient."""

from __future__ import annotations

import numpy as np
import onnxruntime
import operators
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch


@pytest.mark.parametrize("name", operators.MODELS)
def test_the_training_graph_computes_what_the_model_does(
    name: str, trainer_of: MakeTrainer
) -> None:
    model = operators.MODELS[name]()
    batch = example_batch(model, loss="mse", batch_size=3)
    trainer = trainer_of(model, loss="mse", optimizer="sgd")
    loss = trainer.train_step(batch, learning_rate=0.0)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    target = batch.pop("target")
    expected = np.mean((session.run(None, batch)[0].astype(np.float64) - target) ** 2)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", operators.MODELS)
def test_gradients_are_those_of_central_differences_in_float64(name: str) -> None:
    for item in svgd_onnx.check(operators.MODELS[name](), loss="mse", batch_size=3):
        assert item.error < 1e-5, item
