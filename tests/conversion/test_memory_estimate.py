"""How much memory training takes, told from the graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import UserError, cli
from svgd_onnx.conversion.memory.arena import Arena
from svgd_onnx.conversion.memory.estimate import _input_shapes, estimate_memory
from svgd_onnx.conversion.memory.node_order import node_order
from svgd_onnx.conversion.memory.step_shapes import StepShapes
from svgd_onnx.memory_table import parse_limit
from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS

BATCH = 5
_MEGABYTE = 1 << 20


def test_what_is_given_back_is_given_out_again() -> None:
    arena = Arena()
    first, second = arena.take(1000), arena.take(1000)
    arena.give_back(first)
    assert arena.take(900) == first
    assert second == (0, 1024)
    assert arena.touched == 2024


def test_what_is_free_side_by_side_becomes_one() -> None:
    arena = Arena()
    places = [arena.take(256) for _ in range(4)]
    for place in (places[0], places[2], places[1]):
        arena.give_back(place)
    assert arena.take(768) == (0, 0)


def test_regions_grow_by_two() -> None:
    arena = Arena()
    assert [arena.take(_MEGABYTE)[0] for _ in range(4)] == [0, 1, 1, 2]
    assert arena.take(10 * _MEGABYTE) == (3, 0)


def profiled(path: Path, shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, list[Any]]]:
    """The nodes that onnxruntime runs, as they stand and in its order, with the shapes of their outputs."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.profile_file_prefix = str(path.parent / "profile")
    options.register_custom_ops_library(str(svgd_onnx.custom_op_library()))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
    feeds = {
        value.name: np.ones(shapes.get(value.name, value.shape), types[value.type])
        for value in session.get_inputs()
    }
    session.run(None, feeds)
    suffix = "_kernel_time"
    return [
        (event["name"][: -len(suffix)], event["args"]["output_type_shape"])
        for event in json.loads(Path(session.end_profiling()).read_text())
        if event.get("cat") == "Node" and event["name"].endswith(suffix)
    ]


@pytest.mark.parametrize("step", ["training_step.onnx", "training_step.fast.onnx"])
@pytest.mark.parametrize(
    "build", [models.residual, models.convolutional, models.sequence, models.recurrent]
)
def test_order_and_shapes_are_those_of_a_run(
    build: Callable[[], onnx.ModelProto], step: str, tmp_path: Path
) -> None:
    manifest = svgd_onnx.convert(build(), tmp_path / "artifacts", target="onnx", verify=False)
    if step not in manifest.files:
        pytest.skip("the model has no fast form")
    graph = onnx.load(tmp_path / "artifacts" / step).graph
    given = _input_shapes(graph, manifest, BATCH, {})
    found = StepShapes(graph, 17, given, {"batch": BATCH})
    for node in graph.node:
        found.infer(node)
    names = {node.name for node in graph.node}  # nodes of bodies run more than once
    ran = [each for each in profiled(tmp_path / "artifacts" / step, given) if each[0] in names]
    order = [graph.node[number] for number in node_order(graph.node)]
    if has_training():  # another build writes out the loss, and what it writes comes first or last
        assert [node.name for node in order] == [name for name, _ in ran]
    shapes = dict(ran)
    for node in order:
        if node.name in shapes:
            told = [list(found.shapes[name]) for name in node.output if name]
            assert told == [next(iter(each.values())) for each in shapes[node.name]], node.name


def test_nodes_that_differ_in_one_thing_have_shapes_of_their_own() -> None:
    net = Network()
    for name, numbers in {"left": [1, 2], "right": [2, 1]}.items():
        net.constant(name, np.array(numbers, np.int64))
    for axes in ([0, 1], [1, 0], [0, 1]):
        net.node("Transpose", "wide", perm=axes)  # an attribute
    for sizes in ("left", "right", "left"):
        net.node("Expand", "one", sizes)  # the numbers of an input
    for kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.INT32):
        net.node("Cast", "wide", to=kind)
    for value in ("wide", "one"):
        net.node("Relu", value)  # the shape of an input
    inputs: dict[str, tuple[int, ...]] = {"wide": (3, 7), "one": ()}
    model = net.model(inputs, {}, check=False)
    found = StepShapes(model.graph, model.opset_import[0].version, inputs, {})
    for node in model.graph.node:
        found.infer(node)
    told = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    assert len(told) == len(model.graph.node)
    for value in told:
        kind = value.type.tensor_type
        assert found.shapes[value.name] == tuple(dim.dim_value for dim in kind.shape.dim)
        assert found.types[value.name] == kind.elem_type


