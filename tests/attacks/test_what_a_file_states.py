"""What a file states that is not so, or that no training can have."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network
from runtimes import RUNNABLE_TARGETS

import svgd_onnx
from svgd_onnx.conversion.model import load_model
from svgd_onnx.targets import TARGETS

FLOAT = onnx.TensorProto.FLOAT


def test_the_type_of_an_initializer_is_its_tensors(tmp_path: Path) -> None:
    model = models.mlp()
    weight = model.graph.initializer[0]
    lie = onnx.helper.make_tensor_value_info(weight.name, onnx.TensorProto.FLOAT16, [3])
    model.graph.value_info.append(lie)
    assert list(load_model(model).graph.initializers[weight.name].shape or ()) == weight.dims
    svgd_onnx.convert(model, tmp_path / "out", target="onnx")


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_a_value_of_another_number_of_axes_than_it_is_said_to_have(
    target: str, tmp_path: Path
) -> None:
    """onnxruntime ends the process where a pooling comes after it."""
    net = Network()
    value = net.node("Conv", "x", net.weight("k", 8, 1, 3, 3), pads=[1, 1, 1, 1])
    value = net.node("Relu", value, output="relu")
    value = net.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = net.node("Conv", value, net.weight("k2", 4, 8, 3, 3), pads=[1, 1, 1, 1])
    net.node("MatMul", net.node("Flatten", value), net.weight("w", 64, 4), output="y")
    model = net.model({"x": ("batch", 1, 8, 8)}, {"y": ("batch", 4)})
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(2, 1, 8, 8)).astype(np.float32),
        "target": random.normal(size=(2, 4)).astype(np.float32),
    }
    losses = []
    for axes in (["batch", 8, 8, 8], ["batch", 8, 8]):
        del model.graph.value_info[:]
        model.graph.value_info.append(onnx.helper.make_tensor_value_info("relu", FLOAT, axes))
        folder = tmp_path / str(len(axes))
        svgd_onnx.convert(model, folder, loss="mse", target=target)
        trainer = svgd_onnx.Trainer(folder)
        losses.append([trainer.train_step(batch, 0.1), trainer.evaluate(batch)["loss"]])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_an_open_axis_that_is_said_to_have_a_size(target: str, tmp_path: Path) -> None:
    """As torch's exporter writes it behind a recurrent layer, of the length that it was exported with."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 3, 5), output="hidden")
    value = net.node("Reshape", net.node("Tanh", value), net.constant("s", np.array([0, -1, 5])))
    value = net.node("ReduceMean", value, axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("v", 5, 4), output="y")
    model = net.model({"x": ("batch", "time", 3)}, {"y": ("batch", 4)})
    losses = []
    for axes in (["batch", "time", 5], ["batch", 50, 5], [0, 0, 0]):
        del model.graph.value_info[:]
        model.graph.value_info.append(onnx.helper.make_tensor_value_info("hidden", FLOAT, axes))
        folder = tmp_path / str(axes[1])
        svgd_onnx.convert(model, folder, loss="cross-entropy", target=target)
        trainer, random = svgd_onnx.Trainer(folder), np.random.default_rng(0)
        for steps in (50, 7):
            x = random.normal(size=(3, steps, 3)).astype(np.float32)
            losses.append(trainer.train_step({"x": x, "labels": np.array([0, 3, 1])}, 0.1))
    assert losses[:2] == losses[2:4] == losses[4:]


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "Conv"])
def test_a_window_that_does_not_fit(op_type: str, tmp_path: Path) -> None:
    net = Network()
    inputs = ["x"] if op_type != "Conv" else ["x", net.weight("k", 4, 4, 3, 3)]
    window = net.node(op_type, *inputs, kernel_shape=[3, 3], strides=[2, 2])
    net.node("MatMul", net.node("Flatten", window), net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4, 2, 2)}, {"y": ("batch", 4)}, check=False)
    with pytest.raises(
        svgd_onnx.UserError, match=f"{op_type} '.*' has a window of 3 along an axis"
    ):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")


def test_a_window_that_fits_with_what_is_rounded_up(tmp_path: Path) -> None:
    net = Network()
    window = net.node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    net.node("MatMul", net.node("Flatten", window), net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4, 2, 2)}, {"y": ("batch", 4)})
    svgd_onnx.convert(model, tmp_path / "out", target="onnx")


def test_text_is_no_data(tmp_path: Path) -> None:
    net = Network()
    net.node("MatMul", net.node("Cast", "x", to=FLOAT), net.weight("w", 4, 4), output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}, check=False)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with pytest.raises(svgd_onnx.UserError, match="The input 'x' is text"):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")


