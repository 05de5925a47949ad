"""`predict` on any file of ONNX: names that are no text, sizes that no memory has, no output of numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from attacks import attacked
from attacks.attacked import Refused
from conftest import Run
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


def test_an_opset_that_is_not_known_is_named(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = 9999
    onnx.save(model, path)
    said = refused("predict", path, *arguments)
    assert "knows opsets up to" in said and "is of opset 9999" in said
    said = refused("convert", path, "--output", tmp_path / "artifacts")
    assert "is of opset 9999, and onnx" in said


def test_a_model_without_an_output_of_numbers_is_refused(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    path = _model(tmp_path / "model.onnx", op_type="Cast", to=TensorProto.STRING)
    assert "no output of numbers that NumPy knows" in refused("predict", path, *arguments)


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


def _divided(path: Path, divisor: np.ndarray, **settings: Any) -> Path:
    """x (batch, 3), as its type is, divided by a constant."""
    kind = helper.np_dtype_to_tensor_dtype(divisor.dtype)
    cast = helper.make_node("Cast", ["x"], ["of_type"], to=kind)
    graph = helper.make_graph(
        [cast, helper.make_node("Div", ["of_type", "by"], ["y"])],
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", kind, ["N", 3])],
        [numpy_helper.from_array(divisor, "by")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path, **settings)
    return path


OUTSIDE = {"save_as_external_data": True, "location": "by.bin", "size_threshold": 0}


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_divisor_in_a_file_beside_the_model_is_left_there(
    dtype: type, tmp_path: Path, arguments: tuple[object, ...], run: Run
) -> None:
    path = _divided(tmp_path / "m" / "model.onnx", np.full(3, 2, dtype), **OUTSIDE)
    assert run("predict", path, *arguments).code == 0


def test_no_file_outside_is_read_for_a_divisor(
    tmp_path: Path,
    arguments: tuple[object, ...],
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = _divided(tmp_path / "m" / "model.onnx", np.zeros(3, np.int64), **OUTSIDE)
    path.write_bytes(path.read_bytes().replace(b"by.bin", b"../fif"))
    os.mkfifo(tmp_path / "fif")
    monkeypatch.chdir(path.parent)
    assert "'../fif'" in refused("predict", path, *arguments)


def test_what_is_odd_by_a_name_of_ones_own_is_not_refused(
    tmp_path: Path, arguments: tuple[object, ...], run: Run
) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function(
        "own", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], opsets, ["group"]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["x"], ["shape"], start=0, end=2**63 - 1),
            helper.make_node("Reshape", ["x", "shape"], ["same"]),
            helper.make_node("f", ["same"], ["y"], domain="own", group=0),
        ],
        "any",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    assert run("predict", tmp_path / "model.onnx", *arguments).code == 0


def test_onnxruntimes_own_form_is_no_model_whatever_it_is_called(
    tmp_path: Path, arguments: tuple[object, ...], refused: Refused
) -> None:
    (tmp_path / "model.ort").write_bytes(b"\x20\0\0\0ORTM" + bytes(300))
    assert "is no ONNX model" in refused("predict", tmp_path / "model.ort", *arguments)


def test_a_path_that_is_too_long_ends_in_a_sentence(
    arguments: tuple[object, ...], refused: Refused
) -> None:
    assert "longer than the system takes" in refused("predict", "a" * 5000, *arguments)
