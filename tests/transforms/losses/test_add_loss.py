"""The passes that put a loss on a graph and look at it."""

from __future__ import annotations

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conftest import MakeTrainer
from models import Network

from svgd_onnx import LossSettings
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT, AddLoss
from svgd_onnx.transforms.losses.loss_dependence import independent_of_loss

SMOOTH = LossSettings(label_smoothing=0.1)


def with_loss(
    model: onnx.ModelProto, prediction: str, settings: LossSettings = SMOOTH
) -> tuple[ir.Model, AddLoss]:
    """A model with cross-entropy on top of it, and the pass that put it there."""
    graph = canonicalize(ir.from_proto(model))
    added = AddLoss(LOSSES["cross-entropy"], prediction, settings)
    return added(graph).model, added


def test_the_loss_is_the_first_output_and_the_label_the_last_input() -> None:
    model, added = with_loss(models.mlp(), "probabilities")
    assert [value.name for value in model.graph.outputs] == [LOSS_OUTPUT, "probabilities"]
    assert [value.name for value in model.graph.inputs] == ["x", "labels"]
    label = model.graph.inputs[-1]
    assert label.dtype == ir.DataType.INT64
    assert [str(dim) for dim in label.shape or ()] == ["batch"]
    assert added.class_axis == 1
    assert added.logits == model.graph.outputs[1].producer().inputs[0].name


@pytest.mark.parametrize("settings", [LossSettings(class_axis=2), LossSettings(class_axis=3)])
def test_logits_of_tokens_are_rows_and_are_not_transposed(settings: LossSettings) -> None:
    net, shape = Network(), ("batch", 3, 5, 7)[: settings.class_axis] + (7,)
    net.node("MatMul", "x", net.weight("w", 4, 7), output="logits")
    model, added = with_loss(
        net.model({"x": (*shape[:-1], 4)}, {"logits": shape}), "logits", settings
    )
    (loss,) = [node for node in model.graph if node.op_type == "SoftmaxCrossEntropyLoss"]
    logits, labels = (value.producer() for value in loss.inputs)
    assert [node.op_type for node in model.graph if node.op_type == "Transpose"] == []
    assert (logits.op_type, logits.inputs[0].name) == ("Reshape", added.logits)
    assert (labels.op_type, labels.inputs[0]) == ("Reshape", model.graph.inputs[-1])
    assert [str(dim) for dim in model.graph.inputs[-1].shape or ()] == [
        str(dim) for dim in shape[:-1]
    ]


def test_a_prediction_that_is_no_output() -> None:
    with pytest.raises(ir.passes.PreconditionError, match="'other' is not an output"):
        with_loss(models.mlp(), "other")


def busy_names() -> onnx.ModelProto:
    """A model whose parameters, hidden values and output have names that a loss might use."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("loss/constant_0", 6, 4))
    value = net.node("Add", value, net.weight("loss/constant_1", 4), output="loss/LogSoftmax_0")
    net.node("Identity", value, output="loss")
    return net.model({"x": ("batch", 6)}, {"loss": ("batch", 4)})


def test_names_of_the_loss_are_none_of_the_model(trainer_of: MakeTrainer) -> None:
    batch = models.examples(models.mlp())
    trainer = trainer_of(busy_names(), loss_settings=SMOOTH)
    names = [item.name for item in trainer.manifest.parameters]
    assert names == ["loss/constant_0", "loss/constant_1"]
    before = trainer.train_step(batch, 0.1)
    assert trainer.train_step(batch, 0.1) < before


@pytest.mark.parametrize(("weight", "target"), [("labels", "svgd.labels"), ("weight", "labels")])
def test_a_label_gives_way_to_tensors_that_users_know(weight: str, target: str) -> None:
    net = Network()
    hidden = "labels" if weight == "weight" else "hidden"
    net.node("MatMul", "x", net.weight(weight, 6, 4), output=hidden)
    net.node("Relu", hidden, output="logits")
    model, _ = with_loss(net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}), "logits")
    assert model.graph.inputs[-1].name == target


def test_parameters_that_the_loss_does_not_depend_on_are_named() -> None:
    net = Network()
    net.node("MatMul", "x", net.weight("used", 6, 4), output="logits")
    for name in ("aside", "apart"):
        net.node("MatMul", "x", net.weight(name, 6, 4), output=f"{name}.output")
    shapes = {name: ("batch", 4) for name in ("logits", "aside.output", "apart.output")}
    model, _ = with_loss(net.model({"x": ("batch", 6)}, shapes), "logits")
    assert independent_of_loss(model.graph, ["used"]) == []
    assert independent_of_loss(model.graph, ["used", "aside", "apart"]) == ["aside", "apart"]


def test_class_weights_are_a_constant_of_the_graph() -> None:
    weights = (1.0, 2.0, 3.0, 4.0)
    model, _ = with_loss(models.mlp(), "probabilities", LossSettings(class_weights=weights))
    constants = [value.const_value for value in model.graph.initializers.values()]
    found = [tensor.numpy() for tensor in constants if tensor is not None and tensor.size == 4]
    assert any(np.array_equal(array, weights) for array in found)
