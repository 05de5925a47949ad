"""What a loss reads where a prediction ends in an activation."""

from __future__ import annotations

from pathlib import Path

import control_flow_models
import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network

import svgd_onnx

CLASSES = 3


class Head(Network):
    """x (batch, 4) -> product with `w`, called logits; then what a test adds."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.logits = self.node("MatMul", "x", self.weight("w", 4, classes), output="logits")

    def indices(self, name: str, *numbers: int) -> str:
        return self.constant(name, np.array(numbers))

    def one(self) -> str:
        return self.constant("one", np.array(1, np.float32))


def reduced(head: Head, operator: str, value: str) -> str:
    axes = {"axes": [1]} if operator == "ReduceMax" else {}
    inputs = [] if axes else [head.indices("axis", 1)]
    return head.node(operator, value, *inputs, keepdims=1, **axes)


def softmax(head: Head) -> str:
    return head.node("Softmax", head.logits, axis=1)


def softmax_written_out(head: Head) -> str:
    shifted = head.node("Sub", head.logits, reduced(head, "ReduceMax", head.logits))
    powers = head.node("Exp", shifted)
    return head.node("Div", powers, reduced(head, "ReduceSum", powers))


def softmax_without_maximum(head: Head) -> str:
    powers = head.node("Exp", head.logits)
    return head.node("Div", powers, reduced(head, "ReduceSum", powers))


def softmax_of_jax(head: Head) -> str:
    """Reduced axes are taken away, put back and spread; the maximum is at least -inf."""

    def spread(value: str) -> str:
        column = head.node("Reshape", value, head.indices(f"{value}.column", -1, 1))
        whole = head.node("Shape", head.logits)
        return head.node("Expand", column, whole)

    least = head.constant("least", np.array(-np.inf, np.float32))
    maximum = head.node("ReduceMax", head.logits, axes=[1], keepdims=0)
    shifted = head.node("Sub", head.logits, spread(head.node("Max", least, maximum)))
    powers = head.node("Exp", shifted)
    total = head.node("ReduceSum", powers, head.indices("axis", 1), keepdims=0)
    return head.node("Div", powers, spread(total))


def softmax_cast(head: Head) -> str:
    return head.node("Cast", head.node("Identity", softmax(head)), to=1)


def softmax_of_two_axes(head: Head) -> str:
    """(batch, 1, 3), of which the middle axis is taken away again."""
    deep = head.node("Unsqueeze", head.logits, head.indices("middle", 1))
    return head.node(
        "Gather", head.node("Softmax", deep, axis=2), head.constant("0", np.array(0)), axis=1
    )


SOFTMAXES = [
    softmax,
    softmax_written_out,
    softmax_without_maximum,
    softmax_of_jax,
    softmax_cast,
    softmax_of_two_axes,
]


def loss_of(model: onnx.ModelProto, target: np.ndarray, folder: Path, loss: str) -> float:
    manifest = svgd_onnx.convert(model, folder, loss=loss, target="onnx", optimizer="sgd")
    assert manifest.label is not None
    return svgd_onnx.Trainer(folder).train_step({"x": X, manifest.label.name: target}, 0.1)


X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@pytest.mark.parametrize("end", SOFTMAXES)
def test_cross_entropy_is_of_the_logits_under_a_softmax(end: object, tmp_path: Path) -> None:
    head = Head()
    head.node("Identity", end(head), output="y")  # type: ignore[operator]
    model = head.model({"x": ("batch", 4)}, {"y": ("batch", CLASSES)})
    labels = np.array([0, 1, 2, 1, 0])
    (probabilities,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})
    expected = -np.log(probabilities[np.arange(5), labels]).mean()
    assert loss_of(model, labels, tmp_path / "a", "cross-entropy") == pytest.approx(
        expected, rel=1e-5
    )


def sigmoid(head: Head) -> str:
    return head.node("Sigmoid", head.logits)


def sigmoid_written_out(head: Head) -> str:
    powers = head.node("Exp", head.node("Neg", head.logits))
    return head.node("Div", head.one(), head.node("Add", powers, "one"))


def gathered(head: Head, value: str) -> str:
    return head.node("Gather", value, head.constant("column", np.array(0)), axis=1)


def sliced(head: Head, value: str) -> str:
    ends = (head.indices("start", 0), head.indices("end", 1), head.indices("columns", 1))
    return head.node("Squeeze", head.node("Slice", value, *ends), "columns")


@pytest.mark.parametrize("end", [sigmoid, sigmoid_written_out])
@pytest.mark.parametrize("part", [gathered, sliced])
def test_binary_cross_entropy_is_of_the_logits_under_a_sigmoid(
    end: object, part: object, tmp_path: Path
) -> None:
    head = Head()
    head.node("Identity", part(head, end(head)), output="y")  # type: ignore[operator]
    model = head.model({"x": ("batch", 4)}, {"y": ("batch",)})
    target = np.array([0, 1, 1, 0, 1], np.float32)
    (probability,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})
    expected = -np.log(np.where(target == 1, probability, 1 - probability)).mean()
    found = loss_of(model, target, tmp_path / "a", "bce-with-logits")
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_part_of_the_classes_is_refused(tmp_path: Path) -> None:
    head = Head()
    ends = (head.indices("start", 0), head.indices("end", 2), head.indices("columns", 1))
    head.node("Slice", softmax(head), *ends, output="y")
    model = head.model({"x": ("batch", 4)}, {"y": ("batch", 2)})
    with pytest.raises(svgd_onnx.UserError, match="'y' is a part of what a Softmax gives"):
        svgd_onnx.convert(model, tmp_path / "artifacts")


def test_another_activation_is_warned_of(tmp_path: Path) -> None:
    head = Head()
    head.node("Sigmoid", head.logits, output="y")
    model = head.model({"x": ("batch", 4)}, {"y": ("batch", CLASSES)})
    with pytest.warns(
        UserWarning, match="'y' ends in Sigmoid, and the loss cross-entropy takes it"
    ):
        svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")


def test_what_is_said_to_be_logits_is_taken_as_it_stands(tmp_path: Path) -> None:
    head = Head()
    head.node("Identity", softmax(head), output="y")
    model = head.model({"x": ("batch", 4)}, {"y": ("batch", CLASSES)})
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})
    labels = np.array([0, 1, 2, 1, 0])
    expected = np.mean(np.log(np.exp(y).sum(axis=1)) - y[np.arange(5), labels])
    settings = svgd_onnx.LossSettings(from_logits=True)
    svgd_onnx.convert(model, tmp_path / "a", loss_settings=settings, target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    assert trainer.evaluate({"x": X, "labels": labels})["loss"] == pytest.approx(expected, rel=1e-5)


def averaged(frames: int) -> onnx.ModelProto:
    """x (N, frames, 3) -> a probability for each frame -> their mean, y (N, 1)."""
    net = Network()
    chances = net.node("Sigmoid", net.node("MatMul", "x", net.weight("w", 3, 1)))
    net.node("ReduceMean", chances, output="y", axes=[1], keepdims=0)
    return net.model({"x": ("N", frames, 3)}, {"y": ("N", 1)})


def test_a_mean_over_one_place_is_looked_through(tmp_path: Path) -> None:
    model, loss = averaged(1), "bce-with-logits"
    svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", loss=loss)
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(4, 1, 3)).astype(np.float32),
        "target": random.random((4, 1)).astype(np.float32),
    }
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (chance,) = session.run(None, {"x": batch["x"]})
    target = batch["target"]
    expected = -np.mean(target * np.log(chance) + (1 - target) * np.log(1 - chance))
    found = svgd_onnx.Trainer(tmp_path / "artifacts").evaluate(batch)["loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_mean_of_probabilities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="comes out of ReduceMean .* a Sigmoid gives"):
        svgd_onnx.convert(
            averaged(2), tmp_path / "artifacts", target="onnx", loss="bce-with-logits"
        )


def test_an_activation_in_a_branch_is_not_taken_for_logits(tmp_path: Path) -> None:
    model = control_flow_models.model(
        """g (float[N,4] x) => (float[N,4] y) <float zero = {0}> {
            logits = MatMul(x, w)
            sum = ReduceSum <keepdims = 0> (x)
            big = Greater(sum, zero)
            y = If (big) <then_branch = tb () => (t) { t = Sigmoid(logits) },
                          else_branch = eb () => (e) { e0 = Neg(logits) e = Sigmoid(e0) }>
        }""",
        w=(4, 4),
    )
    said = "comes out of If '.*', in whose body a Sigmoid gives it"
    with pytest.raises(svgd_onnx.UserError, match=said):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="bce-with-logits")
    chosen = svgd_onnx.LossSettings(from_logits=True)
    svgd_onnx.convert(
        model, tmp_path / "b", target="onnx", loss="bce-with-logits", loss_settings=chosen
    )
