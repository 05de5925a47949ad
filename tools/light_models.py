"""The nine classic networks that the onnx package carries, with weights that can be trained.

`onnx/backend/test/data/light` holds them with constant weights, so that the files are small. Here each
weight gets random values, and the batch axis, which is fixed at 1, is opened.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = tuple(sorted(path.stem[len("light_") :] for path in FOLDER.glob("light_*.onnx")))

# scale, shift, running mean and running variance of BatchNormalization
_NORMALIZATION = {1: 1.0, 2: 0.0, 3: 0.0, 4: 1.0}


def load(name: str, seed: int = 0) -> onnx.ModelProto:
    """One of the nine, its weights He-normal, its biases small, its batch axis of any size.

    Args:
        name: one of `NAMES`.
        seed: of the weights.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    model.ir_version = max(model.ir_version, 4)
    graph = model.graph
    random = np.random.default_rng(seed)
    readers = {
        value: (node.op_type, index)
        for node in graph.node
        for index, value in enumerate(node.input)
    }
    for node in graph.node:
        if node.op_type == "Unsqueeze":  # a scale or a shift on its way to Mul or Add
            readers[node.input[0]] = readers[node.output[0]]
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        weight = _weight(tuple(arrays[node.input[0]]), *readers[node.output[0]], random)
        graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    _open_batch_axis(model)
    return onnx.shape_inference.infer_shapes(model)


def _weight(
    shape: tuple[int, ...], op_type: str, position: int, random: np.random.Generator
) -> np.ndarray:
    if op_type == "BatchNormalization":
        return np.full(shape, _NORMALIZATION[position], np.float32)
    if op_type == "Mul":
        return random.normal(1.0, 0.1, shape).astype(np.float32)
    if len(shape) == 1 or op_type == "Add":
        return random.normal(0.0, 0.01, shape).astype(np.float32)
    # a matrix multiplies on the left or on the right; the classifiers' are wider than they are high
    inputs = max(shape) if len(shape) == 2 else int(np.prod(shape[1:]))
    return random.normal(0.0, np.sqrt(2.0 / inputs), shape).astype(np.float32)


def _open_batch_axis(model: onnx.ModelProto) -> None:
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[0] in weights or node.input[1] not in weights:
            continue
        shape = numpy_helper.to_array(weights[node.input[1]]).copy()
        if shape[0] == 1:
            shape[0] = 0  # as in the input
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
