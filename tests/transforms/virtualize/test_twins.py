"""Twin operators (paper Sec. 3.1) give what T in the gradient graph gives (Sec. 3.2), to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest

import svgd_onnx
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.canonicalize import InferShapes
from svgd_onnx.transforms.virtualize import (
    PlainOperators,
    TwinOperators,
    VirtualGradientSettings,
    sigma_prime,
)
from tools.encapsulations import difference, trained
from tools.fixtures.trainings import SIZES, options_for

FIXTURES = Path(__file__).parents[2] / "fixtures"
ALL: dict[str, Any] = {"t_scope": ["all-linear"]}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "all linear": ALL,
    "channel": {"granularity": "channel"},
    "example": {"gradient": "example", "scale": 0.5, "rho": 0.5, "epsilon": 0.5},
    "a sum": {"gradient": "example", "loss_settings": svgd_onnx.LossSettings(reduction="sum")},
    "portable": {"t_kernel": "portable", **ALL},
    "fused": {"t_kernel": "fused", **ALL},
    "l1 and momentum": {"l1": 1e-3, "momentum": 0.9},
    "a part": {"train": ["conv*"]},
    "one layer in the scope": {"t_scope": ["conv1*"]},
    "frozen statistics": {"freeze_bn": True, **ALL},
    "no T": {"optimizer": "sgd"},
}


def decomposed() -> onnx.ModelProto:
    """Operations that several nodes stand for: image (batch, 2, 4, 4) -> logits (batch, 4)."""
    net = models.Network()
    value = net.node("ConvTranspose", "image", net.weight("up", 2, 4, 2, 2), strides=[2, 2])
    value = net.node("PRelu", value, net.weight("slope", 4, 1, 1))
    value = net.node("Conv", value, net.weight("conv", 4, 4, 3, 3), auto_pad="SAME_UPPER")
    value = net.node(
        "InstanceNormalization", value, *(net.weight(f"instance.{i}", 4) for i in "ab")
    )
    value = net.node("Einsum", value, net.weight("factor", 8, 5), equation="bchw,wk->bhkc")
    value = net.node("LayerNormalization", value, net.weight("layer.scale", 4))
    value = net.node("Mul", value, net.weight("gain", 4))
    value = net.node("MatMul", value, net.node("Transpose", net.weight("head", 4, 4)))
    value = net.node("Add", value, net.weight("bias", 4))
    axes = net.constant("axes", np.array([1, 2]))
    net.node("ReduceMean", value, axes, output="logits", keepdims=0)
    return net.model({"image": ("batch", 2, 4, 4)}, {"logits": ("batch", 4)}, opset=21)


def open_image() -> onnx.ModelProto:
    """A stride under SAME padding over sizes that the graph does not know."""
    net = models.Network()
    value = net.node(
        "Conv", "image", net.weight("conv", 4, 2, 3, 3), auto_pad="SAME_LOWER", strides=[2, 2]
    )
    value = net.node("Flatten", net.node("GlobalAveragePool", value))
    net.node("MatMul", value, net.weight("head", 4, 4), output="logits")
    return net.model({"image": ("batch", 2, "height", "width")}, {"logits": ("batch", 4)})


def assert_the_same(
    model: onnx.ModelProto | Path, batch: dict[str, np.ndarray], target: str, **options: Any
) -> None:
    graph, operators = (
        trained(model, batch, target, encapsulation=each, **options)
        for each in ("graph", "operators")
    )
    assert difference(graph, operators) == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "network", [models.mlp, models.shared_weight, models.large_outputs, models.sequence, decomposed]
)
def test_on_small_networks(network: Callable[[], onnx.ModelProto], target: str) -> None:
    assert_the_same(network(), models.examples(network()), target, **ALL)


@pytest.mark.parametrize("target", TARGETS)
def test_on_images_of_any_size(target: str) -> None:
    image = np.random.default_rng(0).normal(size=(4, 2, 5, 6)).astype(np.float32)
    assert_the_same(open_image(), {"image": image, "labels": np.arange(4)}, target)


@pytest.mark.parametrize("target", TARGETS)
def test_on_an_operation_whose_other_outputs_are_read_too(target: str) -> None:
    """Those have no twin: what comes back from them is the operation's own gradient."""
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 4))
    net.node(
        "LayerNormalization", value, net.weight("scale", 4), net.weight("shift", 4), output="y"
    )
    net.nodes[-1].output.append("mean")
    net.node("Add", "y", "mean", output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})
    assert_the_same(model, models.examples(model), target, **ALL)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", OPTIONS)
