"""Models in the forms that exporters write, small ones: what is a parameter, its gradients, and the export.

`python -m tools.usual_models` does the same at the usual size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import svgd_onnx
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.targets import TARGETS
from tools.usual_models import USUAL_MODELS
from tools.usual_models.directions import largest_error
from tools.usual_models.worker import convert_keywords, exported_loss, first_gradients

LENGTH = 9  # of an open axis


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", USUAL_MODELS)
def test_what_was_learned_is_trained_by_its_gradient(
    name: str, target: str, tmp_path: Path
) -> None:
    """Nothing else is; and the exported model says what evaluation says."""
    entry, model = USUAL_MODELS[name], tmp_path / "model.onnx"
    expected = entry.write_reduced(model)
    options = convert_keywords(entry.options)
    batch = example_batch(model, random_size={"*": LENGTH}, **options)

    svgd_onnx.convert(model, tmp_path / "sgd", target=target, optimizer="sgd", **options)
    trainer = svgd_onnx.Trainer(tmp_path / "sgd", threads=1)
    _, gradients = first_gradients(trainer, batch)
    assert gradients.keys() == set(expected)
    settings = TrainingSettings(**options)
    assert largest_error(model, settings, batch, gradients) < entry.tolerance

    trainer = svgd_onnx.Trainer(tmp_path / "sgd", threads=1)
    losses = [trainer.train_step(batch, 1e-3) for _ in range(2)]
    assert np.isfinite(losses).all()
    trainer.export(tmp_path / "trained.onnx")
    loss = exported_loss(str(tmp_path / "trained.onnx"), batch, trainer.manifest)
    np.testing.assert_allclose(loss, trainer.evaluate(batch)["loss"], rtol=1e-4)
