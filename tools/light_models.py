"""The nine image classifiers in the onnx package's tests, with random weights instead of none.

`onnx/backend/test/data/light` holds AlexNet, DenseNet-121, Inception v1 and v2, ResNet-50, ShuffleNet,
SqueezeNet, VGG-19 and ZFNet as exported, but their weights are ConstantOfShape. Weights here are He
normal, biases small. BatchNormalization is the identity, or less than it where no Relu follows and where
a residual branch ends: else values grow from block to block, and the softmax is all zeros and ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
PREFIX = "light_"
NAMES = tuple(sorted(path.stem[len(PREFIX) :] for path in FOLDER.glob(f"{PREFIX}*.onnx")))
IR_VERSION = 8
BATCH = "batch"
# Of BatchNormalization, by the operator that follows.
SCALES = {"Conv": 0.5**0.5, "Sum": 1 / 3, "Add": 1 / 3}


def load(name: str, *, dynamic: bool = True, seed: int = 0) -> onnx.ModelProto:
    """image (N, 3, 224, 224) -> probabilities of 1000 classes.

    Args:
        name: one of NAMES.
        dynamic: whether N may be anything; else it is 1.
        seed: of the weights.
    """
    model = onnx.load(FOLDER / f"{PREFIX}{name}.onnx")
    model.ir_version = IR_VERSION  # from 4 on, initializers need not be inputs
    _write_weights(model.graph, np.random.default_rng(seed))
    if dynamic:
        _free_batch_axis(model.graph)
    return model


def _write_weights(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    tensors = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in tensors:
            tensors[node.output[0]] = np.zeros(tensors.pop(node.input[0]), np.float32)
        else:
            nodes.append(node)
    uses = {name: (node, place) for node in nodes for place, name in enumerate(node.input)}
    aliases = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Unsqueeze"}
    uses.update({aliases[name]: use for name, use in uses.items() if name in aliases})
    for name in tensors:
        if name in uses and tensors[name].dtype == np.float32:
            node, place = uses[name]
            tensors[name] = _value(tensors[name].shape, node, place, random)
            if node.op_type == "BatchNormalization" and place == 1:
                following = uses[node.output[0]][0].op_type
                tensors[name] *= SCALES.get(following, 1)
    inputs = [value for value in graph.input if value.name not in tensors and value.name in uses]
    used = [numpy_helper.from_array(array, name) for name, array in tensors.items() if name in uses]
    for field, items in (("input", inputs), ("node", nodes), ("initializer", used)):
        graph.ClearField(field)
        getattr(graph, field).extend(items)


def _value(
    shape: tuple[int, ...], node: onnx.NodeProto, place: int, random: np.random.Generator
) -> np.ndarray:
    if node.op_type == "BatchNormalization":
        return np.full(shape, (np.nan, 1, 0, 0, 1)[place], np.float32)
    if node.op_type == "Mul":
        return np.ones(shape, np.float32)
    deviation = 0.01
    if node.op_type in ("Conv", "Gemm") and place == 1:
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        outputs = 0 if node.op_type == "Conv" or transposed else 1
        deviation = (2 * shape[outputs] / np.prod(shape)) ** 0.5
    return random.normal(0, deviation, shape).astype(np.float32)


def _free_batch_axis(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    learned = {item.name for item in graph.initializer}
    shapes = {
        node.input[1]
        for node in graph.node
        if node.op_type == "Reshape" and node.input[0] not in learned
    }
    for item in graph.initializer:
        if item.name in shapes:
            shape = numpy_helper.to_array(item).copy()
            if shape[0] == 1:
                shape[0] = 0  # as many as there were
                item.CopyFrom(numpy_helper.from_array(shape, item.name))
