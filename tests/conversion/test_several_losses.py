"""Several outputs, each with a loss of its own: their weighted sum is trained by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network
from onnx import parser
from reference import LOSSES
from runtimes import RUNNABLE_TARGETS

import svgd_onnx
from svgd_onnx import LossSettings, OutputLoss
from svgd_onnx.training import evaluation
from svgd_onnx.training.examples import labels_of, taken_from

RANDOM = np.random.default_rng(0)
BATCH = {
    "x": RANDOM.normal(size=(6, 4)).astype(np.float32),
    "class_labels": np.array([0, 2, 1, 1, 0, 2]),
    "box_target": RANDOM.normal(size=(6, 2)).astype(np.float32),
}
TARGETS = pytest.mark.parametrize("target", ["ort-training", "onnx"])


def detector(inner: str = "inner") -> onnx.ModelProto:
    """x (batch, 4) -> class (batch, 3), by a Softmax, box (batch, 2) and aside (batch, 4)."""
    net = Network()
    shared = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 4, 5, scale=1.0)))
    net.node("Softmax", net.node("MatMul", shared, net.weight("a", 5, 3)), output="class", axis=1)
    net.node("MatMul", shared, net.weight("b", 5, 2), output="box")
    net.node("Mul", "x", net.weight("unused", 4), output="aside")
    net.node("Identity", "x", output=inner)
    outputs = {"class": ("batch", 3), "box": ("batch", 2), "aside": ("batch", 4)}
    return net.model({"x": ("batch", 4)}, outputs)


BOTH = {
    "class": OutputLoss("cross-entropy", settings=LossSettings(label_smoothing=0.1)),
    "box": OutputLoss("l1", weight=0.5, settings=LossSettings(reduction="sum")),
}


def expected(
    trainer: svgd_onnx.Trainer,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """What `BOTH` are, and the gradients of their weighted sum, in NumPy."""
    w, a, b = (trainer.tensor(name).astype(np.float64) for name in "wab")
    x, labels, target = BATCH.values()
    h = np.tanh(x @ w)
    of_class, by_class = LOSSES["cross_entropy"](h @ a, labels, label_smoothing=0.1)
    of_box, by_box = LOSSES["l1"](h @ b, target, reduction="sum")
    by_h = by_class @ a.T + 0.5 * by_box @ b.T
    right = float(((h @ a).argmax(axis=1) == labels).mean())
    losses = {
        "loss": of_class + 0.5 * of_box,
        "class_loss": of_class,
        "class_accuracy": right,
        "box_loss": of_box,
    }
    return losses, {"w": x.T @ (by_h * (1 - h**2)), "a": h.T @ by_class, "b": 0.5 * h.T @ by_box}


def test_a_share_is_of_each_class_of_the_first(trainer_of: MakeTrainer) -> None:
    manifest = trainer_of(detector(), loss=BOTH, freeze=["unused"]).manifest
    rows = [{name: array[row] for name, array in BATCH.items()} for row in range(6)]
    for given in (BATCH, svgd_onnx.load_data(BATCH)):
        labels = labels_of(taken_from(given, manifest), manifest)  # type: ignore[arg-type]
        np.testing.assert_array_equal(labels, BATCH["class_labels"])
    assert labels_of(taken_from(rows, manifest), manifest) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_values_and_gradients(target: str, trainer_of: MakeTrainer) -> None:
    with pytest.warns(UserWarning, match="does not depend on 'unused'"):
        trainer = trainer_of(detector(), loss=BOTH, optimizer="sgd", target=target, verify=True)
    losses, gradients = expected(trainer)
    before = {name: trainer.tensor(name) for name in gradients}
    assert trainer.evaluate(BATCH) == pytest.approx(losses, rel=1e-6)
    assert trainer.train_step(BATCH, 1.0) == pytest.approx(losses["loss"], rel=1e-6)
    for name, gradient in gradients.items():
        found = before[name] - trainer.tensor(name)
        np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-6)
    assert trainer.manifest.verified is not None


def test_check_agrees() -> None:
    with pytest.warns(UserWarning):
        checks = svgd_onnx.check(detector(), loss=BOTH, arrays=BATCH)
    assert {item.parameter for item in checks} == {"w", "a", "b"}
    assert all(item.error < 1e-4 for item in checks)


@TARGETS
def test_a_training_with_validation_and_export(target: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"freeze": ["unused"], "target": target}
    svgd_onnx.convert(detector(), tmp_path / "a", loss=BOTH, **options)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    before = trainer.evaluate(BATCH)
    result = trainer.train(
        BATCH, epochs=20, batch_size=3, learning_rate=0.05, validation=BATCH, log=tmp_path / "log"
    )
    assert result["validation_loss"] < before["loss"]
    assert {"validation_class_loss", "validation_class_accuracy"} < result.keys()
    trainer.export(tmp_path / "trained.onnx")
    outputs = [value.name for value in onnx.load(tmp_path / "trained.onnx").graph.output]
    assert outputs == ["class", "box", "aside"]
    resumed = svgd_onnx.Trainer(tmp_path / "a")
    assert resumed.evaluate(BATCH) == trainer.evaluate(BATCH)


def test_each_is_evaluated_as_one_batch(
    trainer_of: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LossSettings(ignore_index=2, class_weights=(1.0, 5.0, 0.0))
    loss = {"class": OutputLoss(settings=settings), "box": "mse"}
    trainer = trainer_of(detector(), loss=loss, freeze=["unused"])
    whole = trainer.evaluate(BATCH)
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 4)
    assert trainer.evaluate(BATCH) == pytest.approx(whole, rel=1e-6)
    assert whole["loss"] == pytest.approx(whole["class_loss"] + whole["box_loss"])


def test_a_metric_is_of_the_output_that_it_names(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(detector(), loss={"class": "cross-entropy", "box": "l1"}, target="onnx")
    scores = trainer.evaluate(BATCH, metrics=["class_f1", "box_mae"])
    assert {"class_accuracy", "class_f1", "box_mae"} < scores.keys()
    both = trainer_of(detector(), loss={"class": "l1", "box": "l1"}, target="onnx")
    batch = {"x": BATCH["x"], "class_target": BATCH["x"][:, :3], "box_target": BATCH["box_target"]}
    found = both.evaluate(batch, metrics=["box_mae"])
    assert found.keys() == {"loss", "class_loss", "box_loss", "box_mae"}
    with pytest.raises(svgd_onnx.UserError, match="'f1' does not fit"):
        trainer.evaluate(BATCH, metrics=["box_f1"])


def test_what_the_folder_says(trainer_of: MakeTrainer) -> None:
    manifest = trainer_of(detector(), loss=BOTH, freeze=["unused"]).manifest
    assert [each.name for each in manifest.arrays] == ["x", "class_labels", "box_target"]
    assert [(each.loss, each.weight) for each in manifest.losses] == [
        ("cross-entropy", 1.0),
        ("l1", 0.5),
    ]
    alone = trainer_of(detector(), loss="l1", prediction="box", freeze=["a", "unused"]).manifest
    assert alone.losses == []
    assert alone.label is not None
    assert alone.label.name == "target"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_labels": np.array([0, 2, 1, 3, 0, 2])}, "'class_labels' .* has 3 in row 3"),
        ({"box_target": BATCH["box_target"][:, :1]}, r"'box_target' .* has shape \(6, 1\)"),
        ({"class_labels": np.eye(3)[BATCH["class_labels"]]}, "'class_labels' .* as if a class"),
        ({"labels": BATCH["class_labels"]}, "Array 'labels' .* is no input of the model"),
    ],
)
def test_data_are_refused_by_the_name_of_the_array(
    change: dict[str, np.ndarray], message: str, trainer_of: MakeTrainer
) -> None:
    trainer = trainer_of(detector(), loss=BOTH, freeze=["unused"])
    with pytest.raises(svgd_onnx.UserError, match=message):
        trainer.evaluate({**BATCH, **change})


@TARGETS
def test_a_label_out_of_range_is_found_by_the_step_where_sizes_are_open(
    target: str, trainer_of: MakeTrainer
) -> None:
    """Two arrays hold the number; that of the loss which refuses it is named."""
    net = Network()
    net.node("MatMul", "x", net.weight("v", 4, 3), output="one")
    net.node("MatMul", "x", net.weight("w", 4, 3), output="two")
    shape = net.constant("shape", np.array([0, -1]))
    net.node("Reshape", net.node("Concat", "one", "one", axis=1), shape, output="wide")
    outputs = {"wide": ("batch", "c"), "two": ("batch", "d")}
    smooth = OutputLoss(settings=LossSettings(label_smoothing=0.1))
    model = net.model({"x": ("batch", 4)}, outputs)
    trainer = trainer_of(model, loss={"wide": smooth, "two": smooth}, target=target)
    batch = {"x": BATCH["x"][:2], "wide_labels": np.array([5, 4]), "two_labels": np.array([1, 5])}
    with pytest.raises(svgd_onnx.UserError, match="Array 'two_labels' in the batch has 5 in row 1"):
        trainer.train_step(batch, 0.1)


def test_a_loss_of_the_models_own_beside_another(trainer_of: MakeTrainer) -> None:
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    net.node("ReduceMean", net.node("Mul", value, value), keepdims=0, output="penalty")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3), "penalty": ()})
    trainer = trainer_of(model, loss={"y": "mse", "penalty": OutputLoss("none", 0.1)}, verify=True)
    y = BATCH["x"].astype(np.float64) @ trainer.tensor("w")
    found = trainer.evaluate({"x": BATCH["x"], "y_target": np.ones((6, 3), np.float32)})
    mse, penalty = ((y - 1) ** 2).mean(), (y**2).mean()
    assert found == pytest.approx(
        {"loss": mse + 0.1 * penalty, "y_loss": mse, "penalty_loss": penalty}, rel=1e-6
    )


def test_a_file_beside_another_and_names_that_are_taken(
    tmp_path: Path, trainer_of: MakeTrainer
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 19]>
        own (float[n, c] prediction, float[n, c] target) => (float loss) {
            d = Sub (prediction, target)
            e = Abs (d)
            loss = ReduceSum <keepdims = 0> (e)
        }"""
    onnx.save(parser.parse_model(text), tmp_path / "own.onnx")
    loss = {"class": "cross-entropy", "box": OutputLoss(tmp_path / "own.onnx", 0.5)}
    model = detector("box_target")  # a tensor within the model
    trainer = trainer_of(model, loss=loss, freeze=["unused"], verify=True)
    assert [each.name for each in trainer.manifest.arrays] == ["x", "class_labels", "box_target"]
    found = trainer.evaluate(BATCH)
    box = np.tanh(BATCH["x"] @ trainer.tensor("w")) @ trainer.tensor("b")
    assert found["box_loss"] == pytest.approx(np.abs(box - BATCH["box_target"]).sum(), rel=1e-6)