@pytest.mark.parametrize("field", ["producer_version", "node", "metadata"])
def test_text_that_is_not_utf_8(field: str, tmp_path: Path) -> None:
    model = models.mlp()
    model.producer_version = "2.13.0?"
    model.graph.node[0].name = "first?"
    model.metadata_props.add(key="key", value="value?")
    mark = {"producer_version": b"2.13.0?", "node": b"first?", "metadata": b"value?"}[field]
    content = model.SerializeToString().replace(mark, mark[:-1] + b"\xff")
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(
        svgd_onnx.UserError, match="has a text that is not UTF-8|not a valid ONNX model"
    ):
        svgd_onnx.inspect(tmp_path / "model.onnx", target="onnx")


def test_a_model_that_loads_and_does_not_run(tmp_path: Path) -> None:
    net = Network()
    window = net.node("Conv", "x", net.weight("k", 4), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    net.node("MatMul", net.node("Flatten", window), net.weight("w", 16, 4), output="y")
    model = net.model({"x": ("batch", 4, 2, 2)}, {"y": ("batch", 4)}, check=False)
    with pytest.raises(svgd_onnx.UserError, match="onnxruntime does not run the model"):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")


def test_a_training_graph_is_not_converted(tmp_path: Path) -> None:
    model = models.mlp()
    model.graph.node[0].domain = "ai.svgd"
    model.opset_import.add(domain="ai.svgd", version=1)
    with pytest.raises(svgd_onnx.UserError, match="and no training graph"):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")


def test_mean_and_variance_are_two_tensors(tmp_path: Path) -> None:
    model = models.mlp()
    (normalization,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    name = normalization.input[4] = normalization.input[3]
    (mean,) = (each for each in model.graph.initializer if each.name == name)
    random = np.random.default_rng(0).uniform(1, 2, mean.dims).astype(np.float32)
    mean.CopyFrom(onnx.numpy_helper.from_array(random, name))
    with pytest.raises(svgd_onnx.UserError, match="has one tensor for mean and variance"):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx")


def test_an_axis_that_is_not_there(tmp_path: Path) -> None:
    net = Network()
    mean = net.node("ReduceMean", net.node("MatMul", "x", net.weight("w", 4, 4)), axes=[2])
    net.node("Identity", mean, output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}, check=False)
    with pytest.raises(
        svgd_onnx.UserError, match="it reduces axis 2 of an input of 2|axis must be in"
    ):
        svgd_onnx.convert(model, tmp_path / "out", target="onnx", loss="mse")


def stating(*shape: int | str) -> onnx.ModelProto:
    """Logits behind an Identity, of a shape that is stated."""
    net = Network()
    net.node("Identity", net.node("MatMul", "x", net.weight("w", 4, 5)), output="y")
    return net.model({"x": ("batch", 4)}, {"y": shape}, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_another_number_of_axes(target: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=r"shape \(batch, 4, 8\), but it is \(4, 5\)"):
        svgd_onnx.convert(stating("batch", 4, 8), tmp_path / "out", target=target, loss="mse")


@pytest.mark.parametrize("target", TARGETS)
def test_a_shape_that_would_fill_the_disk(target: str, tmp_path: Path) -> None:
    model = stating("batch", 2**31 - 1)
    said = r"shape \(batch, 2147483647\), but it follows that it has \(batch, 5\)"
    with pytest.raises(svgd_onnx.UserError, match=said):
        svgd_onnx.convert(model, tmp_path / "out", target=target)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", TARGETS)
def test_a_small_shape_of_what_fills_the_memory(target: str, tmp_path: Path) -> None:
    """A GRU's first state, as torch's exporter makes it: the batch's size comes from the data."""
    net = Network()
    batch = net.node("Shape", "x", start=0, end=1)
    sizes = net.node("Concat", batch, net.constant("size", np.array([2**31 + 10])), axis=0)
    net.node("Expand", net.constant("zero", np.zeros((1, 1), np.float32)), sizes, output="zeros")
    state = net.node("ReduceSum", "zeros", net.constant("axes", np.array([1])))
    net.node("Add", net.node("MatMul", "x", net.weight("w", 4, 5)), state, output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 5)})
    stated = onnx.helper.make_tensor_value_info("zeros", onnx.TensorProto.FLOAT, ["batch", 10])
    model.graph.value_info.append(stated)
    said = r"'zeros' has the shape \(batch, 10\), but it follows that it has \(batch, 2147483658\)"
    with pytest.raises(svgd_onnx.UserError, match=said):
        svgd_onnx.convert(model, tmp_path / "out", target=target, loss="mse")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    empty = arrow.table({"row": arrow.array([], arrow.list_(arrow.float32()))})
    parquet.write_table(empty, tmp_path / "empty.parquet")
    with pytest.raises(svgd_onnx.UserError, match="no example in"):
        svgd_onnx.load_data(tmp_path / "empty.parquet")
