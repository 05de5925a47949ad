"""Estimators of scikit-learn that train ONNX models."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import svgd_onnx
from svgd_onnx import OnnxClassifier, OnnxRegressor, UserError
from svgd_onnx.targets import TARGETS


def classes(features: int = models.FEATURES, count: int = 96) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(
        count, features, n_informative=5, n_redundant=0, n_classes=4, random_state=0
    )


def narrow(n_features: int, n_outputs: int) -> onnx.ModelProto:
    """A factory: one layer."""
    net = Network()
    net.node("Gemm", "x", net.weight("w", n_features, n_outputs), net.weight("b", n_outputs))
    net.nodes[-1].output[0] = "y"
    return net.model({"x": ("batch", n_features)}, {"y": ("batch", n_outputs)})


def test_digits_are_told_apart_behind_a_scaler() -> None:
    X, y = load_digits(return_X_y=True)  # noqa: N806
    train_x, test_x, train_y, test_y = train_test_split(X, y, random_state=0)
    network = OnnxClassifier(epochs=20, threads=1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(train_x, train_y)
    assert pipeline.score(test_x, test_y) > 0.95


def test_a_grid_search_finds_the_learning_rate() -> None:
    X, y = classes()  # noqa: N806
    search = GridSearchCV(
        OnnxClassifier(epochs=5, threads=1, random_state=0),
        {"learning_rate": [1e-7, 0.03], "convert_options": [None, {"l1": 1e-4}]},
        cv=2,
    )
    assert search.fit(X, y).best_params_["learning_rate"] == 0.03


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
def test_a_line_is_found_as_by_least_squares(target: str, optimizer: str) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(256, 3)).astype(np.float32)  # noqa: N806
    y = X @ [[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]] + [0.25, -0.5]
    network = OnnxRegressor(
        narrow, optimizer=optimizer, target=target, threads=1, learning_rate=0.03, random_state=0
    )
    exact = LinearRegression().fit(X, y)
    np.testing.assert_allclose(network.fit(X, y).predict(X), exact.predict(X), atol=0.02)


def test_probabilities_are_those_of_the_trained_model() -> None:
    X, y = classes()  # noqa: N806
    names = np.array(["ash", "beech", "cedar", "date"])
    network = OnnxClassifier(models.mlp(), epochs=3, random_state=0).fit(X, names[y])
    session = onnxruntime.InferenceSession(network.onnx_)
    (probabilities,) = session.run(["probabilities"], {"x": X.astype(np.float32)})
    np.testing.assert_allclose(network.predict_proba(X), probabilities, rtol=1e-5, atol=1e-6)
    assert list(network.classes_) == list(names)
    assert (network.predict(X) == names[probabilities.argmax(axis=1)]).all()


@pytest.mark.parametrize("last", [None, "Softmax", "LogSoftmax"])
def test_probabilities_whatever_the_model_ends_in(last: str | None) -> None:
    X, y = classes()  # noqa: N806
    model = narrow(models.FEATURES, 4)
    if last is not None:
        model.graph.node[0].output[0] = "scores"
        model.graph.node.append(onnx.helper.make_node(last, ["scores"], ["y"], axis=1))
    network = OnnxClassifier(model, epochs=3, random_state=0, threads=1).fit(X, y)
    scores = X @ _initializer(network, "w") + _initializer(network, "b")
    wanted = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict_proba(X), wanted, rtol=1e-4, atol=1e-6)


def _initializer(network: Any, name: str) -> np.ndarray:
    initializers = onnx.load_from_string(network.onnx_).graph.initializer
    return next(onnx.numpy_helper.to_array(each) for each in initializers if each.name == name)


def test_images_may_come_as_rows_or_as_images() -> None:
    model = models.convolutional()
    data = models.examples(model, 16)
    rows = data["image"].reshape(16, -1)
    of_images, of_rows = (
        OnnxClassifier(model, epochs=2, random_state=0, threads=1).fit(X, data["labels"])
        for X in (data["image"], rows)
    )
    assert of_images.onnx_ == of_rows.onnx_
    np.testing.assert_array_equal(of_images.predict(data["image"]), of_rows.predict(rows))


def test_a_model_whose_file_fixes_the_batch_predicts_any_number() -> None:
    X, y = classes()  # noqa: N806
    model = models.gemm()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    network = OnnxClassifier(model, epochs=1, random_state=0, threads=1).fit(X, y)
    opened = OnnxClassifier(models.gemm(), epochs=1, random_state=0, threads=1).fit(X, y)
    np.testing.assert_allclose(
        network.predict_proba(X[:11]), opened.predict_proba(X[:11]), rtol=1e-5
    )


def test_a_pickled_copy_predicts_the_same_and_a_clone_has_not_learned() -> None:
    X, y = classes()  # noqa: N806
    network = OnnxClassifier(narrow, epochs=2, threads=1).fit(X, y)
    again = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(again.predict_proba(X), network.predict_proba(X))
    assert not hasattr(clone(network), "onnx_")


def test_the_random_state_decides_all() -> None:
    X, y = classes()  # noqa: N806
    fitted = [
        OnnxClassifier(epochs=2, threads=1, random_state=state).fit(X, y).onnx_
        for state in (3, 3, 4)
    ]
    assert fitted[0] == fitted[1] != fitted[2]


def test_curves_have_a_loss_for_each_epoch() -> None:
    X, y = classes()  # noqa: N806
    network = OnnxClassifier(epochs=7, validation_fraction=0.25, threads=1, random_state=0)
    network.fit(X, y)
    assert len(network.loss_curve_) == len(network.validation_loss_curve_) == 7
    assert network.loss_curve_[-1] < network.loss_curve_[0]
    assert network.fit(X[:40], y[:40]).n_features_in_ == models.FEATURES


def test_artifacts_stay_in_a_folder_that_is_given(tmp_path: Path) -> None:
    X, y = classes()  # noqa: N806
    network = OnnxClassifier(epochs=2, batch_size=16, folder=tmp_path / "artifacts", threads=1)
    network.fit(X, y).fit(X, y)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    assert trainer.step == 2 * 6
    trainer.export(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == network.onnx_


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": narrow(6, 3)}, "The model has 3 outputs, and y has 4 classes"),
        ({"model": narrow(5, 4)}, "X has 6 features a row"),
        ({"loss": "mse"}, "Unknown loss 'mse': choose from cross-entropy"),
        ({"convert_options": {"loss": "mse"}}, "convert_options has loss"),
        ({"convert_options": {"foo": 1}}, "convert_options has 'foo', which is no keyword"),
        ({"convert_options": 5}, "convert_options is 5, but must be a dictionary"),
        ({"batch_size": None}, "batch_size is None, but must be a whole number"),
        ({"validation_fraction": None}, "validation_fraction is None, but must be a number"),
        ({"folder": 5}, "folder is 5, but must be a path"),
        ({"model": lambda features, outputs: None}, "The model is of the type NoneType"),
        ({"validation_fraction": 1}, "validation_fraction is 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"model": "no.onnx"}, "'no.onnx'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        OnnxClassifier(**options).fit(*classes())


def test_the_classes_of_a_model_are_made_as_many_as_the_sentence_says() -> None:
    X, y = classes()  # noqa: N806
    with pytest.raises(UserError, match="convert_options={'num_classes': 4} makes its last layer"):
        OnnxClassifier(narrow(6, 3)).fit(X, y)
    network = OnnxClassifier(narrow(6, 3), convert_options={"num_classes": 4}, epochs=1).fit(X, y)
    assert network.predict_proba(X).shape == (len(X), 4)


@pytest.mark.parametrize("estimator", [OnnxClassifier(epochs=1), OnnxRegressor(epochs=1)])
@pytest.mark.parametrize("place", [0, 1])
def test_masked_numbers_are_refused(estimator: Any, place: int) -> None:
    given: list[Any] = [np.ones((8, 3)), np.arange(8) % 2]
    hidden = np.zeros(given[place].shape, bool)
    hidden[2] = True
    given[place] = np.ma.masked_array(given[place], hidden)
    with pytest.raises(UserError, match=f"^{'Xy'[place]} has masked numbers"):
        estimator.fit(*given)


def test_y_of_other_numbers_than_the_model_gives_is_refused() -> None:
    X, y = classes()  # noqa: N806
    with pytest.raises(
        UserError, match="y has 2 numbers for an example, and the model's output 'y'"
    ):
        OnnxRegressor(narrow(6, 3)).fit(X, np.stack([y, y], axis=1))


def test_without_scikit_learn_a_sentence_names_what_to_install() -> None:
    program = """
import sys
sys.modules.update(sklearn=None)
import svgd_onnx
try:
    svgd_onnx.OnnxClassifier
except svgd_onnx.UserError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'svgd-onnx[scikit-learn]'" in run.stdout


def test_importing_the_package_imports_no_scikit_learn() -> None:
    program = "import sys, svgd_onnx; print({'sklearn', 'onnx'} & sys.modules.keys())"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


def test_an_empty_name_of_a_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the folder that the process is in, which would be replaced."""
    monkeypatch.chdir(tmp_path)
    OnnxClassifier(folder="", epochs=1, threads=1).fit(*classes())
    assert not list(tmp_path.iterdir())
