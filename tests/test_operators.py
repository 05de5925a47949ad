"""Every operator that is decomposed: the same value, and the right gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import operators
import pytest
from conftest import MakeTrainer


def arrays(
    model: onnx.ModelProto, infos: Any, random: np.random.Generator
) -> dict[str, np.ndarray]:
    return {
        value.name: random.normal(
            size=(3, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]))
        ).astype(np.float32)
        for value in infos
    }


@pytest.mark.parametrize("name", operators.MODELS)
def test_the_training_graph_computes_what_the_model_does(
    name: str, trainer_of: MakeTrainer
) -> None:
    model = operators.MODELS[name]()
    random = np.random.default_rng(0)
    feeds = arrays(model, model.graph.input, random)
    target = arrays(model, model.graph.output, random)["y"]
    trainer = trainer_of(model, loss="mse", optimizer="sgd")
    loss = trainer.train_step({**feeds, "target": target}, learning_rate=0.0)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = np.mean((session.run(None, feeds)[0].astype(np.float64) - target) ** 2)
    assert loss == pytest.approx(expected, rel=1e-5)
