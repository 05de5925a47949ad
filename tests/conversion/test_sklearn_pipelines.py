"""Pipelines of scikit-learn whose probabilities come out as maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network
from sklearn_models import CLASSES, FEATURES, linear_classifier, mlp_classifier, tree_classifier

import svgd_onnx

PREDICTION = "out_activations_result"
DATA = {
    "X": np.random.default_rng(0).normal(size=(12, FEATURES)).astype(np.float32),
    "labels": np.arange(12) % CLASSES,
}


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_a_classifier_trains_by_the_tensor_before_its_maps(tmp_path: Path, target: str) -> None:
    model = mlp_classifier()
    onnx.save(model, tmp_path / "model.onnx")
    svgd_onnx.convert(
        tmp_path / "model.onnx", tmp_path / "artifacts", prediction=PREDICTION, target=target
    )
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    losses = [trainer.train_step(DATA, 0.1) for _ in range(10)]
    assert losses[-1] < losses[0]
    expected = trainer.evaluate(DATA)["loss"]
    trainer.export(tmp_path / "trained.onnx")
    trained = onnx.load(tmp_path / "trained.onnx")
    assert [node.op_type for node in trained.graph.node] == [n.op_type for n in model.graph.node]
    assert list(trained.graph.output) == list(model.graph.output)
    session = onnxruntime.InferenceSession(tmp_path / "trained.onnx")
    labels, maps = session.run(None, {"X": DATA["X"]})
    assert [max(each, key=each.get) for each in maps] == labels.tolist()
    found = -np.mean([np.log(each[label]) for each, label in zip(maps, DATA["labels"])])
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_comes_behind_a_scaler_has_its_shape(tmp_path: Path) -> None:
    """onnx infers nothing of it, and a product has a gradient of its own for each number of axes."""
    net = Network()
    scaler = {"domain": "ai.onnx.ml", "offset": [0.5], "scale": [2.0]}
    value = net.node("Scaler", "x", **scaler)
    value = net.node("Relu", net.node("MatMul", value, net.weight("w", FEATURES, 5)))
    net.node("MatMul", value, net.weight("v", 5, CLASSES), output="y")
    shapes = {"x": (None, FEATURES)}, {"y": (None, CLASSES)}
    model = net.model(*shapes, domains=["ai.onnx.ml"])
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")
    assert [each.state_shape for each in manifest.operations] == [[5], [CLASSES]]


def test_a_model_in_memory_keeps_its_maps(tmp_path: Path) -> None:
    model = mlp_classifier()
    svgd_onnx.convert(model, tmp_path / "artifacts", prediction=PREDICTION, target="onnx")
    assert list(model.graph.output) == list(mlp_classifier().graph.output)


def test_without_a_prediction_the_tensor_is_offered(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=rf"\(output_label, {PREDICTION}\)"):
        svgd_onnx.convert(mlp_classifier(), tmp_path / "artifacts")


@pytest.mark.parametrize(
    ("model", "operator"),
    [
        (linear_classifier(), "LinearClassifier"),
        (tree_classifier(), "TreeEnsembleClassifier"),
    ],
    ids=["linear", "tree"],
)
def test_what_is_learned_in_attributes_is_said_not_to_be_trained(
    tmp_path: Path, model: onnx.ModelProto, operator: str
) -> None:
    with pytest.raises(svgd_onnx.UserError, match=f"{operator}.*attributes, which are not trained"):
        svgd_onnx.convert(model, tmp_path / "artifacts", prediction="probabilities")
