"""What the nodes of a training step count for: an operator of the model, or its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from svgd_onnx.graph.roles import seen_nodes
from svgd_onnx.graph.training_graph import GRADIENT, UPDATE, VIRTUAL, T, plain_nodes
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.target import EVAL_MODEL

FORWARD, INPUT, WEIGHT = "", ", gradient", ", weight's gradient"
CONVOLUTION, PRODUCT, NORMALIZATION = "convolution", "product", "normalization, Relu"
SMOOTH, POOLING, OTHERS = "Gelu, Softmax", "pooling", "all else"
# Of the operators of a model.
FAMILIES = {
    "Conv": CONVOLUTION,
    "MatMul": PRODUCT,
    "Gemm": PRODUCT,
    "BatchNormalization": NORMALIZATION,
    "LayerNormalization": NORMALIZATION,
    "Relu": NORMALIZATION,
    "Gelu": SMOOTH,
    "Softmax": SMOOTH,
    "MaxPool": POOLING,
    "AveragePool": POOLING,
    "GlobalAveragePool": POOLING,
}
# Of all others, by what they are themselves.
SMALL = {
    "Add": "addition",
    "Sum": "addition",
    "Transpose": "transposition",
    "Gather": "embedding",
    "ScatterElements": "embedding",
    "GatherND": "embedding",
}
# Of ours, whose names tell more than data flow does.
OURS = {
    "Convolution": CONVOLUTION,
    "ConvolutionInputGradient": CONVOLUTION + INPUT,
    "ConvolutionWeightGradient": CONVOLUTION + WEIGHT,
    "BatchNormalizationTraining": NORMALIZATION,
    "BatchNormalizationGradient": NORMALIZATION + INPUT,
    "LayerNormalizationGradient": NORMALIZATION + INPUT,
    "ReluGradient": NORMALIZATION + INPUT,
    "GeluGradient": SMOOTH + INPUT,
    "SoftmaxGradient": SMOOTH + INPUT,
    "ScaledDotProductAttention": PRODUCT,
    "ScaledDotProductAttentionGradient": PRODUCT + INPUT,
    "MaxPoolWithPlaces": POOLING,
    "MaxPoolGradient": POOLING + INPUT,
    "VirtualGradient": T,
    "GradientFactor": T,
    "Descent": UPDATE,
}
PARTS = {GRADIENT: INPUT, VIRTUAL: WEIGHT}


def kinds_of_nodes(folder: Path, manifest: Manifest, step: str) -> dict[str, str]:
    """What they count for, by the names of nodes of a step, a file in the folder."""
    operators = {
        node.name: node.op_type for node in plain_nodes(ir.load(folder / EVAL_MODEL).graph)
    }
    graph = ir.load(folder / step).graph
    trained = [each.name for each in manifest.parameters if each.trainable]
    outputs = [value.name or "" for value in graph.outputs]
    kinds = {}
    for seen in seen_nodes(plain_nodes(graph), outputs, manifest.operations, trained):
        family = FAMILIES.get(_longest(seen.owner or "", operators) or "", OTHERS)
        if seen.kind in (UPDATE, T):
            family = seen.kind
        elif family != OTHERS:
            family += PARTS.get(seen.kind, FORWARD)
        kinds[seen.node.name] = family
    return kinds


def _longest(name: str, known: Mapping[str, str]) -> str | None:
    """What is known of a name, or of the longest beginning of it that ends before a "/"."""
    while name and name not in known:
        name = name.rpartition("/")[0]
    return known.get(name)


def kind_of(name: str, operator: str, kinds: Mapping[str, str]) -> str:
    """What a node that ran counts for, which onnxruntime may have renamed."""
    kind = OURS.get(operator) or _longest(name, kinds) or OTHERS
    return SMALL.get(operator, OTHERS) if kind == OTHERS else kind
