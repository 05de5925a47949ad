"""Which operators onnxruntime 1.19.2 differentiates on the CPU, and which nodes stand in the way."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.quantization import PRODUCT_OF_BITS, QUANTIZING
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN

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

# Gradients end here without being asked for: the output is an integer, a truth value, a shape, or random.
WITHOUT_GRADIENT = frozenset(
    """
    And ArgMax ArgMin Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor ConstantOfShape
    ConvInteger DynamicQuantizeLinear Equal EyeLike Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual
    MatMulInteger MelWeightMatrix Multinomial NonMaxSuppression NonZero Not OptionalHasElement Or QLinearConv
    QLinearMatMul QuantizeLinear RandomNormalLike RandomUniformLike SequenceLength Shape Size Xor
    """.split()
)

# The derivative is 0 wherever there is one.
_STEPS = frozenset({"Ceil", "Floor", "Hardmax", "Round", "Sign"})

# Inputs through which no gradient flows: shapes, axes, indices, conditions.
_OTHER_INPUTS: dict[str, frozenset[int]] = {
    "AffineGrid": frozenset({1}),
    "CastLike": frozenset({1}),
    "Col2Im": frozenset({1, 2}),
    "Compress": frozenset({1}),
    "CumSum": frozenset({1}),
    "DFT": frozenset({1, 2}),
    "DequantizeLinear": frozenset({0, 2}),
    "Dropout": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "FakeQuantize": frozenset({1, 2}),
    "Gather": frozenset({1}),
    "GatherElements": frozenset({1}),
    "GatherND": frozenset({1}),
    "MatMulNBits": frozenset({1, 2, 3, 4}),
    "MaxUnpool": frozenset({1, 2}),
    "NegativeLogLikelihoodLoss": frozenset({1}),
    "OneHot": frozenset({0, 1}),
    "Pad": frozenset({1, 3}),
    "Range": frozenset({1}),
    "Reshape": frozenset({1}),
    "Resize": frozenset({1, 2, 3}),
    "ReverseSequence": frozenset({1}),
    "RoiAlign": frozenset({1, 2}),
    "STFT": frozenset({1, 3}),
    "ScatterElements": frozenset({1}),
    "ScatterND": frozenset({1}),
    "Slice": frozenset({1, 2, 3, 4}),
    "SoftmaxCrossEntropyLoss": frozenset({1}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Trilu": frozenset({1}),
    "Where": frozenset({0}),
}


def carries_gradient(value: ir.Value) -> bool:
    """Whether a value is of a type that has gradients, as far as its type is known."""
    return value.dtype is None or value.dtype.is_floating_point()


def path_to_loss(graph: ir.Graph, trainable: Collection[str], outputs: int = 1) -> list[ir.Node]:
    """The nodes between the trainable inputs and the first outputs through which gradients flow."""
    return gradient_flow(graph, trainable, graph.outputs[:outputs])[0]


def gradient_flow(
    graph: ir.Graph, trainable: Collection[str], targets: Iterable[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value | None]]:
    """The nodes between the trainable inputs and some values, in order, and the values between them."""
    given = (*graph.inputs, *graph.initializers.values())
    return flow_between(graph, [value for value in given if value.name in trainable], targets)


def flow_between(
    nodes: Iterable[ir.Node], starts: Iterable[ir.Value], targets: Iterable[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value | None]]:
    """Those of some nodes, in their order, through which gradients flow from some values to others."""
    reached: set[ir.Value | None] = set(starts)
    forward: list[ir.Node] = []
    for node in nodes:
        if node.op_type in WITHOUT_GRADIENT:
            continue
        others = _OTHER_INPUTS.get(node.op_type, frozenset())
        if any(v in reached for i, v in enumerate(read_by(node)) if i not in others):
            forward.append(node)
            reached.update(value for value in node.outputs if carries_gradient(value))
    needed: set[ir.Value | None] = set(targets)
    path: list[ir.Node] = []
    for node in reversed(forward):
        if any(value in needed for value in node.outputs):
            others = _OTHER_INPUTS.get(node.op_type, frozenset())
            read = enumerate(read_by(node))
            needed.update(v for i, v in read if i not in others and v in reached)
            path.append(node)
    path.reverse()
    return path, reached & needed


def _quantizations(graph: ir.Graph, trainable: Collection[str], outputs: int) -> list[ir.Node]:
    """The nodes that quantize what depends on a trainable input, on the way to the loss.

    They have a gradient, 0 wherever it exists, which is not what anyone wants of them.
    """
    quantizing = [node for node in graph if node.op_type in QUANTIZING and node.domain == ""]
    if not quantizing:
        return []
    reads = {value for node in quantizing for value in node.inputs[:1] if value is not None}
    before = gradient_flow(graph, trainable, reads)[1]
    needed: set[ir.Value | None] = set(graph.outputs[:outputs])
    for node in reversed(graph):
        if any(value in needed for value in node.outputs):
            needed.update(read_by(node))
    return [
        node
        for node in quantizing
        if node.inputs[0] in before and any(value in needed for value in node.outputs)
    ]


def where_gradients_end(value: ir.Value) -> list[ir.Node]:
    """The nodes on the way from a value on that pass no gradient on."""
    found: dict[ir.Node, None] = {}
    seen: set[ir.Node] = set()
    pending = [value]
    while pending:
        for node, position in pending.pop().uses():
            others = _OTHER_INPUTS.get(node.op_type, frozenset())
            if node.op_type in WITHOUT_GRADIENT | _STEPS or position in others:
                found[node] = None
            elif node not in seen:
                seen.add(node)
                pending.extend(value for value in node.outputs if value is not None)
    return list(found)


def blocking_nodes(
    graph: ir.Graph,
    trainable: Collection[str],
    refused: Container[ir.Node],
    differentiable: Container[str] = DIFFERENTIABLE,
    outputs: int = 1,
) -> list[ir.Node]:
    """The nodes on the way from a trainable input to the loss that have no gradient.

    Args:
        graph: the loss its first output.
        trainable: names of the inputs that are differentiated by.
        refused: nodes of operators that have a gradient, but not as these are.
        differentiable: the operators that have a gradient.
        outputs: how many of the graph's outputs, from the first on, are differentiated.
    """
    obstacles = _quantizations(graph, trainable, outputs)
    return obstacles + [
        node
        for node in path_to_loss(graph, trainable, outputs)
        if (node.domain not in ("", "ai.onnx", DOMAIN) and node.op_type != PRODUCT_OF_BITS)
        or node.op_type not in differentiable
        or node in refused
    ]
