"""Settings of every operator that is lowered."""

from __future__ import annotations

import numpy as np
from training_nodes import (
    RANDOM,
    Setting,
    batch_normalization,
    batch_normalization_gradient,
    convolution_gradient,
    cross_entropy_gradient,
    division_gradient,
    elementwise,
    gather_elements_gradient,
    gather_gradient,
    gradient_arguments,
    integers,
    layer_normalization_gradient,
    log_softmax_gradient,
    max_pool_gradient,
    normal,
    product,
    slice_gradient,
    softmax_gradient,
    sum,
    with_zeros,
)

_DROPPED = [normal(6, 5), RANDOM.uniform(size=(6, 5)) > 0.3, np.array(0.3, np.float32)]

LOWERINGS: dict[str, Setting] = {
    "ReluGrad": elementwise("ReluGrad", np.maximum(with_zeros(), 0)),
    "LeakyReluGrad": elementwise("LeakyReluGrad", with_zeros(), alpha=0.2),
    "SigmoidGrad": elementwise("SigmoidGrad", RANDOM.uniform(size=(4, 7)).astype(np.float32)),
    "TanhGrad": elementwise("TanhGrad", np.tanh(normal(4, 7))),
    "GeluGrad": elementwise("GeluGrad", normal(4, 7)),
    "FastGelu": Setting("FastGelu", [normal(4, 7)]),
    "FastGeluGrad": elementwise("FastGeluGrad", normal(4, 7)),
    "QuickGelu": Setting("QuickGelu", [normal(4, 7)], {"alpha": 1.3}),
    "QuickGelu plain": Setting("QuickGelu", [normal(4, 7)], {"alpha": 1.0}),
    "QuickGeluGrad": elementwise("QuickGeluGrad", normal(4, 7), alpha=1.3),
    "QuickGeluGrad plain": elementwise("QuickGeluGrad", normal(4, 7), alpha=1.0),
    "SoftmaxGrad_13": softmax_gradient(-1, 4, 7),
    "SoftmaxGrad_13 of an inner axis": softmax_gradient(1, 2, 5, 3),
    "LogSoftmaxGrad_13": log_softmax_gradient(-1, 4, 7),
    "LogSoftmaxGrad_13 of an inner axis": log_softmax_gradient(1, 2, 5, 3),
    "BatchNormInternal of vectors": batch_normalization(6, 4),
    "BatchNormInternal of images": batch_normalization(3, 4, 5, 2),
    "BatchNormalizationGrad of vectors": batch_normalization_gradient(6, 4),
    "BatchNormalizationGrad of sequences": batch_normalization_gradient(3, 4, 5),
    "BatchNormalizationGrad of images": batch_normalization_gradient(3, 4, 5, 2),
    "LayerNormalizationGrad": layer_normalization_gradient(-1, 3, 4, 5),
    "LayerNormalizationGrad of two axes": layer_normalization_gradient(1, 3, 4, 5),
    "ConvGrad": convolution_gradient((2, 3, 6, 7), (4, 3, 3, 2)),
    "ConvGrad of the weight": convolution_gradient(
        (2, 3, 6, 7), (4, 3, 3, 2), [False, True, False]
    ),
    "ConvGrad of the input": convolution_gradient((2, 3, 6, 7), (4, 3, 3, 2), [True, False]),
    "ConvGrad padded": convolution_gradient((2, 3, 6, 7), (4, 3, 3, 3), pads=[1, 0, 1, 2]),
    "ConvGrad padded beyond the kernel": convolution_gradient((2, 3, 5), (4, 3, 2), pads=[3, 2]),
    "ConvGrad strided": convolution_gradient((2, 3, 7, 8), (4, 3, 3, 3), strides=[2, 3]),
    "ConvGrad strided with a rest": convolution_gradient(
        (2, 3, 8, 9), (4, 3, 3, 2), strides=[2, 3], pads=[1, 1, 0, 0]
    ),
    "ConvGrad dilated": convolution_gradient((2, 3, 9, 9), (4, 3, 3, 3), dilations=[2, 3]),
    "ConvGrad grouped": convolution_gradient((2, 4, 6, 6), (6, 2, 3, 3), group=2),
    "ConvGrad depthwise": convolution_gradient(
        (2, 4, 7, 7), (4, 1, 3, 3), group=4, strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "ConvGrad of one axis": convolution_gradient((2, 3, 9), (4, 3, 3), pads=[1, 1], strides=[2]),
    "ConvGrad of three axes": convolution_gradient((1, 2, 4, 5, 4), (3, 2, 2, 3, 2)),
    "ConvGrad of one element": convolution_gradient((2, 3, 5, 5), (4, 3, 1, 1)),
    "ConvGrad too large to unfold": convolution_gradient(
        (1, 32, 72, 72), (8, 32, 3, 3), pads=[1, 1, 1, 1]
    ),
    "MaxPoolGrad": max_pool_gradient(8, 4, kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPoolGrad with a rest": max_pool_gradient(9, 4, kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPoolGrad overlapping": max_pool_gradient(8, 6, kernel_shape=[3, 3]),
    "MaxPoolGrad padded": max_pool_gradient(
        8, 4, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "MaxPoolGrad dilated": max_pool_gradient(8, 6, kernel_shape=[2, 2], dilations=[2, 2]),
    "MaxPoolGrad same": max_pool_gradient(
        7, 4, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "MaxPoolGrad ceil": max_pool_gradient(8, 3, kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
    "SoftmaxCrossEntropyLossGrad": cross_entropy_gradient(5, 4),
    "SoftmaxCrossEntropyLossGrad of images": cross_entropy_gradient(2, 4, 3, 5),
    "SoftmaxCrossEntropyLossGrad weighted": cross_entropy_gradient(5, 4, weights=True),
    "SoftmaxCrossEntropyLossGrad ignoring": cross_entropy_gradient(5, 4, ignored=2),
    "SoftmaxCrossEntropyLossGrad ignoring no class": cross_entropy_gradient(5, 4, ignored=-1),
    "SoftmaxCrossEntropyLossGrad weighted, ignoring": cross_entropy_gradient(
        2, 4, 3, weights=True, ignored=1
    ),
    "SoftmaxCrossEntropyLossGrad summed": cross_entropy_gradient(
        5, 4, weights=True, ignored=1, reduction="sum"
    ),
    "SoftmaxCrossEntropyLossGrad unreduced": cross_entropy_gradient(
        2, 4, 3, weights=True, reduction="none"
    ),
    "DropoutGrad": Setting("DropoutGrad", [*_DROPPED, np.array(True)], constant=[2, 3]),
    "GatherGrad": gather_gradient((6, 3), integers(0, 5, 0, 2), 0),
    "GatherGrad from the end": gather_gradient((6, 3), integers(-1, 5, -6), 0),
    "GatherGrad of an inner axis": gather_gradient((2, 6, 3), np.array([[0, 5], [0, 2]]), 1),
    "GatherGrad of one element": gather_gradient((2, 6, 3), np.array(2), 2),
    "GatherElementsGrad": gather_elements_gradient((6, 3), (4, 3), 0),
    "GatherElementsGrad of the last axis": gather_elements_gradient((3, 6), (3, 9), 1),
    "SliceGrad": slice_gradient((6, 5), [1], [4]),
    "SliceGrad of two axes": slice_gradient((2, 6, 5), [1, -3], [4, 5], [1, 2]),
    "SliceGrad in steps": slice_gradient((2, 9, 5), [1, 0], [8, 5], [1, 2], [3, 2]),
    "SliceGrad beyond the end": slice_gradient((2, 9), [3], [1000], [1]),
    "SliceGrad backwards": slice_gradient((2, 9), [8], [-10], [1], [-2]),
    "DivGrad": division_gradient((4, 3), (4, 3)),
    "DivGrad of a broadcast dividend": division_gradient((1, 3), (4, 3)),
    "DivGrad of a broadcast divisor": division_gradient((2, 4, 3), (4, 1)),
    "DivGrad by one number": division_gradient((4, 3), ()),
    "BroadcastGradientArgs": gradient_arguments((2, 1, 3), (2, 4, 3)),
    "BroadcastGradientArgs of two ranks": gradient_arguments((5, 2, 4, 3), (4, 1)),
    "BroadcastGradientArgs of equal shapes": gradient_arguments((2, 3), (2, 3)),
    "ConcatTraining": Setting(
        "ConcatTraining", [normal(2, 3), normal(2, 1)], {"axis": 1}, [True] * 2
    ),
    "ConcatTraining of the last axis": Setting(
        "ConcatTraining", [normal(2, 3, 1), normal(2, 3, 4)], {"axis": -1}, [True] * 2
    ),
    "ConcatTraining without lengths": Setting(
        "ConcatTraining", [normal(2, 3), normal(4, 3)], {"axis": 0}
    ),
    "SplitTraining": Setting(
        "SplitTraining", [normal(2, 6), integers(1, 2, 3)], {"axis": 1}, [True] * 3, constant=[1]
    ),
    "FusedMatMul": product((2, 3, 4), (2, 4, 5), alpha=0.5),
    "FusedMatMul transposed": product((2, 4, 3), (2, 5, 4), transA=1, transB=1),
    "FusedMatMul of matrices": product((4, 3), (4, 5), transA=1, alpha=2.0),
    "FusedMatMul broadcasting": product((2, 3, 4), (5, 4), transB=1),
    "ReduceSumTraining": sum([0, 2], keepdims=1),
    "ReduceSumTraining without them": sum([-1], keepdims=0),
    "ReduceSumTraining of all": sum([], keepdims=1),
    "ReduceSumTraining of none": sum([], keepdims=1, noop_with_empty_axes=1),
    "Scale": Setting("Scale", [normal(4, 3), np.array(3.0, np.float32)]),
    "Scale down": Setting("Scale", [normal(4, 3), np.array(3, np.int64)], {"scale_down": 1}),
}
