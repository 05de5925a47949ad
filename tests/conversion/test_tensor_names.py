"""A model's own tensors may have the names that conversion gives to tensors of its own, and keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import TARGETS

PLAIN = ("x", "a", "b", "c", "d", "h0", "h1", "h2", "y")
# Each where a user would know it: the input, four parameters, three hidden values, the output.
BUSY = [
    (
        "labels",
        "w",
        "w_grad",
        "w.new",
        "svgd.r.w",
        "svgd.loss",
        "target",
        "w_grad_grad",
        "w_grad_0",
    ),
    (
        "svgd.loss",
        "labels",
        "svgd.learning_rate",
        "svgd.r.labels",
        "labels.new",
        "labels_grad",
        "labels.new_grad",
        "labels/use_0",
        "svgd.steps",
    ),
    (
        "svgd.loss_grad",
        "v/use_0",
        "v",
        "v.first_moment",
        "v.second_moment",
        "v/Gemm_0",
        "svgd.update",
        "lazy_reset_grad",
        "y_grad",
    ),
    ("x", "svgd.loss", "svgd.loss_grad", "c", "d", "h0", "h1", "h2", "y"),
]


def network(names: Sequence[str]) -> onnx.ModelProto:
    """Two layers; the first weight is used twice."""
    x, a, b, c, d, h0, h1, h2, y = names
    net = Network()
    first = net.weight(a, 4, 4)
    net.node("Gemm", x, first, net.weight(b, 4), output=h0)
    net.node("Relu", h0, output=h1)
    net.node("MatMul", h1, first, output=h2)
    net.node("Gemm", h2, net.weight(c, 4, 3), net.weight(d, 3), output=y)
    return net.model({x: ("batch", 4)}, {y: ("batch", 3)})


def trained(
    names: Sequence[str], folder: Path, target: str, optimizer: str
) -> tuple[list[float], Path]:
    """The losses of some steps, and the exported model."""
    settings = {"target": target, "optimizer": optimizer, "t_scope": ["all-linear"]}
    svgd_onnx.convert(network(names), folder, **settings)
    trainer = svgd_onnx.Trainer(folder)
    label = trainer.manifest.label
    assert label is not None
    random = np.random.default_rng(1)
    batch = {
        names[0]: random.normal(size=(8, 4)).astype(np.float32),
        label.name: random.integers(3, size=8),
    }
    losses = [trainer.train_step(batch, 0.1) for _ in range(3)]
    losses.append(trainer.evaluate(batch)["loss"])
    trainer.save()
    losses.append(svgd_onnx.Trainer(folder).train_step(batch, 0.1))
    trainer.export(folder / "trained.onnx")
    return losses, folder / "trained.onnx"


@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("names", BUSY, ids=["gradients", "labels", "states", "loss"])
def test_a_tensor_may_have_any_name(
    names: Sequence[str], target: str, optimizer: str, tmp_path: Path
) -> None:
    losses, path = trained(names, tmp_path / "busy", target, optimizer)
    expected, plain = trained(PLAIN, tmp_path / "plain", target, optimizer)
    assert losses == expected
    data = np.ones((2, 4), np.float32)
    given = onnxruntime.InferenceSession(path).run([names[-1]], {names[0]: data})
    right = onnxruntime.InferenceSession(plain).run(["y"], {"x": data})
    np.testing.assert_array_equal(given[0], right[0])
    weights = {each.name for each in onnx.load(path).graph.initializer}
    assert weights >= set(names[1:5])


@pytest.mark.parametrize("names", BUSY, ids=["gradients", "labels", "states", "loss"])
def test_what_a_folder_says_has_the_names_of_the_file(names: Sequence[str], tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(network(names), tmp_path / "artifacts", target="onnx")
    assert {each.name for each in manifest.parameters} == set(names[1:5])
    assert [each.name for each in manifest.inputs] == [names[0]]
    text = (tmp_path / "artifacts" / "svgd.json").read_text()
    assert unquoted(text) == text and "\\ue0" not in text


def test_the_name_that_safetensors_keeps_for_itself_is_refused(tmp_path: Path) -> None:
    net = Network()
    net.node("MatMul", "x", net.weight("__metadata__", 4, 3), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})
    with pytest.raises(svgd_onnx.UserError, match="cannot hold a tensor called '__metadata__'"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")
    assert not (tmp_path / "a").exists()


def test_globs_and_checks_know_the_names_of_the_file() -> None:
    names = BUSY[0]
    found = svgd_onnx.check(network(names), train=["w*", "svgd.r.w"], only=["w_grad"])
    assert [each.parameter for each in found] == ["w_grad"]
    assert found[0].is_right()


def test_a_model_in_memory_stays_as_it_is(tmp_path: Path) -> None:
    model = network(BUSY[1])
    before = model.SerializeToString()
    svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")
    assert model.SerializeToString() == before