def test_one_loss_with_a_weight(trainer_of: MakeTrainer) -> None:
    options: dict[str, Any] = {"freeze": ["a", "unused"]}
    half = trainer_of(detector(), loss={"box": OutputLoss("mse", 0.5)}, **options)
    whole = trainer_of(detector(), loss="mse", prediction="box", **options)
    batch = {"x": BATCH["x"], "box_target": BATCH["box_target"]}
    found = whole.evaluate({"x": BATCH["x"], "target": BATCH["box_target"]})
    assert half.evaluate(batch)["loss"] == pytest.approx(found["loss"] / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": {"other": "mse"}}, "loss 'other' is no output of the model: it has class, box"),
        ({"loss": {}}, "loss is empty"),
        ({"loss": {"box": OutputLoss("mse", 0.0)}}, "'box': loss has the weight 0.0"),
        ({"loss": {"box": "other"}}, "For the output 'box': Unknown loss 'other'"),
        ({"loss": {"box": "mse"}, "prediction": "box"}, "leave out prediction"),
        ({"loss": BOTH, "loss_settings": LossSettings(margin=2.0)}, "leave out loss_settings"),
        (
            {"loss": {"box": OutputLoss("mse", settings=LossSettings(class_axis=1))}},
            "For the output 'box': class_axis goes with",
        ),
        (
            {"loss": {"class": OutputLoss(settings=LossSettings(class_axis=2)), "box": "mse"}},
            "For the output 'class': .*axis 2 cannot hold the classes",
        ),
        ({"loss": BOTH, "gradient": "example"}, "does not go with means and sums together"),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=message):
        svgd_onnx.convert(detector(), tmp_path / "a", freeze=["unused"], **options)


def test_probabilities_are_refused_in_any_of_them(tmp_path: Path) -> None:
    net = Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    power = net.node("Exp", net.node("MatMul", "x", net.weight("v", 4, 3)))
    total = net.node("ReduceSum", power, net.constant("axes", np.array([1])))
    root = net.node("Sqrt", net.node("Mul", total, total))
    net.node("Div", power, root, output="p")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3), "p": ("batch", 3)})
    with pytest.raises(svgd_onnx.UserError, match="The prediction 'p' looks like probabilities"):
        svgd_onnx.convert(model, tmp_path / "a", loss={"y": "mse", "p": "cross-entropy"})


def test_a_damaged_list_of_losses(tmp_path: Path) -> None:
    svgd_onnx.convert(detector(), tmp_path / "a", loss=BOTH, freeze=["unused"], verify=False)
    path = tmp_path / "a" / "svgd.json"
    content = json.loads(path.read_text())
    content["losses"][1]["prediction"] = "other"
    path.write_text(json.dumps(content))
    with pytest.raises(svgd_onnx.UserError, match="is damaged"):
        svgd_onnx.Trainer(tmp_path / "a")