def test_under_every_setting(name: str, target: str) -> None:
    model = models.residual()
    assert_the_same(model, models.examples(model), target, **OPTIONS[name])


def test_where_gradients_are_accumulated() -> None:
    model = models.residual()
    assert_the_same(model, models.examples(model), "onnx", accumulation_steps=3)


# One of each kind; all of them: python -m tools.encapsulations
@pytest.mark.parametrize("name", ["cnn_keras_tf2onnx", "lstm_torch_dynamo", "mlp_keras_export"])
def test_on_exports(name: str) -> None:
    path = FIXTURES / f"{name}.onnx"
    batch = example_batch(path, batch_size=2, random_size=SIZES, **options_for(name))
    assert_the_same(path, batch, "onnx", **options_for(name))


def test_the_training_graphs_have_the_same_nodes() -> None:
    """With T on weights alone; a normalization's rule writes what its gradients share once for each."""
    for network in (models.convolutional, models.shared_weight, models.large_outputs):
        model = network()
        graph, operators = (
            trained(model, models.examples(model), "ort-training", encapsulation=each)
            for each in ("graph", "operators")
        )
        assert graph.operators == operators.operators


def test_a_twin_has_the_shape_of_its_operator_and_leaves_it_as_it_was() -> None:
    plan = plan_training(models.convolutional(), TrainingSettings())
    before = ir.to_proto(plan.forward.graph).node
    shapes = {value.name: value.shape for node in plan.forward.graph for value in node.outputs}
    settings = VirtualGradientSettings()
    model = plan.forward.clone()
    TwinOperators(sigma_prime(plan.forward.graph, plan.copies, settings), settings)(model)
    InferShapes()(model)
    twins = [node for node in model.graph if node.op_type == "Twin"]
    assert [node.inputs[0].producer().op_type for node in twins] == ["Conv", "Conv", "Gemm"]
    for node in twins:
        assert node.outputs[0].shape == shapes[node.inputs[0].name]
        assert [reader.op_type for reader, _ in node.inputs[0].uses()] == ["Twin"]
    PlainOperators()(model)
    assert ir.to_proto(model.graph).node == before


def test_rules_of_our_own_differentiate_twins(tmp_path: Path) -> None:
    """auto takes them; onnxruntime's builder is refused."""
    manifest = svgd_onnx.convert(models.mlp(), tmp_path / "a", encapsulation="operators")
    assert (manifest.encapsulation, manifest.differentiator) == ("operators", "own")
    assert svgd_onnx.Manifest.load(tmp_path / "a").encapsulation == "operators"
    told = {"encapsulation": "operators", "differentiator": "onnxruntime"}
    with pytest.raises(svgd_onnx.UserError, match="knows no twins"):
        svgd_onnx.convert(models.mlp(), tmp_path / "b", **told)
    assert not (tmp_path / "b").exists()


def test_without_t_there_is_no_way_to_choose(tmp_path: Path) -> None:
    told = {"encapsulation": "operators", "target": "onnx", "optimizer": "sgd"}
    assert svgd_onnx.convert(models.mlp(), tmp_path / "a", **told).encapsulation == "graph"


def test_an_operator_without_a_gradient_is_named_before_shapes_that_follow_from_it(
    tmp_path: Path,
) -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("backbone", 6, 6))
    net.nodes.append(onnx.helper.make_node("Fold", [value], ["f"], "fold", domain="com.example"))
    value = net.node("MatMul", "f", net.weight("middle", 6, 6))
    net.node("MatMul", value, net.weight("head", 6, 4), output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}, domains=("com.example",))
    with pytest.raises(svgd_onnx.UserError, match="Fold"):
        svgd_onnx.convert(model, tmp_path / "a", encapsulation="operators")
