"""`predict` on any file of ONNX: names that are no text, sizes that no memory has, no output of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacks import attacked
from attacks.attacked import Refused
from onnx import TensorProto, helper, numpy_helper

refused = attacked.refused


def _model(
    path: Path, output: str = "y", op_type: str = "Relu", batch: object = "N", **attributes: Any
) -> Path:
    """x (batch, 3) -> an operator -> the output."""
    kind = attributes.get("to", TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], [output], **attributes)],
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3])],
        [helper.make_tensor_value_info(output, kind, [batch, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[object, ...]:
    """Data, and the file to write."""
    np.savez(tmp_path / "x.npz", x=np.ones((4, 3), np.float32))
    return "--data", tmp_path / "x.npz", "--output", tmp_path / "y.npz"


def test_names_that_are_no_text_are_refused(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx", output="zzz")
    path.write_bytes(path.read_bytes().replace(b"zzz", b"z\xffz"))
    assert "a name that is no text" in refused("predict", path, *arguments)


def test_a_name_that_no_archive_holds_is_refused(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx", output="y" * 70_000)
    assert "a name of 70,000 characters" in refused("predict", path, *arguments)


def test_a_model_without_an_output_of_numbers_is_refused(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx", op_type="Cast", to=TensorProto.STRING)
    assert "no output of numbers" in refused("predict", path, *arguments)


def test_a_batch_that_no_memory_holds_ends_in_a_sentence(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx", batch=2**40)
    assert "not enough memory" in refused("predict", path, *arguments)


@pytest.mark.parametrize("constant", ["initializer", "node"])
def test_numbers_that_onnxruntime_divides_by_are_looked_at(
    constant: str, tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    size = numpy_helper.from_array(np.array(0), "size")
    made = [helper.make_node("Constant", [], ["size"], value=size)] * (constant == "node")
    graph = helper.make_graph(
        [
            *made,
            helper.make_node("SplitToSequence", ["x", "size"], ["pieces"]),
            helper.make_node("ConcatFromSequence", ["pieces"], ["y"], axis=0),
        ],
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3])],
        [] if made else [size],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert "pieces of no size" in refused("predict", tmp_path / "model.onnx", *arguments)
    path = _model(tmp_path / "pool.onnx", op_type="MaxPool", kernel_shape=[1], strides=[0])
    assert "has strides of 0" in refused("predict", path, *arguments)


def test_onnxruntimes_own_form_is_no_model_whatever_it_is_called(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    (tmp_path / "model.ort").write_bytes(b"\x20\0\0\0ORTM" + bytes(300))
    assert "is no ONNX model" in refused("predict", tmp_path / "model.ort", *arguments)


def test_a_path_that_is_too_long_ends_in_a_sentence(
    arguments: tuple[object, ...], refused: Refused
) -> None:
    assert "longer than the system takes" in refused("predict", "a" * 5000, *arguments)
