"""Sizes: those that a user gives, and those that follow from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import cli
from svgd_onnx.transforms.canonicalize import canonicalize


def numbers(net: Network, *values: int) -> str:
    return net.constant(f"numbers_{len(net.initializers)}", np.array(values, np.int64))


def merged(*sizes: Any) -> onnx.ModelProto:
    """x (N, 4, 4, 8), as a sequence of length -1: (N, 16, 8)."""
    net = Network()
    count = net.node("Gather", net.node("Shape", "x"), numbers(net, 0))
    shape = net.node("Concat", count, numbers(net, -1), numbers(net, 8), axis=0)
    value = net.node("MatMul", net.node("Reshape", "x", shape), net.weight("w", 8, 8))
    net.node("ReduceMean", net.node("Relu", value), axes=[1], keepdims=0, output="y")
    return net.model({"x": ("N", *(sizes or (4, 4)), 8)}, {"y": ("N", 8)})


def halved() -> onnx.ModelProto:
    """The first half of x (N, 4, 16), whose end is computed."""
    net = Network()
    size = net.node("Gather", net.node("Shape", "x"), numbers(net, -1))
    half = net.node("Div", net.node("Add", size, numbers(net, 1)), numbers(net, 2))
    part = net.node("Slice", "x", numbers(net, 0), half, numbers(net, 2))
    value = net.node("MatMul", part, net.weight("w", 8, 8))
    net.node("ReduceMean", net.node("Relu", value), axes=[1], keepdims=0, output="y")
    return net.model({"x": ("N", 4, 16)}, {"y": ("N", 8)})


def shape_of_r(model: onnx.ModelProto, folder: Path, **options: Any) -> list[int]:
    manifest = svgd_onnx.convert(model, folder / "artifacts", target="onnx", **options)
    return manifest.operations[0].state_shape


@pytest.mark.parametrize(("model", "shape"), [(merged(), [16, 8]), (halved(), [4, 8])])
def test_r_is_of_each_element_where_sizes_follow(
    model: onnx.ModelProto, shape: list[int], tmp_path: Path
) -> None:
    assert shape_of_r(model, tmp_path) == shape


def test_a_size_that_does_not_follow_stays_open() -> None:
    graph = canonicalize(ir.from_proto(merged("height", "width"))).graph
    reshape = next(node for node in graph if node.op_type == "Reshape")
    assert [str(dim) for dim in reshape.outputs[0].shape or ()] == ["N", "None", "8"]


def test_a_user_gives_sizes(tmp_path: Path) -> None:
    sizes = {"height": 4, "w*": 2}
    assert shape_of_r(merged("height", "width"), tmp_path, size=sizes) == [8, 8]


def test_a_size_of_no_axis(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=r"size 'depth' is no open axis .* has N, height"):
        svgd_onnx.convert(merged("height", "width"), tmp_path / "a", size={"depth": 4})


def test_convert_says_where_r_is_of_each_channel_for_an_open_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 8, 8))
    net.node("ReduceMean", value, axes=[1], keepdims=0, output="y")
    onnx.save(net.model({"x": ("N", "time", 8)}, {"y": ("N", 8)}), path)
    command = ["svgd-onnx", "convert", str(path), "--output", str(tmp_path / "a"), "--force"]
    command += ["--target", "onnx"]
    said = []
    for options in ([], ["--size", "time=5"], ["--granularity", "channel"]):
        monkeypatch.setattr("sys.argv", [*command, *options])
        with pytest.raises(SystemExit):
            cli.main()
        said.append(capsys.readouterr().out)
    assert "r is of each channel for 1 operation, for sizes that are open (time)" in said[0]
    assert "--size time=N fixes one" in said[0]
    assert not any("each channel" in each for each in said[1:])


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    output = onnx.helper.make_empty_tensor_value_info(nodes[-1].output[0])
    return onnx.helper.make_graph(nodes, name, [], [output])


def squeezed() -> onnx.ModelProto:
    """x (N, 8, length), its last axis squeezed if it has the size 1, as torch's exporter writes it."""
    net = Network()
    axis = numbers(net, 2)
    size = net.node("Gather", net.node("Shape", "x"), numbers(net, -1))
    is_one = net.node("Squeeze", net.node("Equal", size, numbers(net, 1)))
    value = net.node(
        "If",
        is_one,
        then_branch=branch("then", onnx.helper.make_node("Squeeze", ["x", axis], ["narrow"])),
        else_branch=branch("else", onnx.helper.make_node("Identity", ["x"], ["wide"])),
    )
    net.node("MatMul", value, net.weight("w", 8, 4), output="y")
    return net.model({"x": ("N", 8, "length")}, {"y": ("N", 4)})


