"""Pipelines of scikit-learn, in the form that skl2onnx writes."""

from __future__ import annotations

import numpy as np
import onnx
from models import Network
from onnx import TensorProto, helper

_ML = "ai.onnx.ml"
FEATURES, CLASSES = 5, 3


def _finished(net: Network, probabilities: str, label: str) -> onnx.ModelProto:
    """The outputs: a label, and a map of probabilities for each example."""
    net.nodes.append(
        helper.make_node(
            "ZipMap",
            [probabilities],
            ["output_probability"],
            "ZipMap",
            domain=_ML,
            classlabels_int64s=list(range(CLASSES)),
        )
    )
    maps = onnx.ValueInfoProto(name="output_probability")
    elements = maps.type.sequence_type.elem_type.map_type
    elements.key_type = TensorProto.INT64
    elements.value_type.tensor_type.elem_type = TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info(label, TensorProto.INT64, [None]), maps]
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, FEATURES])]
    graph = helper.make_graph(net.nodes, "pipeline", inputs, outputs, net.initializers)
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid(_ML, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def mlp_classifier() -> onnx.ModelProto:
    """MLPClassifier, of one hidden layer."""
    net = Network()
    value = net.node("Cast", "X", to=TensorProto.FLOAT)
    value = net.node("MatMul", value, net.weight("coefficient", FEATURES, 8, scale=0.5))
    value = net.node("Add", value, net.weight("intercepts", 1, 8))
    value = net.node("Relu", value)
    value = net.node("MatMul", value, net.weight("coefficient1", 8, CLASSES, scale=0.5))
    value = net.node("Add", value, net.weight("intercepts1", 1, CLASSES))
    net.node("Softmax", value, output="out_activations_result", axis=-1)
    value = net.node("ArgMax", "out_activations_result", axis=1)
    classes = net.constant("classes", np.arange(CLASSES))
    value = net.node("ArrayFeatureExtractor", classes, value)
    net.nodes[-1].domain = _ML
    value = net.node("Reshape", value, net.constant("shape_tensor", np.array([-1])))
    net.node("Cast", value, output="output_label", to=TensorProto.INT64)
    return _finished(net, "out_activations_result", "output_label")


def linear_classifier() -> onnx.ModelProto:
    """LogisticRegression: LinearClassifier, whose weights are attributes."""
    net, random = Network(), np.random.default_rng(0)
    node = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["label", "probability_tensor"],
        "LinearClassifier",
        domain=_ML,
        classlabels_ints=list(range(CLASSES)),
        coefficients=random.normal(size=CLASSES * FEATURES).tolist(),
        intercepts=random.normal(size=CLASSES).tolist(),
        multi_class=1,
        post_transform="SOFTMAX",
    )
    net.nodes.append(node)
    net.node("Normalizer", "probability_tensor", output="probabilities", norm="L1")
    net.nodes[-1].domain = _ML
    return _finished(net, "probabilities", "label")


def tree_classifier() -> onnx.ModelProto:
    """A decision tree of one split."""
    net = Network()
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["X"],
        ["label", "probabilities"],
        "TreeEnsembleClassifier",
        domain=_ML,
        class_ids=[0, 1],
        class_nodeids=[1, 2],
        class_treeids=[0, 0],
        class_weights=[1.0, 1.0],
        classlabels_int64s=list(range(CLASSES)),
        nodes_falsenodeids=[2, 0, 0],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_nodeids=[0, 1, 2],
        nodes_treeids=[0, 0, 0],
        nodes_truenodeids=[1, 0, 0],
        nodes_values=[0.1, 0.0, 0.0],
        post_transform="NONE",
    )
    net.nodes.append(node)
    return _finished(net, "probabilities", "label")
