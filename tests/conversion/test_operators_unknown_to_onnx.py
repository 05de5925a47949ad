"""Operators that the onnx package refuses to check, and onnxruntime runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import svgd_onnx


def saved(path: Path, op_type: str, opset: int, *parameters: str, **attributes: object) -> Path:
    """x (batch, 4, 6) -> y (batch, 4, 3): the operator, with parameters of its own, and a matrix product."""
    random = np.random.default_rng(0)
    shapes = {"scale": (6,), "of_groups": (2,), "shift": (2,), "w": (6, 3)}
    weights = [
        numpy_helper.from_array(random.normal(1, 0.3, shapes[name]).astype(np.float32), name)
        for name in (*parameters, "w")
    ]
    nodes = [
        helper.make_node(op_type, ["x", *parameters], ["n"], name="normalization", **attributes),
        helper.make_node("MatMul", ["n", "w"], ["y"], name="product"),
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4, size])
        for name, size in (("x", 6), ("y", 3))
    ]
    graph = helper.make_graph(nodes, "network", infos[:1], infos[1:], weights)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def operators_after_training(model: Path, folder: Path) -> list[str]:
    svgd_onnx.convert(model, folder, loss="mse", target="onnx")
    checks = svgd_onnx.check(model, loss="mse")
    assert max(each.error for each in checks) < 1e-3
    svgd_onnx.Trainer(folder).export(folder / "trained.onnx")
    return [node.op_type for node in onnx.load(folder / "trained.onnx").graph.node]


def test_group_normalization_of_opset_18_comes_out_as_it_went_in(tmp_path: Path) -> None:
    path = tmp_path / "group.onnx"
    model = saved(path, "GroupNormalization", 18, "of_groups", "shift", num_groups=2)
    found = operators_after_training(model, tmp_path / "artifacts")
    assert found == ["GroupNormalization", "MatMul"]


def test_simplified_layer_normalization_comes_out_as_it_went_in(tmp_path: Path) -> None:
    model = saved(tmp_path / "rms.onnx", "SimplifiedLayerNormalization", 17, "scale")
    found = operators_after_training(model, tmp_path / "artifacts")
    assert found == ["SimplifiedLayerNormalization", "MatMul"]