def test_a_branch_that_a_given_size_decides_is_taken(tmp_path: Path) -> None:
    shape_of_w = shape_of_r(squeezed(), tmp_path, size={"length": 1})
    assert shape_of_w == [4]


def test_sizes_within_a_branch_follow_from_constants_around_it() -> None:
    net = Network()
    axis = net.constant("axis", np.array([1]))
    padded = onnx.helper.make_node("Unsqueeze", ["x", axis], ["column"])
    negative = onnx.helper.make_node("Neg", ["column"], ["negative"])
    plain = onnx.helper.make_node("Unsqueeze", ["x", axis], ["positive"])
    choice = net.node("Cast", net.node("ReduceSum", "x", keepdims=0), to=onnx.TensorProto.BOOL)
    branches = {
        "then_branch": branch("then", padded, negative),
        "else_branch": branch("else", plain),
    }
    value = net.node("If", choice, **branches)
    net.node("MatMul", value, net.weight("w", 8, 4), output="y")
    graph = canonicalize(ir.from_proto(net.model({"x": ("N", 8)}, {"y": ("N", 1, 4)}))).graph
    shapes = {
        value.name: [str(dim) for dim in value.shape or ()]
        for node in graph.all_nodes()
        for value in node.outputs
    }
    assert shapes["column"] == ["N", "1", "8"]
    assert not any(body.initializers for body in graph.subgraphs())


def test_an_axis_without_a_name_goes_by_its_input(tmp_path: Path) -> None:
    model = merged(None, None)
    assert shape_of_r(model, tmp_path, size={"x.1": 2, "x.2": 4}) == [8, 8]
    with pytest.raises(svgd_onnx.UserError, match=r"is no open axis .* it has N, x\.1, x\.2"):
        shape_of_r(model, tmp_path / "other", size={"x.3": 2})


def test_what_a_file_says_of_its_output_does_not_count_where_it_is_wrong(tmp_path: Path) -> None:
    """Exporters name the axis of rows after the batch, though there are four for each example."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 8, 4))
    net.node("Reshape", value, numbers(net, -1), output="y")
    model = net.model({"x": ("N", 8)}, {"y": ("N",)})
    manifest = svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse", size={"N": 1})
    assert manifest.label is not None
    assert manifest.label.shape == [4]


@pytest.mark.parametrize("opset", [15, 17])
def test_a_state_that_is_expanded_to_the_size_of_the_batch_has_it(opset: int) -> None:
    """As tf2onnx writes the first state of an LSTM, at opset 15."""
    net = Network()
    sizes = net.node("Cast", net.node("Shape", "x"), to=onnx.TensorProto.INT32)
    rows = net.node("Slice", sizes, numbers(net, 0), numbers(net, 1), numbers(net, 0))
    width = net.constant("width", np.array([8], np.int32))
    wanted = net.node("Concat", rows, width, axis=0)
    wanted = net.node("Cast", wanted, to=onnx.TensorProto.INT64)
    state = net.node("Expand", net.constant("zero", np.zeros((), np.float32)), wanted)
    net.node("Add", net.node("MatMul", "x", net.weight("w", 4, 8)), state, output="y")
    model = net.model({"x": ("N", 4)}, {"y": ("N", 8)})
    model.opset_import[0].version = opset
    graph = canonicalize(ir.from_proto(model)).graph
    shapes = {node.op_type: list(map(str, node.outputs[0].shape or ())) for node in graph}
    assert shapes["Expand"] == ["N", "8"]


def test_the_unrolled_lstm_of_keras_adds_its_biases_without_looking_at_sizes(
    tmp_path: Path,
) -> None:
    fixture = Path(__file__).parents[2] / "fixtures" / "lstm_keras_export.onnx"
    svgd_onnx.convert(onnx.load(fixture), tmp_path / "artifacts", target="onnx", verify=False)
    step = onnx.load(tmp_path / "artifacts" / "training_step.onnx")
    assert "NonZero" not in {node.op_type for node in step.graph.node}
