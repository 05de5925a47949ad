"""Layers say along which axis they have examples, and what a user says has to go with the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import cli

Shape = tuple["int | str | None", ...]


def recurrent(x: Shape, y: Shape, *, examples_first: bool = False) -> onnx.ModelProto:
    """A GRU -> the last state, or, where y has three axes, the states, times a matrix."""
    net = Network()
    weights = (net.weight("w", 1, 18, 4), net.weight("r", 1, 18, 6), net.weight("b", 1, 36))
    read = net.node("Transpose", "x", perm=[1, 0, 2]) if examples_first else "x"
    all_states = net.node("GRU", read, *weights, hidden_size=6)
    net.nodes[-1].output.append("last")
    states, axis = (all_states, 1) if len(y) == 3 else ("last", 0)
    states = net.node("Squeeze", states, net.constant("axis", np.array([axis])))
    if examples_first and len(y) == 3:
        states = net.node("Transpose", states, perm=[1, 0, 2])
    net.node("MatMul", states, net.weight("v", 6, 3), output="y")
    return net.model({"x": x}, {"y": y})


def frames() -> onnx.ModelProto:
    """A convolution over each frame of a video (1, F, 2, 5, 5), and one prediction for all."""
    net = Network()
    axis = net.constant("axis", np.array([0]))
    convolved = net.node("Conv", net.node("Squeeze", "x", axis), net.weight("w", 3, 2, 5, 5))
    net.node("ReduceMean", net.node("Flatten", convolved), axes=[0], output="y")
    return net.model({"x": (1, "F", 2, 5, 5)}, {"y": (1, 3)})


def convolution_with_channels_last() -> onnx.ModelProto:
    """A convolution over the first axis of (5, N, 2)."""
    net = Network()
    moved = net.node("Transpose", "x", perm=[1, 2, 0])
    convolved = net.node("Conv", moved, net.weight("w", 3, 2, 3))
    net.node("Transpose", convolved, perm=[2, 0, 1], output="y")
    return net.model({"x": (5, 4, 2)}, {"y": (3, 4, 3)})


def two_inputs(a: Shape, b: Shape, y: Shape) -> onnx.ModelProto:
    """The rows of a, and the sum of the rows of b."""
    net = Network()
    rows = net.node("MatMul", "b", net.weight("v", 2, 3))
    total = net.node("ReduceSum", rows, net.constant("axis", np.array([0])))
    net.node("Add", net.node("MatMul", "a", net.weight("w", 4, 3)), total, output="y")
    return net.model({"a": a, "b": b}, {"y": y})


def axes(
    model: onnx.ModelProto, folder: Path, *, loss: str = "mse", **options: Any
) -> dict[str, int | None]:
    manifest = svgd_onnx.convert(model, folder / "a", loss=loss, target="onnx", **options)
    assert manifest.verified is not None
    return {each.name: each.batch_axis for each in (*manifest.arrays, *manifest.outputs)}


TIME_FIRST = {
    "one example": ((5, 1, 4), (5, 1, 3), {}),
    "one example, last": ((5, 1, 4), (1, 3), {}),
    "several": ((5, 2, 4), (5, 2, 3), {}),
    "as many as steps": ((5, 5, 4), (5, 3), {}),
    "without names": ((None, None, 4), (None, None, 3), {"size": {"x.0": 5}}),
    "open steps, made fixed": (("T", 1, 4), ("T", 1, 3), {"size": {"T": 5}}),
    "kept": ((5, 1, 4), (5, 1, 3), {"fixed_batch": True}),
}


@pytest.mark.parametrize("name", TIME_FIRST)
def test_a_recurrent_layer_has_time_first(name: str, tmp_path: Path) -> None:
    x, y, options = TIME_FIRST[name]
    of_y = 1 if len(y) == 3 else 0
    assert axes(recurrent(x, y), tmp_path, **options) == {"x": 1, "target": of_y, "y": of_y}


@pytest.mark.parametrize("y", [(1, 5, 3), (1, 3)])
def test_examples_are_followed_through_a_transposition(y: Shape, tmp_path: Path) -> None:
    model = recurrent((1, 5, 4), y, examples_first=True)
    assert axes(model, tmp_path) == {"x": 0, "target": 0, "y": 0}


def test_a_convolution_has_examples_first(tmp_path: Path) -> None:
    found = axes(convolution_with_channels_last(), tmp_path)
    assert found == {"x": 1, "target": 1, "y": 1}


def test_what_the_prediction_has_lost_is_no_axis_of_examples(tmp_path: Path) -> None:
    assert axes(frames(), tmp_path, size={"F": 4})["x"] != 1


def test_a_fixed_batch_of_one_is_opened_where_the_layer_has_it(tmp_path: Path) -> None:
    """The same as a model with open examples first."""
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 5, 4)).astype(np.float32)
    target = random.normal(size=(3, 3)).astype(np.float32)
    losses = []
    for place, model in enumerate(
        (recurrent((5, 1, 4), (1, 3)), recurrent(("N", 5, 4), ("N", 3), examples_first=True))
    ):
        folder = tmp_path / str(place)
        svgd_onnx.convert(model, folder, loss="mse", target="onnx", optimizer="sgd")
        trainer = svgd_onnx.Trainer(folder)
        data = {"x": x if place else x.transpose(1, 0, 2), "target": target}
        losses.append([trainer.train_step(data, 0.1), trainer.train_step(data, 0.1)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


REFUSED: dict[str, tuple[onnx.ModelProto, dict[str, int | None], str]] = {
    "summed away": (
        two_inputs(("N", 4), ("M", 2), ("N", 3)),
        {"a": 0, "b": 0},
        "axis 0 of 'b', but the prediction 'y' has no axis that comes from it",
    ),
    "different sizes": (
        two_inputs((6, 4), (5, 2), (6, 3)),
        {"b": 0},
        "different numbers of examples: axis 0 of 'a' has 6, axis 0 of 'b' has 5",
    ),
    "of features": (
        recurrent((5, "N", 4), (5, "N", 3)),
        {"x": 2},
        "axis 2 of 'x', but the prediction 'y' has no axis",
    ),
    "of the output alone": (
        recurrent((5, "N", 4), (5, "N", 3)),
        {"y": 2},
        "axis 2 of 'y', which does not come from where inputs have their examples",
    ),
    "out of range": (recurrent((5, "N", 4), ("N", 3)), {"y": -3}, "axis -3 of 'y', which has 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_axis_that_is_none_of_examples(name: str, tmp_path: Path) -> None:
    model, given, sentence = REFUSED[name]
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        svgd_onnx.convert(model, tmp_path / "a", loss="mse", target="onnx", batch_axis=given)


@pytest.mark.parametrize("x", [("T", 1, 4), (None, 1, 4)])
def test_steps_may_be_open_and_examples_lie_behind_them(x: Shape, tmp_path: Path) -> None:
    model = recurrent(x, (x[0], 1, 3))
    manifest = svgd_onnx.convert(model, tmp_path / "a", loss="mse", target="onnx")
    assert [each.batch_axis for each in manifest.arrays] == [1, 1]
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    random = np.random.default_rng(0)
    for steps, examples in ((5, 2), (40, 3)):
        shapes = {"x": (steps, examples, 4), "target": (steps, examples, 3)}
        batch = {name: random.normal(size=each).astype("f4") for name, each in shapes.items()}
        losses = [trainer.train_step(batch, 0.1) for _ in range(3)]
        assert losses[-1] < losses[0]


def test_convert_says_where_examples_lie_and_how_to_say_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(recurrent((5, 1, 4), (1, 3)), tmp_path / "m.onnx")
    command = ["svgd-onnx", "convert", str(tmp_path / "m.onnx"), "--output", str(tmp_path / "a")]
    monkeypatch.setattr("sys.argv", [*command, "--loss", "mse", "--target", "onnx"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Examples lie along axis 1 of 'x'. If not: --batch-axis x=0." in capsys.readouterr().out
