"""The target onnx: one step as a model of standard operators, on an inference session."""

from __future__ import annotations

import models
import pytest
from conftest import MakeTrainer

NETWORKS = {
    name: getattr(models, name)
    for name in ("mlp", "convolutional", "large_outputs", "residual", "shared_weight", "sequence")
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", ["svgd", "sgd", "momentum", "rmsprop", "adamw"])
def test_losses_are_those_of_the_training_session(
    network: str, optimizer: str, trainer_of: MakeTrainer
) -> None:
    model = NETWORKS[network]()
    batch = models.examples(model)
    rate = 0.01 if optimizer in ("rmsprop", "adamw") else 0.05
    losses = [
        [trainer.train_step(batch, rate) for _ in range(10)]
        for trainer in (
            trainer_of(model, optimizer=optimizer),
            trainer_of(model, optimizer=optimizer, target="onnx"),
        )
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
