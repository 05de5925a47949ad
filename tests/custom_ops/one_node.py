"""A session with one node of an operator of ai.svgd, whose shapes are not known before it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper

import svgd_onnx

LIBRARY = os.environ.get("SVGD_CUSTOM_OP_LIBRARY") or str(svgd_onnx.custom_op_library())


def run(
    op_type: str,
    arrays: Sequence[np.ndarray | None],
    outputs: Mapping[str, int] | Sequence[str],
    threads: int = 1,
    over: Mapping[str, int] | None = None,
    **attributes: Any,
) -> list[np.ndarray]:
    """Its outputs; what an array is None for is not given.

    Args:
        op_type: the operator.
        arrays: its inputs.
        outputs: their names, with their types where not all are float32.
        threads: of the session.
        over: of some outputs, the input in whose memory each is to lie.
        attributes: the node's.
    """
    types = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs, 1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(LIBRARY)
    given = {f"x{i}": array for i, array in enumerate(arrays) if array is not None}
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(arrays)]
    node = helper.make_node(op_type, names, list(types), domain="ai.svgd", **attributes)
    graph = helper.make_graph(
        [node],
        "one_node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim
            )
            for name, array in given.items()
        ],
        [helper.make_tensor_value_info(name, dtype, None) for name, dtype in types.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    held = {name: onnxruntime.OrtValue.ortvalue_from_numpy(x.copy()) for name, x in given.items()}
    binding = session.io_binding()
    for name, value in held.items():
        binding.bind_ortvalue_input(name, value)
    for name in types:
        if over and name in over:
            binding.bind_ortvalue_output(name, held[f"x{over[name]}"])
        else:
            binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    return list(binding.copy_outputs_to_cpu())
