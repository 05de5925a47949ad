"""The drawing of a training graph for a paper."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

import models
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.graph.drawing import MOST_OPERATIONS
from svgd_onnx.graph.outline import LOSS, Outline, outline_of
from svgd_onnx.graph.sources import training_graph

SVG = "{http://www.w3.org/2000/svg}"


def drawn(model: onnx.ModelProto, folder: Path, **settings: object) -> Xml.Element:
    onnx.save(model, folder / "model.onnx")
    output = svgd_onnx.write_graph_drawing(
        folder / "model.onnx", folder / "graph.svg", target="onnx", **settings
    )
    return Xml.parse(output).getroot()


def texts(root: Xml.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def outline(model: onnx.ModelProto, folder: Path, **settings: object) -> Outline:
    onnx.save(model, folder / "model.onnx")
    return outline_of(training_graph(folder / "model.onnx", "onnx", settings))


def test_t_is_drawn_once_for_each_r_with_its_shape(tmp_path: Path) -> None:
    root = drawn(models.convolutional(), tmp_path)
    inspected = svgd_onnx.inspect(tmp_path / "model.onnx", target="onnx")
    states = {each.state: each.state_shape for each in inspected.operations if each.state}
    assert texts(root).count("T") == len(states)
    shapes = sorted(
        "r " + "\N{MULTIPLICATION SIGN}".join(map(str, each)) for each in states.values()
    )
    assert sorted(text for text in texts(root) if text.startswith("r ")) == shapes


def test_every_parameter_stands_above_and_its_gradient_beneath_if_it_is_trained(
    tmp_path: Path,
) -> None:
    found = texts(drawn(models.mlp(), tmp_path, freeze=["fc1.*"]))
    assert {"fc1.weight", "fc2.weight", "fc2.bias", "∇fc2.weight", "∇fc2.bias"} <= set(found)
    assert "∇fc1.weight" not in found


def test_gradients_go_back_between_the_operations_that_values_go_forward_between(
    tmp_path: Path,
) -> None:
    found = outline(models.mlp(), tmp_path)
    assert {(reader, source) for source, reader in found.forward} == set(found.backward)


def test_what_reads_t_is_apart_from_what_reads_dy_as_it_is(tmp_path: Path) -> None:
    steps = outline(models.mlp(), tmp_path).steps.values()
    with_t = [step for step in steps if step.states]
    assert with_t
    for step in with_t:
        assert [name.split(".")[-1] for name in step.virtual_gradients] == ["weight"]
        assert [name.split(".")[-1] for name in step.raw_gradients] == ["bias"]


def test_the_loss_is_one_box_at_the_end(tmp_path: Path) -> None:
    steps = outline(models.convolutional(), tmp_path).steps
    assert max(steps, key=lambda name: steps[name].column) == LOSS


def test_branches_stand_in_places_of_their_own(tmp_path: Path) -> None:
    steps = outline(models.residual(), tmp_path).steps.values()
    places = [(step.column, step.lane) for step in steps]
    assert len(set(places)) == len(places)


def test_names_are_text(tmp_path: Path) -> None:
    network = Network()
    network.node("MatMul", "image", network.weight("<b>&<!--", 4, 4), output="logits")
    root = drawn(network.model({"image": ("N", 4)}, {"logits": ("N", 4)}), tmp_path)
    assert not [each for each in root.iter() if each.tag == f"{SVG}b"]
    assert any("<b>&<!--" in text for text in texts(root))


def test_a_large_model_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    network = Network()
    value = "image"
    for layer in range(MOST_OPERATIONS):
        value = network.node("MatMul", value, network.weight(f"w{layer}", 4, 4))
    network.node("Identity", value, output="logits")
    with pytest.raises(svgd_onnx.UserError, match="A drawing has room for"):
        drawn(network.model({"image": ("N", 4)}, {"logits": ("N", 4)}), tmp_path)
    assert not (tmp_path / "graph.svg").exists()
