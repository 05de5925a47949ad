"""Models as real exporters wrote them (tools/fixtures): converted, trained, exported again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import svgd_onnx
from svgd_onnx.conversion.model import load_model
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.training.data import check
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.parameters import select_parameters
from tools.fixtures.trainings import SIZES, options_for

FOLDER = Path(__file__).parent / "fixtures"
BATCH_SIZE = 4
STEPS, LEARNING_RATE = 10, 0.1


# How many numbers a network learns, where the exporter folded none of them away.
LEARNED = {
    "attention_keras": 1217,
    "bert_transformers": 6132,
    "bilstm_torch": 4105,
    "cnn_keras": 1045,
    "cnn_torch_torchscript_bn": 1229,
    "distilbert_transformers_torchscript": 6100,
    "efficientnet_torch_torchscript_bn": 1981,
    "gpt2_transformers": 7872 + 1024,  # the embedding a second time, transposed
    "gpt2_transformers_torchscript_tied": 7872,
    "gru_torch": 595,
    "lstm_keras": 735 + 40,  # ONNX has two biases
    "lstm_torch": 775,
    "mlp_binary_classifier_skl2onnx": 225,
    "mlp_classifier_skl2onnx": 380,
    "mlp_keras": 437,
    "mlp_regressor_skl2onnx": 353,
    "mlp_torch": 437,
    "mobilenet_v3_torch_torchscript_bn": 1981,
    "residual_torch_torchscript_bn": 3809,
    "transformer_torch": 4677,
    "transformer_untrained_torch": 2629,  # the second layer is a copy of the first, stored once
    "unet": 2859,
    "vit": 5620,
}

MISCOUNTED = {
    "transformer_untrained_torch_dynamo": "equal vectors are stored once, without Identity",
}


def longest_match(table: dict[str, Any], name: str, default: Any = None) -> Any:
    """The entry under the longest beginning of a name."""
    known = [key for key in table if name.startswith(key)]
    return table[max(known, key=len)] if known else default


def each_fixture(failing: dict[str, str]) -> pytest.MarkDecorator:
    """A test for each file."""
    return pytest.mark.parametrize(
        "path",
        [
            pytest.param(
                path,
                id=path.stem,
                marks=[pytest.mark.xfail(strict=True, reason=failing[path.stem])]
                if path.stem in failing
                else [],
            )
            for path in sorted(FOLDER.glob("*.onnx"))
        ],
    )


def trainer_on(path: Path, folder: Path, **options: Any) -> svgd_onnx.Trainer:
    """Makes artifacts and opens them."""
    svgd_onnx.convert(path, folder, **options_for(path.stem), **options)
    return svgd_onnx.Trainer(folder, seed=0, threads=1)


def random_batch(path: Path) -> dict[str, np.ndarray]:
    """Inputs, and labels or a target."""
    return example_batch(path, batch_size=BATCH_SIZE, random_size=SIZES, **options_for(path.stem))


def run(path: Path, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a model in an inference session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    names = [value.name for value in session.get_outputs()]
    inputs = {value.name: batch[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs)))


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_there_are_fixtures() -> None:
    assert len(list(FOLDER.glob("*.onnx"))) >= 50


@each_fixture({})
def test_svgd_lowers_the_loss_and_exports_what_it_trained(path: Path, tmp_path: Path) -> None:
    """Ten steps on one batch; the export says what evaluation says, before training and after."""
    batch = random_batch(path)
    original = run(path, batch)
    trainer = trainer_on(path, tmp_path / "artifacts")
    trainer.export(tmp_path / "untrained.onnx")
    assert_close(run(tmp_path / "untrained.onnx", batch), original)

    losses = [trainer.train_step(batch, LEARNING_RATE) for _ in range(STEPS)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]

    trainer.export(tmp_path / "trained.onnx")
    exported = run(tmp_path / "trained.onnx", batch)
    assert_close(exported, evaluation(trainer, batch))
    assert any(not np.allclose(exported[name], original[name], atol=1e-4) for name in original)


@each_fixture({})
def test_the_gradient_of_a_batch_is_the_mean_over_its_examples(path: Path, tmp_path: Path) -> None:
    """What is broadcast over the batch (a position embedding, a class token) is summed over it."""
    batch = random_batch(path)
    trainer = trainer_on(
        path, tmp_path / "artifacts", optimizer="sgd", freeze_bn=True, verify=False
    )
    names = [item.name for item in trainer.manifest.parameters if item.trainable]

    def gradients(rows: slice) -> list[np.ndarray]:
        trainer.train_step({name: array[rows] for name, array in batch.items()}, 0.0)
        return [trainer.gradient(name) for name in names]

    of_batch = gradients(slice(0, 2))
    of_examples = zip(gradients(slice(0, 1)), gradients(slice(1, 2)))
    largest = max(np.abs(gradient).max() for gradient in of_batch)
    for name, gradient, examples in zip(names, of_batch, of_examples):
        tolerance = max(1e-3 * np.abs(gradient).max(), 1e-6 * largest)
        np.testing.assert_allclose(
            np.mean(examples, axis=0), gradient, rtol=0, atol=tolerance, err_msg=name
        )


@each_fixture(MISCOUNTED)
def test_everything_that_was_learned_is_trained(path: Path) -> None:
    model = canonicalize(load_model(path))
    names = select_parameters(model).trainable
    learned = sum(model.graph.initializers[name].const_value.size for name in names)
    assert learned == longest_match(LEARNED, path.stem, learned)


def evaluation(trainer: svgd_onnx.Trainer, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the artifacts' evaluation model says of a batch."""
    arrays = check(batch, trainer.manifest).take(slice(None))
    outputs = trainer._session.eval_step(arrays)[1:]
    return {tensor.name: array for tensor, array in zip(trainer.manifest.outputs, outputs)}
