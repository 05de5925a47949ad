"""Settings of every operator that is decomposed, and of some that need no decomposition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from one_operator import (
    arg_max,
    attention,
    average_pool,
    clip,
    convolution,
    einsum,
    frozen_normalization,
    image,
    max_pool,
    mixed,
    normalization,
    old_resize,
    own_loss,
    pad,
    recurrent,
    reduction,
    resize,
    shape,
    stepped,
    transposed,
    transposed_weight,
    unary,
    vector,
    where,
)

# Operators that onnxruntime differentiates itself.
NATIVE: dict[str, Callable[[], onnx.ModelProto]] = {
    "MaxPool ceil": max_pool(4, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "MaxPool dilated": max_pool(6, kernel_shape=[2, 2], dilations=[2, 2]),
    "MaxPool same": max_pool(4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool padded": max_pool(4, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "Conv padded on one side": convolution((4, 4), strides=[2, 2], pads=[0, 0, 1, 1]),
    "Conv dilated": convolution((4, 4), dilations=[2, 2]),
    "Pad": pad((12, 11)),
    "Where": vector(where),
    "ArgMax": vector(arg_max),
    "Shape": vector(shape),
    "Upsample nearest, opset 9": old_resize("Upsample", "nearest", 2.5, 1.5),
    "Upsample linear, opset 9": old_resize("Upsample", "linear", 2, 3),
    "Resize nearest, opset 10": old_resize("Resize", "nearest", 0.7, 0.6),
    "Resize linear, opset 10": old_resize("Resize", "linear", 0.5, 0.75),
    "Clip, opset 9": unary("Clip", 9, min=-1.0, max=1.0),
    "Softmax, opset 9": unary("Softmax", 9, axis=1),
    "Erf": unary("Erf"),
    "Gelu": unary("Gelu", 20),
    "LeakyRelu": unary("LeakyRelu", alpha=0.1),
    "Clip": vector(clip),
    "ReduceL2": reduction("ReduceL2"),
    "Transposed weight": transposed_weight,
}

# Operators that the standard gives a function body.
FUNCTIONS: dict[str, Callable[[], onnx.ModelProto]] = {
    "Shrink": unary("Shrink", 18, lambd=0.3, bias=0.1),
    "CenterCropPad, whose body depends on its inputs": image(
        lambda net, value: net.node(
            "CenterCropPad", value, net.constant("size", np.array([5, 6])), axes=[2, 3]
        ),
        (4, 5, 6),
        18,
    ),
}

# Operators that are decomposed; the first word is the operator.
DECOMPOSED: dict[str, Callable[[], onnx.ModelProto]] = {
    "Celu": unary("Celu", alpha=1.5),
    "Elu": unary("Elu", alpha=0.7),
    "Gelu tanh": unary("Gelu", 20, approximate="tanh"),
    "HardSigmoid": unary("HardSigmoid", alpha=0.3),
    "HardSwish": unary("HardSwish"),
    "Mish": unary("Mish", 18),
    "PRelu": vector(lambda net, value: net.node("PRelu", value, net.weight("slope", 5))),
    "Selu": unary("Selu"),
    "Softplus": unary("Softplus"),
    "Softsign": unary("Softsign"),
    "ThresholdedRelu": unary("ThresholdedRelu", alpha=0.5),
    "Pad of some axes": pad((12, 11), 18, [2, -1]),
    "Pad reflecting": pad((12, 11), mode="reflect"),
    "Pad repeating the edge": pad((12, 11), 18, [2, 3], mode="edge"),
    "Pad wrapping around": pad((12, 11), 19, mode="wrap"),
    "Sum": vector(mixed("Sum")),
    "Mean": vector(mixed("Mean")),
    "Max": vector(mixed("Max")),
    "Min": vector(mixed("Min")),
    "Round": vector(stepped("Round")),
    "Floor": vector(stepped("Floor")),
    "Ceil": vector(stepped("Ceil")),
    "Sign": vector(stepped("Sign")),
    "ReduceMax": reduction("ReduceMax"),
    "ReduceMax 18": reduction("ReduceMax", 18),
    "ReduceMin": reduction("ReduceMin"),
    "ReduceL1": reduction("ReduceL1"),
    "ReduceSumSquare 18": reduction("ReduceSumSquare", 18),
    "ReduceLogSum": reduction("ReduceLogSum", positive=True),
    "GlobalLpPool": image(lambda net, value: net.node("GlobalLpPool", value), (4, 1, 1)),
    "GlobalLpPool p 1": image(lambda net, value: net.node("GlobalLpPool", value, p=1), (4, 1, 1)),
    "GlobalMaxPool": image(lambda net, value: net.node("GlobalMaxPool", value), (4, 1, 1)),
    "AveragePool blocks": average_pool(8, 4, kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool blocks and a rest": average_pool(9, 3, kernel_shape=[3, 3], strides=[3, 3]),
    "AveragePool overlapping": average_pool(8, 3, kernel_shape=[3, 3], strides=[2, 2]),
    "AveragePool padded": average_pool(8, 8, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "AveragePool counting padding": average_pool(
        8, 4, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1
    ),
    "AveragePool ceil": average_pool(8, 4, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "AveragePool same": average_pool(
        7, 4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "AveragePool dilated": average_pool(8, 4, kernel_shape=[3, 3], dilations=[2, 2]),
    "BatchNormalization": image(frozen_normalization, (4, 8, 8)),
    "LRN": image(lambda net, value: net.node("LRN", value, size=3, alpha=0.9, bias=1.5), (4, 8, 8)),
    "InstanceNormalization": normalization("InstanceNormalization", 4),
    "GroupNormalization": normalization("GroupNormalization", 4, 21, num_groups=2),
    "LayerNormalization": vector(
        lambda net, value: net.node(
            "LayerNormalization", value, net.weight("scale", 5), net.weight("shift", 5)
        )
    ),
    "LayerNormalization without shift": vector(
        lambda net, value: net.node("LayerNormalization", value, net.weight("scale", 5))
    ),
    "LpNormalization": unary("LpNormalization", p=2, axis=1),
    "LpNormalization 1": unary("LpNormalization", p=1, axis=1),
    "MeanVarianceNormalization": image(
        lambda net, value: net.node("MeanVarianceNormalization", value), (4, 8, 8)
    ),
    "DepthToSpace": image(
        lambda net, value: net.node("DepthToSpace", value, blocksize=2), (1, 16, 16)
    ),
    "DepthToSpace CRD": image(
        lambda net, value: net.node("DepthToSpace", value, blocksize=2, mode="CRD"), (1, 16, 16)
    ),
    "SpaceToDepth": image(
        lambda net, value: net.node("SpaceToDepth", value, blocksize=2), (16, 4, 4)
    ),
    "Resize nearest": resize(
        2, 10, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    "Resize nearest not whole": resize(1.6, 8, mode="nearest"),
    "Resize linear": resize(2, 10, mode="linear"),
    "Resize linear corners": resize(
        2, 10, mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "Resize cubic": resize(2, 10, mode="cubic"),
    "Resize down": resize(0.6, 3, mode="linear"),
    "Conv same upper": convolution((4, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv same lower": convolution((4, 4), auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv same, open": convolution(("h", "w"), "size", auto_pad="SAME_UPPER"),
    "Conv same upper, open, strided": convolution(
        ("h", "w"), "size", auto_pad="SAME_UPPER", strides=[2, 3]
    ),
    "Conv same lower, open, strided": convolution(
        ("h", "w"), "size", auto_pad="SAME_LOWER", strides=[3, 2]
    ),
    "ConvTranspose same upper": transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "ConvTranspose same lower": transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "ConvTranspose": transposed(10, kernel_shape=[2, 2], strides=[2, 2]),
    "ConvTranspose overlapping": transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "ConvTranspose groups": transposed(7, group=2, bias=False, kernel_shape=[3, 3]),
    "ConvTranspose dilated": transposed(9, kernel_shape=[3, 3], dilations=[2, 2]),
    "Einsum": einsum("bij,jk->bik", (3, 4), (3, 5)),
    "Einsum transposed": einsum("bij,kj->bki", (3, 4), (5, 3)),
    "Einsum over batches": einsum("bhi,hij->bhj", (2, 3), (2, 4)),
    "Einsum with two contracted": einsum("bhi,hij->bj", (2, 3), (4,)),
    "Einsum with two columns": einsum("bi,hij->bhj", (3,), (2, 4)),
    "Einsum of values": attention,
    "SoftmaxCrossEntropyLoss": own_loss("SoftmaxCrossEntropyLoss"),
    "SoftmaxCrossEntropyLoss weighted, ignoring": own_loss(
        "SoftmaxCrossEntropyLoss", weights=True, ignore_index=1
    ),
    "NegativeLogLikelihoodLoss": own_loss("NegativeLogLikelihoodLoss"),
    "NegativeLogLikelihoodLoss weighted": own_loss("NegativeLogLikelihoodLoss", weights=True),
    "NegativeLogLikelihoodLoss ignoring": own_loss("NegativeLogLikelihoodLoss", ignore_index=1),
    "NegativeLogLikelihoodLoss summed": own_loss(
        "NegativeLogLikelihoodLoss", weights=True, ignore_index=1, reduction="sum"
    ),
    "NegativeLogLikelihoodLoss unreduced": own_loss(
        "NegativeLogLikelihoodLoss", weights=True, reduction="none"
    ),
    "LSTM": recurrent("LSTM", 4),
    "LSTM reverse": recurrent("LSTM", 4, "reverse"),
    "LSTM bidirectional": recurrent("LSTM", 4, "bidirectional"),
    "LSTM from a state": recurrent("LSTM", 4, start=True),
    "LSTM with its activations spelt out": recurrent(
        "LSTM", 4, activations=["Sigmoid", "Tanh", "Tanh"]
    ),
    "GRU": recurrent("GRU", 3),
    "GRU with its activations spelt out": recurrent(
        "GRU", 3, "bidirectional", activations=["Sigmoid", "Tanh", "Sigmoid", "Tanh"]
    ),
    "GRU late reset": recurrent("GRU", 3, "bidirectional", linear_before_reset=1),
    "RNN": recurrent("RNN", 1),
    **{
        f"{op_type} of lengths, {direction}{', last' if last else ''}": recurrent(
            op_type, gates, direction, start=start, lengths=True, last=last
        )
        for op_type, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))
        for direction, start, last in (
            ("forward", True, True),
            ("reverse", False, False),
            ("bidirectional", True, False),
            ("bidirectional", False, True),
        )
    },
    "LSTM with peepholes": recurrent("LSTM", 4, "bidirectional", peepholes=True),
    "LSTM coupled": recurrent("LSTM", 4, input_forget=1),
    "LSTM coupled, with peepholes": recurrent("LSTM", 4, peepholes=True, input_forget=1),
    "LSTM clipped": recurrent("LSTM", 4, clip=0.4),
    "LSTM clipped before large activations": recurrent(
        "LSTM",
        4,
        clip=0.5,
        activations=["Affine"] * 3,
        activation_alpha=[3.0] * 3,
        activation_beta=[0.1] * 3,
    ),
    "GRU clipped": recurrent("GRU", 3, clip=0.3, linear_before_reset=1),
    "RNN clipped": recurrent("RNN", 1, clip=0.5),
    **{
        f"RNN with {name}": recurrent("RNN", 1, activations=[name], **numbers)
        for name, numbers in (
            ("Relu", {}),
            ("LeakyRelu", {"activation_alpha": [0.3]}),
            ("Elu", {"activation_alpha": [0.7]}),
            ("HardSigmoid", {"activation_alpha": [0.3], "activation_beta": [0.4]}),
            ("ThresholdedRelu", {"activation_alpha": [0.3]}),
            ("ScaledTanh", {"activation_alpha": [0.8], "activation_beta": [1.3]}),
            ("Affine", {"activation_alpha": [0.6], "activation_beta": [0.1]}),
            ("Softsign", {}),
            ("Softplus", {}),
        )
    },
    "GRU with numbers for some": recurrent(
        "GRU",
        3,
        "bidirectional",
        activations=["HardSigmoid", "LeakyRelu", "Sigmoid", "ScaledTanh"],
        activation_alpha=[0.3, 0.2, 0.9],
        activation_beta=[0.4, 1.1],
    ),
    "GRU with the usual numbers": recurrent("GRU", 3, activations=["HardSigmoid", "LeakyRelu"]),
    "LSTM with other activations": recurrent(
        "LSTM", 4, activations=["HardSigmoid", "Softsign", "Relu"]
    ),
}

MODELS = {**NATIVE, **FUNCTIONS, **DECOMPOSED}


def options(name: str) -> dict[str, Any]:
    """What `convert` is told about a model."""
    if "Loss" in name:
        return {"loss": "none"}
    return {"loss": "mse", "freeze_bn": name.startswith("BatchNormalization")}
