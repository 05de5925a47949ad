"""Models as real exporters wrote them (tools/fixtures): converted, trained, exported again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import svgd_onnx

FOLDER = Path(__file__).parent / "fixtures"
BATCH, LENGTH, TOKENS = 6, 7, 16
STEPS = 10

CLASS_AXIS = "cross-entropy wants the classes on axis 1: --class-axis is to come"


@dataclass(frozen=True)
class Training:
    """How the networks of a name are trained.

    Attributes:
        loss: with labels for cross-entropy, else with a target of the prediction's shape.
        prediction: the output that the loss compares.
        learning_rate: of the SVGD steps.
        options: for `svgd_onnx.convert`.
    """

    loss: str = "cross-entropy"
    prediction: str | None = None
    learning_rate: float = 0.1


DEFAULT = Training()
TRAININGS = {
    "gpt2": Training("mse"),
    "mlp_binary_classifier_skl2onnx": Training("mse", "probabilities"),
    "mlp_classifier_skl2onnx": Training(prediction="probabilities"),
    "mlp_regressor_skl2onnx": Training("mse"),
}
FAILURES: dict[str, str] = {}


def training_of(name: str) -> Training:
    """The training of a fixture, by the longest beginning of its name that TRAININGS knows."""
    known = [key for key in TRAININGS if name.startswith(key)]
    return TRAININGS[max(known, key=len)] if known else DEFAULT


def fixtures() -> list[object]:
    """A parameter for each file."""
    return [
        pytest.param(
            path,
            id=path.stem,
            marks=[pytest.mark.xfail(strict=True, reason=FAILURES[path.stem])]
            if path.stem in FAILURES
            else [],
        )
        for path in sorted(FOLDER.glob("*.onnx"))
    ]


def random_inputs(model: onnx.ModelProto, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal floats, small integers, masks of ones: a batch for any model."""
    arrays = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = [BATCH, *(dim.dim_value or LENGTH for dim in tensor.shape.dim[1:])]
        if "mask" in value.name:
            array = np.ones(shape)
        elif "type" in value.name:
            array = random.integers(0, 2, shape)
        elif dtype.kind == "i":
            array = random.integers(0, TOKENS, shape)
        else:
            array = random.normal(size=shape)
        arrays[value.name] = array.astype(dtype)
    return arrays


def batch_for(
    model: onnx.ModelProto, inputs: dict[str, np.ndarray], prediction: np.ndarray, loss: str
) -> dict[str, np.ndarray]:
    """The inputs, with labels or a target for what the model predicts of them."""
    random = np.random.default_rng(1)
    if loss == "cross-entropy":
        shape = (prediction.shape[0], *prediction.shape[2:])
        return {**inputs, "labels": random.integers(0, prediction.shape[1], shape)}
    return {**inputs, "target": random.uniform(size=prediction.shape).astype(np.float32)}


def test_there_are_fixtures() -> None:
    assert len(list(FOLDER.glob("*.onnx"))) >= 40


@pytest.mark.parametrize("path", fixtures())
def test_a_fixture_is_trained_and_exported(path: Path, tmp_path: Path) -> None:
    """Ten SVGD steps on one batch lower its loss; the exported model is the trained one."""
    training = training_of(path.stem)
    model = onnx.load(path)
    inputs = random_inputs(model, np.random.default_rng(0))
    names = [value.name for value in model.graph.output]
    position = names.index(training.prediction) if training.prediction else 0
    original = onnxruntime.InferenceSession(path).run(None, inputs)
    batch = batch_for(model, inputs, original[position], training.loss)

    svgd_onnx.convert(
        path, tmp_path / "artifacts", loss=training.loss, prediction=training.prediction
    )
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts", threads=1)
    trainer.export(tmp_path / "untrained.onnx")
    untrained = onnxruntime.InferenceSession(tmp_path / "untrained.onnx").run(None, inputs)
    for name, before, after in zip(names, original, untrained):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5, err_msg=name)

    losses = [trainer.train_step(batch, training.learning_rate) for _ in range(STEPS)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]

    trainer.export(tmp_path / "trained.onnx")
    exported = onnxruntime.InferenceSession(tmp_path / "trained.onnx").run(None, inputs)
    evaluated = evaluation_outputs(trainer, batch)
    for name, expected, actual in zip(names, evaluated, exported):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not np.allclose(exported[position], original[position], atol=1e-4)


def evaluation_outputs(
    trainer: svgd_onnx.Trainer, batch: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """What the artifacts' evaluation model says of a batch."""
    arrays = svgd_onnx.data.check(batch, trainer.manifest).take(slice(None))
    fetches = trainer._binding.OrtValueVector()
    trainer._module.eval_step(arrays, fetches)
    return [fetch.numpy() for fetch in fetches][1:]
