"""Metrics, batch by batch, against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import pytest
from conftest import MakeTrainer
from sklearn import metrics as sklearn

import svgd_onnx
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.training.metrics import METRICS, Answers, Task, metric_named
from svgd_onnx.training.metrics.confusion_matrix import as_text
from svgd_onnx.transforms.losses import LOSSES

Expected = Callable[[np.ndarray, np.ndarray], Any]


def measured(name: str, task: Task, prediction: np.ndarray, target: np.ndarray, batch: int) -> Any:
    """A metric over some batches of examples."""
    tally = metric_named(name).begin()
    for start in range(0, len(prediction), batch):
        rows = slice(start, start + batch)
        tally.add(Answers(task, prediction[rows], target[rows], loss=0.0))
    return tally.value()


def task_of(
    loss: str, shape: tuple[int | str, ...], *, logits: bool = True, **settings: Any
) -> Task:
    return Task(LOSSES[loss], LossSettings(**settings), logits, 0, shape, shape)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def ranked(scores: np.ndarray) -> np.ndarray:
    """What scikit-learn takes for the scores of an AUC."""
    return softmax(scores)[:, 1] if scores.shape[1] == 2 else softmax(scores)


OF_CLASSES: dict[str, Expected] = {
    "accuracy": lambda y, s: sklearn.accuracy_score(y, s.argmax(1)),
    "balanced-accuracy": lambda y, s: sklearn.balanced_accuracy_score(y, s.argmax(1)),
    "f1": lambda y, s: sklearn.f1_score(y, s.argmax(1), average="macro"),
    "f1-micro": lambda y, s: sklearn.f1_score(y, s.argmax(1), average="micro"),
    "f1-weighted": lambda y, s: sklearn.f1_score(y, s.argmax(1), average="weighted"),
    "auc": lambda y, s: sklearn.roc_auc_score(y, ranked(s), multi_class="ovr"),
    "top-1": lambda y, s: sklearn.accuracy_score(y, s.argmax(1)),
    "top-2": lambda y, s: sklearn.top_k_accuracy_score(y, s, k=2, labels=range(s.shape[1])),
    "confusion-matrix": lambda y, s: sklearn.confusion_matrix(
        y, s.argmax(1), labels=range(s.shape[1])
    ),
}


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("logits", [True, False], ids=["logits", "probabilities"])
def test_metrics_of_classes(name: str, classes: int, logits: bool) -> None:
    if (name, classes) == ("top-2", 2):
        pytest.skip("both of two are always right")
    random = np.random.default_rng(classes)
    labels = random.integers(classes, size=200)
    scores = random.normal(size=(200, classes)) + 1.5 * np.eye(classes)[labels]
    given = (scores if logits else softmax(scores)).astype(np.float32)
    task = task_of("cross-entropy", ("N", classes), logits=logits, class_axis=1)
    found = measured(name, task, given, labels, batch=64)
    np.testing.assert_allclose(found, OF_CLASSES[name](labels, scores), rtol=1e-6)


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("axis", [1, 3])
def test_classes_along_another_axis_and_labels_that_do_not_count(name: str, axis: int) -> None:
    """(N, 4, 3, 2) or (N, 3, 2, 4): four classes, three by two labels each, of which some are -1."""
    random = np.random.default_rng(0)
    labels = random.integers(-1, 4, size=(30, 3, 2))
    scores = random.normal(size=(30, 4, 3, 2)).astype(np.float32)
    given = np.moveaxis(scores, 1, axis)
    task = task_of("cross-entropy", given.shape, class_axis=axis, ignore_index=-1)
    found = measured(name, task, given, labels, batch=7)
    flat, counted = np.moveaxis(scores, 1, -1).reshape(-1, 4), labels.reshape(-1) >= 0
    expected = OF_CLASSES[name](labels.reshape(-1)[counted], flat[counted].astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["balanced-accuracy", "f1", "f1-weighted"])
def test_classes_that_do_not_occur_do_not_count(name: str) -> None:
    labels, scores = np.array([0, 0, 2, 2, 2]), np.eye(6, dtype=np.float32)[[0, 1, 2, 2, 0]]
    task = task_of("cross-entropy", ("N", 6), class_axis=1)
    expected = OF_CLASSES[name](labels, scores)
    assert measured(name, task, scores, labels, batch=2) == pytest.approx(expected)


OF_YES_OR_NO: dict[str, Expected] = {
    "accuracy": lambda y, s: np.mean((s > 0) == y),
    "f1": lambda y, s: sklearn.f1_score(y, s > 0, average="macro" if y.shape[1] > 1 else "binary"),
    "f1-micro": lambda y, s: sklearn.f1_score(y.ravel(), (s > 0).ravel()),
    "auc": lambda y, s: sklearn.roc_auc_score(y, s),
}
OF_ONE_QUESTION: dict[str, Expected] = {
    "f1-weighted": lambda y, s: sklearn.f1_score(y, s > 0),
    "balanced-accuracy": lambda y, s: sklearn.balanced_accuracy_score(y, s > 0),
    "confusion-matrix": lambda y, s: sklearn.confusion_matrix(y, s > 0),
}


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("name", [*OF_YES_OR_NO, *OF_ONE_QUESTION])
@pytest.mark.parametrize("logits", [True, False], ids=["logits", "probabilities"])
def test_metrics_of_yes_or_no(name: str, labels: int, logits: bool) -> None:
    task = task_of("bce-with-logits", ("N", labels), logits=logits)
    if labels > 1 and name in ("balanced-accuracy", "confusion-matrix"):
        assert metric_named(name).refusal(task) == "each example is asked several things"
        return
    random = np.random.default_rng(1)
    target = random.integers(2, size=(90, labels))
    scores = random.normal(size=(90, labels)) + target
    given = (scores if logits else 1 / (1 + np.exp(-scores))).astype(np.float32)
    found = measured(name, task, given, target.astype(np.float32), batch=16)
    if (name, labels) == ("f1-weighted", 3):
        expected = sklearn.f1_score(target, scores > 0, average="weighted")
    else:
        expected = {**OF_YES_OR_NO, **OF_ONE_QUESTION}[name](target, scores)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


OF_NUMBERS: dict[str, Expected] = {
    "mae": sklearn.mean_absolute_error,
    "rmse": lambda y, p: np.sqrt(sklearn.mean_squared_error(y, p)),
    "r2": sklearn.r2_score,
}


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=str)
def test_metrics_of_numbers(name: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(2)
    wanted = (random.normal(size=(70, *shape)) + 100).astype(np.float32)
    predicted = (wanted + random.normal(size=wanted.shape)).astype(np.float32)
    found = measured(name, task_of("mse", ("N", *shape)), predicted, wanted, batch=16)
    flat = [each.reshape(70, -1).astype(np.float64) for each in (wanted, predicted)]
    assert found == pytest.approx(OF_NUMBERS[name](*flat), rel=1e-9)


def test_r2_of_an_output_that_is_constant_is_as_scikit_learn_has_it() -> None:
    wanted = np.array([[1, 5, 5], [2, 5, 5], [4, 5, 5]], np.float32)
    predicted = np.array([[1, 5, 5], [3, 5, 5], [4, 5, 6]], np.float32)
    found = measured("r2", task_of("mse", ("N", 3)), predicted, wanted, batch=2)
    assert found == pytest.approx(sklearn.r2_score(wanted, predicted))


def test_an_auc_of_one_class_alone_is_not_defined() -> None:
    task = task_of("bce-with-logits", ("N", 1))
    assert np.isnan(measured("auc", task, np.zeros((3, 1)), np.ones((3, 1)), batch=2))


def test_of_equal_scores_the_first_classes_come_first() -> None:
    task = task_of("cross-entropy", ("N", 3), class_axis=1)
    scores, labels = np.zeros((3, 3), np.float32), np.arange(3)
    assert [measured(f"top-{k}", task, scores, labels, 3) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_an_evaluation_gives_metrics_beside_the_loss(target: str, trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    data = models.examples(model, 300)  # more than a batch
    trainer = trainer_of(model, target=target)
    asked = ["f1", "top-2", "perplexity", "auc", "confusion-matrix"]
    found = trainer.evaluate(data, metrics=asked)
    assert list(found) == ["loss", "accuracy", *asked]
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-6)
    matrix = found["confusion-matrix"]
    assert np.trace(matrix) / matrix.sum() == found["accuracy"]
    assert matrix.sum(axis=1).tolist() == np.bincount(data["labels"]).tolist()
    assert list(trainer.evaluate(data)) == ["loss", "accuracy"]


def test_perplexity_of_a_sum_is_that_of_the_mean(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    data = models.examples(model, 300)
    found = [
        trainer_of(model, loss_settings=LossSettings(reduction=reduction)).evaluate(
            data, metrics=["perplexity"]
        )["perplexity"]
        for reduction in ("mean", "sum")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "name", "sentence"),
    [
        ({}, "mae", "'mae' does not fit these artifacts: it is of .*mse"),
        ({"loss": "mse"}, "accuracy", "'accuracy' does not fit .*cross-entropy"),
        ({"loss": "mse"}, "perplexity", "'perplexity' does not fit"),
        ({}, "top-99", "'top-99' does not fit these artifacts: there are . classes"),
        ({}, "top-0", "There is no metric 'top-0'"),
        ({}, "f3", "There is no metric 'f3': choose from accuracy"),
        ({"loss_settings": LossSettings(label_smoothing=0.1)}, "perplexity", "label_smoothing"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(
    options: dict[str, Any], name: str, sentence: str, trainer_of: MakeTrainer
) -> None:
    model = models.mlp()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = trainer_of(model, **options)
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        trainer.evaluate({}, metrics=[name])


def test_a_table_is_no_metric_of_training(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(models.mlp())
    settings = {"steps": 1, "batch_size": 2, "learning_rate": 0.1, "validation": {}}
    with pytest.raises(svgd_onnx.UserError, match="is a table"):
        trainer.train({}, metrics=["confusion-matrix"], **settings)
    with pytest.raises(svgd_onnx.UserError, match="must be a list"):
        trainer.train({}, metrics="f1", **settings)


def test_every_metric_is_compared_with_something() -> None:
    tested = {*OF_CLASSES, *OF_YES_OR_NO, *OF_ONE_QUESTION, *OF_NUMBERS, "perplexity"}
    assert METRICS.keys() <= tested


def test_a_confusion_matrix_as_text_has_a_row_for_each_class_that_was_wanted() -> None:
    assert as_text(np.array([[10, 2], [0, 345]])).splitlines() == [
        "wanted \\ said   0    1",
        "            0  10    2",
        "            1   0  345",
    ]