@pytest.mark.parametrize("target", TARGETS)
def test_a_larger_batch_takes_more_and_the_largest_fits(target: str, tmp_path: Path) -> None:
    svgd_onnx.convert(models.convolutional(), tmp_path / "artifacts", target=target)
    memory = svgd_onnx.inspect(tmp_path / "artifacts").memory
    assert memory is not None
    takes = [memory.nbytes(batch) for batch in (1, 64, 1024, 4096)]
    assert takes == sorted(takes)
    most = memory.largest_batch(takes[2])
    assert memory.nbytes(most) <= takes[2] < memory.nbytes(most + 1)
    assert memory.largest_batch(1000) == 0


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_takes_what_its_folder_takes(target: str, tmp_path: Path) -> None:
    onnx.save(models.residual(), tmp_path / "model.onnx")
    svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "artifacts", target=target)
    before = svgd_onnx.inspect(tmp_path / "model.onnx", target=target).memory
    after = svgd_onnx.inspect(tmp_path / "artifacts").memory
    assert before is not None
    assert before == after


def test_large_values_are_counted_as_they_are(tmp_path: Path) -> None:
    """Of a wide layer: the output, and its gradient in the place of what is dead by then."""
    net, width = Network(), 1 << 14
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 2, width)))
    net.node("MatMul", value, net.weight("v", width, 2), output="y")
    model = net.model({"x": ("batch", 2)}, {"y": ("batch", 2)})
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", optimizer="sgd")
    memory = estimate_memory(tmp_path / "artifacts", manifest)
    each = (memory.nbytes(2000) - memory.nbytes(1000)) / 1000
    assert 2 * 4 * width <= each <= 4 * 4 * width


def test_vectors_of_many_layers_are_split(tmp_path: Path) -> None:
    """The target onnx updates all vectors as one, and takes it apart by a vector of their lengths."""
    net, value = Network(), "x"
    for layer in range(70):
        value = net.node("Gemm", value, net.weight(f"w{layer}", 4, 4), net.weight(f"b{layer}", 4))
    net.nodes[-1].output[0] = "y"
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)})
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", verify=False)
    assert estimate_memory(tmp_path / "artifacts", manifest).nbytes(8) > 0


def test_a_model_of_a_fixed_batch_has_one_size(tmp_path: Path) -> None:
    model = models.gemm()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 7
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", fixed_batch=True)
    assert estimate_memory(tmp_path / "artifacts", manifest).largest_batch(1 << 40) == 7


def open_sequence() -> onnx.ModelProto:
    net = Network()
    value = net.node("Relu", net.node("MatMul", "x", net.weight("v", 6, 8)))
    value = net.node("ReduceMean", value, axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("w", 8, 4), output="logits")
    return net.model({"x": ("batch", "length", 6)}, {"logits": ("batch", 4)})


def test_an_open_axis_wants_a_size(tmp_path: Path) -> None:
    svgd_onnx.convert(open_sequence(), tmp_path / "artifacts")
    unknown = svgd_onnx.inspect(tmp_path / "artifacts")
    assert "the axis 'length' of 'x' is open; random_size='length=N'" in str(unknown.memory_unknown)
    short, long = (
        svgd_onnx.inspect(tmp_path / "artifacts", random_size={"length": size}).memory
        for size in (10, 10_000)
    )
    assert short is not None
    assert long is not None
    assert short.nbytes(128) < long.nbytes(128)


def test_a_size_of_no_axis_is_refused(tmp_path: Path) -> None:
    svgd_onnx.convert(open_sequence(), tmp_path / "artifacts")
    with pytest.raises(UserError, match="'width', which is no open axis: they are batch, length"):
        svgd_onnx.inspect(tmp_path / "artifacts", random_size={"width": 3})


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("512 mb", 512 * 10**6), ("1.5GiB", 3 << 29), ("4000", 4000)],
)
def test_a_limit_is_read(text: str, size: int) -> None:
    assert parse_limit(text) == size


@pytest.mark.parametrize("text", ["much", "-4GB", "4XB", ""])
def test_a_limit_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="which is no size: write it as 4GB"):
        parse_limit(text)


@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_the_commands_say_the_largest_batch(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx.save(models.convolutional(), tmp_path / "model.onnx")
    output = ["--output", str(tmp_path / "artifacts")] if command == "convert" else []
    arguments = [command, str(tmp_path / "model.onnx"), *output, "--memory-limit", "50MB"]
    monkeypatch.setattr("sys.argv", ["svgd-onnx", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "examples a step are the most that fit within 50.0 MB." in printed


def test_a_folder_whose_step_is_not_there_is_shown_without_memory(tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    for each in (tmp_path / "a").glob("training_step*.onnx"):
        each.unlink()
    found = svgd_onnx.inspect(tmp_path / "a")
    assert found.memory is None and "not there or damaged" in str(found.memory_unknown)
    assert found.parameters
