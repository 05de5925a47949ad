"""T in the gradient graph: by data flow, before the parameter's gradient alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conftest import MakeTrainer

from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.transforms.differentiate.differentiators import AUTO, differentiate
from svgd_onnx.transforms.lower import PortableVirtualGradient
from svgd_onnx.transforms.virtualize import (
    MergeParameterUses,
    VirtualGradient,
    sigma_prime,
)
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings

ATTRIBUTES = VirtualGradientSettings(scale=0.1, rho=0.9, epsilon=1e-6)


def virtualized(model: onnx.ModelProto, granularity: str = "auto") -> ir.Model:
    """The gradient graph of a model with T in it."""
    settings = VirtualGradientSettings(granularity=granularity)
    plan = plan_training(model, TrainingSettings())
    gradient, _ = differentiate(plan.forward, plan.copies, AUTO)
    uses = sigma_prime(plan.forward.graph, plan.copies, settings)
    VirtualGradient(uses, ATTRIBUTES)(gradient)
    MergeParameterUses(plan.copies)(gradient)
    return gradient


def named(model: ir.Model, name: str) -> ir.Value:
    return next(value for node in model.graph for value in node.outputs if value.name == name)


@pytest.mark.parametrize(
    "network", [models.mlp, models.convolutional, models.residual, models.sequence]
)
def test_there_is_one_t_for_each_weight(network: Callable[[], onnx.ModelProto]) -> None:
    model = network()
    weights = [item.name for item in model.graph.initializer if item.name.endswith(".weight")]
    graph = virtualized(model).graph
    states = {node.inputs[1].name for node in graph if node.op_type == "VirtualGradient"}
    assert states == {f"svgd.r.{name}" for name in weights}


def test_one_convolution_gradient_becomes_two() -> None:
    """dX and the bias from dY, dW from T(dY); the first layer needs no dX."""
    model = virtualized(models.convolutional())
    present = [
        (node.inputs[0].producer().op_type, [bool(value.name) for value in node.outputs])
        for node in model.graph
        if node.op_type == "ConvGrad"
    ]
    assert Counter((kind == "VirtualGradient", tuple(outputs)) for kind, outputs in present) == {
        (True, (False, True, False)): 2,
        (False, (True, False, True)): 1,
        (False, (False, False, True)): 1,
    }


def test_a_factor_for_each_channel_acts_on_the_smaller_gradient_of_the_weight() -> None:
    """Then a gradient node stays one, and reads dY for all its outputs."""
    kinds = {
        granularity: Counter(
            node.op_type
            for node in virtualized(models.large_outputs(), granularity).graph
            if node.domain == "ai.svgd" or node.op_type == "ConvGrad"
        )
        for granularity in ("element", "channel")
    }
    assert kinds == {
        "element": {"VirtualGradient": 4, "ConvGrad": 3},
        "channel": {"GradientFactor": 3, "VirtualGradient": 1, "ConvGrad": 2},
    }


def test_dx_comes_before_t_so_that_t_may_overwrite_dy() -> None:
    model = virtualized(models.convolutional())
    order = list(model.graph)
    for node in order:
        if node.op_type == "VirtualGradient":
            others = [reader for reader, _ in node.inputs[0].uses() if reader is not node]
            convolutions = [reader for reader in others if reader.op_type == "ConvGrad"]
            assert all(order.index(reader) < order.index(node) for reader in convolutions)


def test_nothing_is_computed_that_nothing_reads() -> None:
    for network in (models.mlp, models.convolutional, models.shared_weight):
        graph = virtualized(network()).graph
        for node in graph:
            # T's second output is r itself, which the session keeps; BatchNormalization's likewise
            if node.op_type not in ("VirtualGradient", "BatchNormInternal"):
                assert any(value.uses() or value.is_graph_output() for value in node.outputs), node


def test_the_gradient_of_a_shared_weight_is_the_sum_of_its_uses() -> None:
    model = virtualized(models.shared_weight())
    total = named(model, "shared.weight_grad").producer()
    assert total.op_type == "Sum" and len(total.inputs) == 2
    assert total.outputs[0].is_graph_output()
    assert "shared.weight" in {value.name for value in model.graph.inputs}
    assert not any("/use_" in value.name for value in model.graph.inputs)


def test_a_penalty_goes_with_a_name_that_exporters_choose(trainer_of: MakeTrainer) -> None:
    """PyTorch calls values val_0, val_1, ..., and so does onnx-ir those without a name."""
    net = models.Network()
    shared = net.weight("val_0", 4, 4)
    hidden = net.node("Tanh", net.node("MatMul", "x", shared))
    net.node("MatMul", hidden, shared, output="logits")
    model = net.model({"x": ("batch", 4)}, {"logits": ("batch", 4)})
    with_penalty, plain = (trainer_of(model, l1=l1, optimizer="sgd") for l1 in (0.5, 0.0))
    for trainer in (with_penalty, plain):
        trainer.train_step(models.examples(model), learning_rate=0.0)
    penalty = with_penalty.gradient("val_0") - plain.gradient("val_0")
    np.testing.assert_allclose(penalty, 0.5 * np.sign(plain.tensor("val_0")), atol=1e-6)


def test_the_portable_form_has_standard_operators_only() -> None:
    model = PortableVirtualGradient()(virtualized(models.mlp())).model
    assert "ai.svgd" not in model.graph.opset_imports
    assert all(node.domain != "ai.svgd" for node in model.graph)
    hidden = [value.name for value in model.graph.outputs if value.name.startswith("svgd.r.")]
    assert sorted(hidden) == [
        "svgd.r.fc1.weight_grad.accumulation.out",
        "svgd.r.fc2.weight_grad.accumulation.out",
    ]
