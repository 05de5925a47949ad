"""Resize, which is linear in its input and acts on each axis by itself: a matrix for each axis."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    constant_value,
    fixed_sizes,
    input_of,
    inputs_of,
    text,
)
from svgd_onnx.transforms.writer import Writer


def resize(node: ir.Node, write: Writer) -> ir.Value:
    """ResizeGrad has no CPU kernel, and knows only linear interpolation (1.19.2)."""
    (x,) = inputs_of(node, 1)
    before, after = fixed_sizes(x, 1), fixed_sizes(node.outputs[0], 1, of="its output")
    if before[0] != after[0]:
        raise RefusedError("it resizes axis 1")
    if text(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise RefusedError("it crops, by tf_crop_and_resize")
    scales = constant_value(input_of(node, 2))
    rank = len(before) + 1
    for axis in range(2, rank):
        old, new = before[axis - 1], after[axis - 1]
        if old == new:
            continue
        scale = float(scales[axis]) if scales is not None and scales.size == rank else None
        matrix = _matrix(node, write.opset, old, new, scale)
        repeats = np.repeat(np.eye(old, dtype=np.float32), new // old, axis=1)
        if new % old == 0 and np.array_equal(matrix, repeats):
            x = _repeat(write, x, axis, rank, new // old)
            x = write.node("Reshape", x, write.integers(0, *after[: axis - 1], new, *before[axis:]))
        else:
            x = _multiply(write, x, axis, rank, matrix)
    return x


def _repeat(write: Writer, x: ir.Value, axis: int, rank: int, times: int) -> ir.Value:
    """Each element `times` times, on an axis of its own after `axis`."""
    apart = write.node("Unsqueeze", x, write.integers(axis + 1))
    shape = [1] * (rank + 1)
    shape[axis + 1] = times
    return write.node("Expand", apart, write.integers(*shape))


def _multiply(write: Writer, x: ir.Value, axis: int, rank: int, matrix: np.ndarray) -> ir.Value:
    """Applies (old, new) to an axis."""
    if axis == rank - 1:
        return write.node("MatMul", x, write.constant(matrix))
    if axis == rank - 2:
        return write.node("MatMul", write.constant(np.ascontiguousarray(matrix.T)), x)
    order = [*(other for other in range(rank) if other != axis), axis]
    moved = write.node("MatMul", write.node("Transpose", x, perm=order), write.constant(matrix))
    return write.node("Transpose", moved, perm=[order.index(place) for place in range(rank)])


def _matrix(node: ir.Node, opset: int, old: int, new: int, scale: float | None) -> np.ndarray:
    """What the node does to an axis, (old, new): the resized rows of the identity."""
    import onnxruntime

    helper = onnx.helper
    attributes = {
        name: attribute.value
        for name, attribute in node.attributes.items()
        if name not in ("axes", "keep_aspect_ratio_policy")
    }
    if scale is None:
        sizing = onnx.numpy_helper.from_array(np.array([1, 1, old, new], np.int64), "sizes")
        inputs = ["identity", "", "", "sizes"]
    else:
        sizing = onnx.numpy_helper.from_array(np.array([1, 1, 1, scale], np.float32), "scales")
        inputs = ["identity", "", "scales"]
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("identity", [1, 1, old, old]), ("rows", [1, 1, old, new]))
    ]
    graph = helper.make_graph(
        [helper.make_node("Resize", inputs, ["rows"], **attributes)],
        "resize",
        infos[:1],
        infos[1:],
        [sizing],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    identity = np.eye(old, dtype=np.float32).reshape(1, 1, old, old)
    rows: np.ndarray = session.run(None, {"identity": identity})[0]
    return rows.reshape(old, new)


RESIZE: dict[str, Rule] = {"Resize": resize}
