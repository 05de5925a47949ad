"""What has no axis of examples, or has it elsewhere than first, and how it is then trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Network
from onnx import TensorProto, helper

import svgd_onnx
from svgd_onnx.targets import TARGETS

Axes = dict[str, "int | None"]


def typed(model: onnx.ModelProto, *integers: str) -> onnx.ModelProto:
    """With some inputs of int64."""
    for value in model.graph.input:
        if value.name in integers:
            value.type.tensor_type.elem_type = TensorProto.INT64
    return model


def distances() -> onnx.ModelProto:
    """Each point's inner products with some references, which are the same for all."""
    net = Network()
    moved = net.node("MatMul", "x", net.weight("w", 3, 3))
    net.node("MatMul", moved, net.node("Transpose", "references", perm=[1, 0]), output="y")
    return net.model({"x": ("N", 3), "references": (5, 3)}, {"y": ("N", 5)})


def time_major(time: int | str = 7) -> onnx.ModelProto:
    """x (T, N, 4) -> y (T, N, 3)."""
    net = Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    return net.model({"x": (time, "N", 4)}, {"y": (time, "N", 3)})


def recurrent() -> onnx.ModelProto:
    """An LSTM over (5, s0, 4), whose name says nothing."""
    net = Network()
    weights = (net.weight("w", 1, 12, 4), net.weight("r", 1, 12, 3), net.weight("b", 1, 24))
    net.nodes.append(
        helper.make_node("LSTM", ["x", *weights], ["all", "last"], name="lstm", hidden_size=3)
    )
    net.node("Squeeze", "all", net.constant("axes", np.array([1])), output="y")
    return net.model({"x": (5, "s0", 4)}, {"y": (5, "s0", 3)})


def squeezed() -> onnx.ModelProto:
    """One sequence (1, T, 4) -> a class for each of its elements (T, 3)."""
    net = Network()
    scores = net.node("MatMul", "x", net.weight("w", 4, 3))
    net.node("Squeeze", scores, net.constant("axes", np.array([0])), output="y")
    return net.model({"x": (1, "T", 4)}, {"y": ("T", 3)})


def graph_network() -> onnx.ModelProto:
    """Nodes (V, 4), edges (2, E): messages from each edge's first node to its second."""
    net = Network()
    one, zero = net.constant("one", np.array(1)), net.constant("zero", np.array(0))
    own = net.node("MatMul", "x", net.weight("w", 4, 3))
    messages = net.node("Gather", own, net.node("Gather", "edges", zero, axis=0), axis=0)
    ends = net.node("Gather", "edges", one, axis=0)
    columns = net.node("Unsqueeze", ends, net.constant("axis", np.array([1])))
    places = net.node("Expand", columns, net.node("Shape", messages))
    net.node("ScatterElements", own, places, messages, axis=0, reduction="add", output="y")
    model = net.model({"x": ("V", 4), "edges": (2, "E")}, {"y": ("V", 3)}, opset=18, check=False)
    return typed(model, "edges")


def scaled() -> onnx.ModelProto:
    """A number, as a sampling rate, that is no example."""
    net = Network()
    net.node("Mul", net.node("MatMul", "x", net.weight("w", 4, 3)), "rate", output="y")
    return net.model({"x": ("N", 4), "rate": ()}, {"y": ("N", 3)})


def four_grades() -> onnx.ModelProto:
    """x (1, 3, 5) -> y (4): an example each, whose grades do not lie along the axis of 1."""
    net = Network()
    pooled = net.node("ReduceMean", "x", axes=[1], keepdims=0)
    grades = net.node("MatMul", pooled, net.weight("w", 5, 4))
    net.node("Squeeze", grades, net.constant("first", np.array([0])), output="y")
    return net.model({"x": (1, 3, 5)}, {"y": (4,)})


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], dict[str, Any], Axes]] = {
    "references": (distances, {}, {"x": 0, "references": None, "labels": 0}),
    "scalar": (scaled, {}, {"x": 0, "rate": None, "labels": 0}),
    "time first": (time_major, {"class_axis": 2}, {"x": 1, "labels": 1}),
    "open time": (lambda: time_major("T"), {"class_axis": 2}, {"x": 1, "labels": 1}),
    "recurrent": (recurrent, {"class_axis": 2}, {"x": 1, "labels": 1}),
    "grades": (four_grades, {"loss": "mse"}, {"x": None, "target": None}),
    "squeezed": (squeezed, {}, {"x": None, "labels": None}),
    "graph": (graph_network, {}, {"x": None, "edges": None, "labels": None}),
}


