"""Settings of convolutions, pooling, normalizations, Dropout and cross-entropy."""

from __future__ import annotations

import numpy as np
from case import Case, case, fixed, given, real

CONVOLUTIONS: dict[str, Case] = {
    "Conv": case("Conv", real(2, 2, 5, 6), real(3, 2, 3, 2), real(3)),
    "Conv, open": case(
        "Conv", real(2, 2, 5, 6), real(3, 2, 3, 2), strides=[2, 1], pads=[1, 0, 1, 1],
        kernel_shape=[3, 2], open=True,
    ),
    "Conv, same": case("Conv", real(1, 2, 5, 6), real(2, 2, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "Conv, valid": case("Conv", real(1, 2, 5, 6), real(2, 2, 3, 3), auto_pad="VALID"),
    "Conv of one axis, in groups": case("Conv", real(2, 4, 7), real(6, 2, 3), real(6), group=2, dilations=[2]),
    "Conv of three axes": case("Conv", real(1, 2, 3, 4, 3), real(2, 2, 2, 2, 2), strides=[1, 2, 1]),
    "ConvTranspose": case("ConvTranspose", real(2, 3, 4, 5), real(3, 2, 3, 2), real(2), strides=[2, 2]),
    "ConvTranspose, open": case(
        "ConvTranspose", real(2, 3, 4, 5), real(3, 2, 3, 2), strides=[2, 1], pads=[1, 0, 0, 1],
        kernel_shape=[3, 2], open=True,
    ),
    "ConvTranspose, in groups": case("ConvTranspose", real(1, 4, 5), real(4, 3, 3), group=2, dilations=[2]),
    "ConvTranspose, wider": case(
        "ConvTranspose", real(1, 2, 3, 3), real(2, 2, 3, 3), strides=[2, 3], output_padding=[1, 2]
    ),
    "ConvTranspose, same": case(
        "ConvTranspose", real(1, 2, 3, 4), real(2, 2, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "ConvTranspose, of a shape": case(
        "ConvTranspose", real(1, 2, 3, 4), real(2, 2, 3, 3), strides=[2, 2], output_shape=[6, 7]
    ),
}  # fmt: skip


def pooled(op_type: str) -> dict[str, Case]:
    x, wide = real(2, 2, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 2]}
    cases = {
        f"{op_type}": case(op_type, x, **wide),
        f"{op_type}, blocks": case(op_type, real(2, 2, 6, 4), kernel_shape=[3, 2], strides=[3, 2]),
        f"{op_type}, padded": case(op_type, x, kernel_shape=[3, 3], pads=[1, 1, 1, 0]),
        f"{op_type}, same": case(op_type, x, auto_pad="SAME_LOWER", **wide),
        f"{op_type}, ceil": case(op_type, x, ceil_mode=1, pads=[0, 1, 1, 0], **wide),
        f"{op_type}, dilated": case(op_type, x, kernel_shape=[2, 3], dilations=[2, 2]),
        f"{op_type} of one axis": case(op_type, real(2, 3, 7), kernel_shape=[2], strides=[3]),
        f"{op_type} of three axes": case(
            op_type, real(1, 2, 3, 4, 3), kernel_shape=[2, 2, 2], strides=[1, 2, 1]
        ),
    }
    for name, each in list(cases.items()):
        cases[f"{name}, open"] = case(op_type, *each.inputs, open=True, **each.attributes)
    return cases


POOLING: dict[str, Case] = {
    **pooled("MaxPool"),
    **pooled("AveragePool"),
    **pooled("LpPool"),
    "MaxPool, by columns": case(
        "MaxPool", real(2, 2, 5, 4), kernel_shape=[3, 2], storage_order=1, outputs=2
    ),
    "AveragePool, counting padding": case(
        "AveragePool", real(2, 2, 5, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
        count_include_pad=1, open=True,
    ),
    "LpPool of magnitudes": case("LpPool", real(2, 2, 5), kernel_shape=[2], p=1),
    "LpPool of cubes": case("LpPool", real(2, 2, 5), kernel_shape=[2], p=3, open=True),
    "GlobalLpPool": case("GlobalLpPool", real(2, 2, 3, 4)),
    "GlobalLpPool of cubes": case("GlobalLpPool", real(2, 2, 3), p=3, open=True),
    "Col2Im": case(
        "Col2Im", real(2, 8, 6), fixed(3, 4), fixed(2, 2)
    ),
    "Col2Im, padded": case(
        "Col2Im", real(1, 12, 9), fixed(5, 4), fixed(2, 3), strides=[2, 1], dilations=[1, 2],
        pads=[1, 1, 0, 2],
    ),
}  # fmt: skip

LABELS = np.array([0, 2, 1])
NORMALIZATIONS: dict[str, Case] = {
    "BatchNormalization": case(
        "BatchNormalization", real(2, 3, 4), real(3), real(3), given(np.array([0.1, -0.2, 0.3]), varied=False),
        given(np.array([0.5, 1.2, 0.8]), varied=False),
    ),
    "BatchNormalization that trains": case(
        "BatchNormalization", real(3, 2, 4), real(2), real(2), given([0.1, -0.2], varied=False),
        given([0.5, 1.2], varied=False), training_mode=1, outputs=3,
    ),
    "BatchNormalization that trains, of vectors": case(
        "BatchNormalization", real(6, 2), real(2), real(2), given([0.1, -0.2], varied=False),
        given([0.5, 1.2], varied=False), training_mode=1, outputs=3, open=True,
    ),
    "BatchNormalization that trains, its statistics left out": case(
        "BatchNormalization", real(3, 2, 4), real(2), real(2), given([0.1, -0.2], varied=False),
        given([0.5, 1.2], varied=False), training_mode=1,
    ),
    "BatchNormalization by statistics that train": case(
        "BatchNormalization", real(2, 3, 4), real(3), real(3), real(3), real(3, low=0.5, high=2), open=(0,)
    ),
    "BatchNormalization that trains, its new statistics read": case(
        "BatchNormalization", real(3, 2, 4), real(2), real(2), real(2), real(2, low=0.5, high=2),
        training_mode=1, momentum=0.6, outputs=3, read=(0, 1, 2),
    ),
    "BatchNormalization that trains, its new variance read": case(
        "BatchNormalization", real(6, 2), given([1, 2.0], varied=False), given([0, 1.0], varied=False),
        given([0.1, -0.2], varied=False), real(2, low=0.5, high=2), training_mode=1, outputs=3, read=(2,),
        open=True,
    ),
    "InstanceNormalization": case("InstanceNormalization", real(2, 3, 4, 2), real(3), real(3)),
    "InstanceNormalization, open": case(
        "InstanceNormalization", real(2, 3, 4), real(3), real(3), open=True
    ),
    "GroupNormalization": case("GroupNormalization", real(2, 4, 3, 2), real(4), real(4), num_groups=2),
    "GroupNormalization, open": case(
        "GroupNormalization", real(2, 4, 5), real(4), real(4), num_groups=2, open=True
    ),
    "GroupNormalization, opset 18": case(
        "GroupNormalization", real(2, 4, 3), real(2), real(2), num_groups=2, opset=18
    ),
    "LayerNormalization": case("LayerNormalization", real(2, 3, 4), real(4), real(4)),
    "LayerNormalization of two axes": case(
        "LayerNormalization", real(2, 3, 4), real(3, 4), axis=1, opset=17
    ),
    "LayerNormalization of all axes": case(
        "LayerNormalization", real(3, 4), real(3, 4), real(3, 4), axis=0
    ),
    "LayerNormalization, mean and deviation read": case(
        "LayerNormalization", real(2, 3, 4), real(4), real(4), outputs=3, read=(0, 1, 2)
    ),
    "LayerNormalization, deviation read": case(
        "LayerNormalization", real(2, 3, 4), fixed(1, 1, 1, 1).astype(np.float32), outputs=3,
        read=(2,), open=True,
    ),
    "LpNormalization": case("LpNormalization", real(2, 3, 4)),
    "LpNormalization of magnitudes": case("LpNormalization", real(2, 3, 4), p=1, axis=1, open=True),
    "LRN": case("LRN", real(2, 5, 3), size=3, alpha=0.9, bias=1.5),
    "MeanVarianceNormalization": case("MeanVarianceNormalization", real(2, 3, 2, 2)),
    "RMSNormalization": case("RMSNormalization", real(2, 3, 4), real(4), opset=23),
    "RMSNormalization of two axes": case("RMSNormalization", real(2, 3, 4), real(3, 4), axis=1, opset=23),
}  # fmt: skip

LOSSES: dict[str, Case] = {
    "Dropout that keeps all": case("Dropout", real(3, 4), np.array(0, np.float32), np.array(True), outputs=2),
    "Dropout": case("Dropout", real(5, 6), np.array(0.4, np.float32), np.array(True), seed=3, runs=False),
    "Dropout that does not train": case("Dropout", real(3, 4)),
    "SoftmaxCrossEntropyLoss": case("SoftmaxCrossEntropyLoss", real(3, 4), given(LABELS)),
    "SoftmaxCrossEntropyLoss, all read": case(
        "SoftmaxCrossEntropyLoss", real(3, 4), given(LABELS), outputs=2, read=(0, 1), reduction="none"
    ),
    "SoftmaxCrossEntropyLoss, log-probabilities read": case(
        "SoftmaxCrossEntropyLoss", real(3, 4, 2), given(np.stack([LABELS, LABELS], 1)), outputs=2, read=(1,)
    ),
    "SoftmaxCrossEntropyLoss, weighted": case(
        "SoftmaxCrossEntropyLoss", real(3, 4), given(LABELS), np.array([1, 2, 3, 4], np.float32),
        ignore_index=2,
    ),
    "SoftmaxCrossEntropyLoss, weights of classes that train": case(
        "SoftmaxCrossEntropyLoss", real(3, 4), given(LABELS), real(4, low=0.5, high=2), outputs=2,
        read=(0, 1), ignore_index=2,
    ),
    "NegativeLogLikelihoodLoss, weights of classes that train": case(
        "NegativeLogLikelihoodLoss", real(3, 4), given(LABELS), real(4, low=0.5, high=2)
    ),
    "NegativeLogLikelihoodLoss": case("NegativeLogLikelihoodLoss", real(3, 4), given(LABELS)),
    "NegativeLogLikelihoodLoss, weighted": case(
        "NegativeLogLikelihoodLoss", real(3, 4), given(LABELS), np.array([1, 2, 3, 4], np.float32),
        ignore_index=2, reduction="sum",
    ),
}  # fmt: skip

LAYERS: dict[str, Case] = {**CONVOLUTIONS, **POOLING, **NORMALIZATIONS, **LOSSES}
