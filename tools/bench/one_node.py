"""A session of one node, on arrays that are bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper

import svgd_onnx


def one_node(
    operator: str,
    domain: str,
    attributes: Mapping[str, Any],
    inputs: list[np.ndarray],
    outs: list[np.ndarray],
    threads: int,
) -> Callable[[], None]:
    """Runs one node from the arrays into others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(svgd_onnx.custom_op_library()))
    arrays = {
        **{f"input_{i}": each for i, each in enumerate(inputs)},
        **{f"out_{i}": each for i, each in enumerate(outs)},
    }
    names = list(arrays)
    node = helper.make_node(
        operator, names[: len(inputs)], names[len(inputs) :], domain=domain, **attributes
    )
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype), each.shape)
        for name, each in arrays.items()
    ]
    graph = helper.make_graph([node], "layer", infos[: len(inputs)], infos[len(inputs) :])
    opsets = [helper.make_opsetid(each, 1) for each in ("ai.svgd", "com.microsoft")]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), *opsets], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for name, array in arrays.items():
        bind = binding.bind_input if name.startswith("input") else binding.bind_output
        bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def run(kept: dict[str, np.ndarray] = arrays) -> None:
        session.run_with_iobinding(binding)

    return run
