"""Which operators onnxruntime 1.19.2 differentiates on the CPU, and which nodes stand in the way."""

from __future__ import annotations

from collections.abc import Collection, Container

import onnx_ir as ir

# The gradient builders of onnxruntime-training 1.19.2, less ConvTranspose and Resize, whose gradients
# have no CPU kernel, and LSTM and GRU, whose gradient graphs do not load.
DIFFERENTIABLE = frozenset(
    """
    Abs Add BatchNormalization Cast Clip Concat Conv Cos Div Dropout Erf Exp Expand Flatten
    Gather GatherElements GatherND Gelu Gemm GlobalAveragePool Identity LayerNormalization LeakyRelu Log
    LogSoftmax MatMul Max MaxPool Min Mul Neg Pad Pow Reciprocal ReduceL2 ReduceLogSumExp ReduceMean
    ReduceSum Relu Reshape ScatterElements ScatterND Sigmoid Sin Slice Softmax SoftmaxCrossEntropyLoss
    Split Sqrt Squeeze Sub Tanh Tile TopK Transpose Trilu Unsqueeze Where
    """.split()
)

# Gradients end here without being asked for: the output is an integer, a truth value or a shape.
WITHOUT_GRADIENT = frozenset(
    """
    And ArgMax ArgMin ConstantOfShape Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual NonZero
    Not Or Shape Size Xor
    """.split()
)

# Inputs through which no gradient flows: shapes, axes, indices, conditions.
_OTHER_INPUTS: dict[str, frozenset[int]] = {
    "Clip": frozenset({1, 2}),
    "Dropout": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "Gather": frozenset({1}),
    "GatherElements": frozenset({1}),
    "GatherND": frozenset({1}),
    "NegativeLogLikelihoodLoss": frozenset({1, 2}),
    "Pad": frozenset({1, 2, 3}),
    "Reshape": frozenset({1}),
    "Resize": frozenset({1, 2, 3}),
    "Slice": frozenset({1, 2, 3, 4}),
    "SoftmaxCrossEntropyLoss": frozenset({1, 2}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Where": frozenset({0}),
}


def carries_gradient(value: ir.Value) -> bool:
    """Whether a value is of a type that has gradients, as far as its type is known."""
    return value.dtype is None or value.dtype.is_floating_point()


def path_to_loss(graph: ir.Graph, trainable: Collection[str]) -> list[ir.Node]:
    """The nodes between the trainable inputs and the first output through which gradients flow."""
    reached: set[ir.Value | None] = {
        value for value in (*graph.inputs, *graph.initializers.values()) if value.name in trainable
    }
    forward: list[ir.Node] = []
    for node in graph:
        if node.op_type in WITHOUT_GRADIENT:
            continue
        others = _OTHER_INPUTS.get(node.op_type, frozenset())
        if any(v in reached for i, v in enumerate(node.inputs) if i not in others):
            forward.append(node)
            reached.update(value for value in node.outputs if carries_gradient(value))
    needed: set[ir.Value | None] = {graph.outputs[0]}
    path: list[ir.Node] = []
    for node in reversed(forward):
        if any(value in needed for value in node.outputs):
            others = _OTHER_INPUTS.get(node.op_type, frozenset())
            needed.update(v for i, v in enumerate(node.inputs) if i not in others and v in reached)
            path.append(node)
    path.reverse()
    return path


def blocking_nodes(
    graph: ir.Graph, trainable: Collection[str], refused: Container[ir.Node]
) -> list[ir.Node]:
    """The nodes on the way from a trainable input to the loss that have no gradient.

    Args:
        graph: the loss its first output.
        trainable: names of the inputs that are differentiated by.
        refused: nodes of operators that have a gradient, but not as these are.
    """
    return [
        node
        for node in path_to_loss(graph, trainable)
        if node.domain not in ("", "ai.onnx")
        or node.op_type not in DIFFERENTIABLE
        or node in refused
    ]
