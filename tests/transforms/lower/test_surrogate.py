"""Of a written step, the loss with surrogates changes as the gradients say that go straight through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import models
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import quantized_models
from onnxruntime.quantization import QuantType

import svgd_onnx
from svgd_onnx.step_names import LEARNING_RATE, LOSS
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.lower import StraightThroughSurrogate


def run(model: ir.Model, names: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    copy = model.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    values.update({value.name: value for value in copy.graph.inputs})
    copy.graph.outputs[:] = [values[name] for name in names]
    session = onnxruntime.InferenceSession(ir.to_proto(copy).SerializeToString())
    given = {value.name: feeds[value.name] for value in session.get_inputs()}
    return session.run(names, given)


@pytest.mark.parametrize("per_channel", [False, True])
def test_central_differences_are_the_gradients(per_channel: bool, tmp_path: Path) -> None:
    model = quantized_models.statically(
        models.mlp, tmp_path, per_channel=per_channel, weights=QuantType.QInt8
    )
    svgd_onnx.convert(
        model, tmp_path / "a", target="onnx", optimizer="sgd", quantized="straight-through"
    )
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    batch = models.examples(model, 8)
    values = TARGETS["onnx"].checkpoint(tmp_path / "a", svgd_onnx.Manifest.load(tmp_path / "a"))
    start = {each.name: values(each.name) for each in trainer.manifest.parameters}
    trainer.train_step(batch, 1.0)
    step = ir.load(tmp_path / "a" / "training_step.onnx")
    feeds = {**batch, **start, LEARNING_RATE: np.array(0, np.float32)}
    surrogate = StraightThroughSurrogate(step)
    names = list(dict.fromkeys(surrogate.names))
    first = dict(zip(names, run(step, names, feeds)))
    (loss,) = run(step, [LOSS], feeds)
    feeds.update(surrogate.apply([first[name] for name in surrogate.names]))
    np.testing.assert_allclose(run(step, [LOSS], feeds)[0], loss, rtol=1e-6)
    random = np.random.default_rng(0)
    for name in (each for each in start if each.endswith("weight_quantized")):
        direction = random.normal(size=start[name].shape).astype(np.float32)
        ends = [
            run(step, [LOSS], {**feeds, name: start[name] + np.float32(sign * 1e-2) * direction})[0]
            for sign in (1, -1)
        ]
        gradient = start[name] - trainer.tensor(name)
        expected = float((gradient * direction).sum())
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-2, expected, rtol=2e-2, atol=1e-3)
