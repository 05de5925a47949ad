"""What a file states that is not so, or that no training can have."""

from __future__ import annotations

from pathlib import Path

import models
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.conversion.model import load_model

FLOAT = onnx.TensorProto.FLOAT


def test_the_type_of_an_initializer_is_its_tensors(tmp_path: Path) -> None:
    model = models.mlp()
    weight = model.graph.initializer[0]
    lie = onnx.helper.make_tensor_value_info(weight.name, onnx.TensorProto.FLOAT16, [3])
    model.graph.value_info.append(lie)
    assert list(load_model(model).graph.initializers[weight.name].shape or ()) == weight.dims
    svgd_onnx.convert(model, tmp_path / "out", target="onnx")


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