def converted(model: onnx.ModelProto, folder: Path, **options: Any) -> svgd_onnx.Manifest:
    settings = svgd_onnx.LossSettings(class_axis=options.pop("class_axis", None))
    return svgd_onnx.convert(model, folder, loss_settings=settings, **options)


@pytest.mark.parametrize("name", CASES)
def test_the_axis_of_examples_is_told_from_the_model(name: str, tmp_path: Path) -> None:
    build, options, axes = CASES[name]
    manifest = converted(build(), tmp_path / "artifacts", target="onnx", **options)
    assert {each.name: each.batch_axis for each in manifest.arrays} == axes
    loaded = svgd_onnx.Manifest.load(tmp_path / "artifacts")
    assert loaded.arrays == manifest.arrays


def test_a_label_of_a_model_of_one_example_may_be_of_any_size(tmp_path: Path) -> None:
    converted(four_grades(), tmp_path / "artifacts", target="onnx", loss="mse")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    data = {"x": np.ones((6, 1, 3, 5), np.float32), "target": np.ones((6, 4), np.float32)}
    first = trainer.evaluate(data)["loss"]
    trainer.train(data, epochs=1, batch_size=1, learning_rate=0.01)
    assert trainer.evaluate(data)["loss"] < first


def test_a_user_decides_in_doubt(tmp_path: Path) -> None:
    axes = {"references": 0}
    manifest = converted(distances(), tmp_path / "artifacts", target="onnx", batch_axis=axes)
    assert {each.name: each.batch_axis for each in manifest.inputs} == {"x": 0, "references": 0}


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [({"z": 0}, "names 'z', which is no input or output"), ({"x": 2}, "says axis 2 of 'x'")],
)
def test_an_axis_that_there_is_not(axes: Axes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        converted(distances(), tmp_path / "artifacts", target="onnx", batch_axis=axes)


def test_classes_are_not_on_the_axis_of_examples(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="Axis 1 of the logits 'y' has the examples"):
        converted(time_major(), tmp_path / "artifacts", target="onnx", class_axis=1)


@pytest.mark.parametrize("target", TARGETS)
def test_examples_are_taken_along_their_axis(target: str, tmp_path: Path) -> None:
    """The same training as of the model with examples first."""
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(6, 7, 4)).astype(np.float32), random.integers(3, size=(6, 7))
    first = Network()
    first.node("MatMul", "x", first.weight("w", 4, 3), output="y")
    model = first.model({"x": ("N", 7, 4)}, {"y": ("N", 7, 3)})
    found = []
    for name, each, axis in (("first", model, 0), ("second", time_major(), 1)):
        folder = tmp_path / name
        converted(each, folder, target=target, class_axis=2, optimizer="sgd")
        trainer = svgd_onnx.Trainer(folder)
        data = {"x": np.moveaxis(x, 0, axis), "labels": np.moveaxis(labels, 0, axis)}
        trainer.train(data, epochs=2, batch_size=4, learning_rate=0.5, validation=data)
        found.append((trainer.tensor("w"), trainer.evaluate(data)["loss"]))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_what_has_no_axis_is_given_whole(target: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = {
        "x": random.normal(size=(9, 3)).astype(np.float32),
        "references": random.normal(size=(5, 3)).astype(np.float32),
        "labels": random.integers(5, size=9),
    }
    converted(distances(), tmp_path / "artifacts", target=target, optimizer="sgd")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    weight = trainer.tensor("w").astype(np.float64)
    logits = data["x"] @ weight @ data["references"].T
    shifted = logits - logits.max(1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    right = -log[np.arange(9), data["labels"]].mean()
    assert trainer.evaluate(data)["loss"] == pytest.approx(right, rel=1e-5)
    trainer.train(data, epochs=3, batch_size=2, learning_rate=0.1)
    assert trainer.step == 12
    assert trainer.evaluate(data)["loss"] < right


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_of_one_example_takes_one_a_step(target: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    nodes = random.normal(size=(3, 5, 4)).astype(np.float32)
    edges = np.array([[0, 1, 2, 3], [1, 2, 3, 4]])
    labels = random.integers(3, size=(3, 5))
    converted(graph_network(), tmp_path / "artifacts", target=target, optimizer="sgd")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    every = {"x": nodes, "edges": edges, "labels": labels}  # edges are the same for all
    alone = [{"x": nodes[at], "edges": edges, "labels": labels[at]} for at in range(3)]
    mean = np.mean([trainer.evaluate(each)["loss"] for each in alone])
    assert trainer.evaluate(every)["loss"] == pytest.approx(mean, rel=1e-5)
    trainer.train(every, epochs=1, batch_size=1, learning_rate=0.1)
    assert trainer.step == 3
    assert trainer.train_step(alone[0], 0.1) > 0
    with pytest.raises(svgd_onnx.UserError, match="takes one example, without a batch axis: use 1"):
        trainer.train(every, epochs=5, batch_size=2, learning_rate=0.1, resume=True)
    with pytest.raises(svgd_onnx.UserError, match="There are 3 examples in the batch"):
        trainer.train_step(every, 0.1)


def test_an_augmentation_is_given_what_is_whole_as_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    data = {
        "x": random.normal(size=(4, 3)).astype(np.float32),
        "references": random.normal(size=(5, 3)).astype(np.float32),
        "labels": random.integers(5, size=4),
    }
    converted(distances(), tmp_path / "artifacts", target="onnx")
    shapes = []

    def augment(batch: dict[str, np.ndarray], random: np.random.Generator) -> Any:
        shapes.append({name: array.shape for name, array in batch.items()})
        return batch

    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    trainer.train(data, epochs=1, batch_size=2, learning_rate=0.1, augment=augment)
    assert shapes[0] == {"x": (2, 3), "references": (5, 3), "labels": (2,)}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_right(name: str) -> None:
    build, options, _ = CASES[name]
    settings = svgd_onnx.LossSettings(class_axis=options.get("class_axis"))
    loss = options.get("loss", "cross-entropy")
    found = svgd_onnx.check(build(), loss=loss, loss_settings=settings, differentiator="own")
    assert all(each.is_right() for each in found)


def test_examples_are_not_counted_along_another_axis(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="counts examples along the first axis"):
        converted(squeezed(), tmp_path / "artifacts", target="onnx", gradient="example")


def offsets() -> onnx.ModelProto:
    """The first of some numbers in one long list, from an offset for each example on."""
    net = Network()
    net.node("Gather", net.weight("table", 9, 3), net.node("Gather", "ids", "offsets"), output="y")
    model = net.model({"ids": ("L",), "offsets": ("N",)}, {"y": ("N", 3)}, check=False)
    return typed(model, "ids", "offsets")


def adjacency() -> onnx.ModelProto:
    """A matrix of all pairs of nodes."""
    net = Network()
    net.node("MatMul", "pairs", net.node("MatMul", "x", net.weight("w", 4, 3)), output="y")
    return net.model({"x": ("V", 4), "pairs": ("V", "V")}, {"y": ("V", 3)})


def test_pairs_belong_together(tmp_path: Path) -> None:
    manifest = converted(adjacency(), tmp_path / "artifacts", target="onnx")
    axes = {each.name: each.batch_axis for each in manifest.arrays}
    assert axes == {"x": None, "pairs": None, "labels": None}
    assert manifest.takes_one_example and manifest.batch_size == 1


def test_a_list_that_examples_point_into_is_whole(tmp_path: Path) -> None:
    manifest = converted(offsets(), tmp_path / "artifacts", target="onnx")
    assert {each.name: each.batch_axis for each in manifest.inputs} == {"ids": None, "offsets": 0}


def test_t_acts_on_the_layers_of_a_model_that_takes_one_example(tmp_path: Path) -> None:
    """Though the label, from whose axis the example's is squeezed away, has an open first axis."""
    net = Network()
    value = net.node("Relu", net.node("MatMul", "x", net.weight("w", 4, 5)))
    value = net.node("MatMul", value, net.weight("v", 5, 1))
    net.node("Reshape", value, net.constant("flat", np.array([-1])), output="y")
    model = net.model({"x": (1, "length", 4)}, {"y": ("length",)})
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", loss="mse")
    assert [each.state_shape for each in manifest.operations] == [[5], [1]]
