"""The onnx package's light models with random weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from tools import light_models


def test_there_are_nine() -> None:
    assert len(light_models.NAMES) == 9


@pytest.mark.parametrize("name", ["shufflenet", "squeezenet"])
def test_a_light_model_takes_any_batch(name: str) -> None:
    """Probabilities, which differ from image to image and do not depend on the batch."""
    model = light_models.load(name)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (value,) = session.get_inputs()
    images = np.random.default_rng(0).normal(size=(4, 3, 224, 224)).astype(np.float32)
    (four,) = session.run(None, {value.name: images})
    (one,) = session.run(None, {value.name: images[1:2]})
    np.testing.assert_allclose(four.reshape(4, -1).sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(four[1:2], one, rtol=1e-3, atol=1e-6)
    assert np.abs(four[0] - four[1]).max() > 1e-6
