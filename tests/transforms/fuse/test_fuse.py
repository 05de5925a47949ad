"""The fast form of networks without convolutions: their steps in float64, and what is one operator in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from fast_forms import (
    OPTIONS,
    SETTINGS,
    assert_a_spoiled_batch_changes_nothing,
    assert_conversion_keeps_it,
    converted,
    operators,
)
from models import CLASSES, Network
from reference import virtual_gradients

import svgd_onnx
from svgd_onnx.targets import TARGETS
from tools.networks import NETWORKS as LARGE_NETWORKS

RATE = 1.0
TOLERANCE = 5e-5
TOLERANCE_OF_LONG_SUMS = 2e-4
FEATURES = 7


def normalized() -> onnx.ModelProto:
    """Normalizations with a Relu behind them, with one that something else reads, and with none."""
    net = Network()
    value = "image"
    for layer, (inputs, outputs) in enumerate([(FEATURES, 33), (33, 12), (12, 5)]):
        value = net.node("MatMul", value, net.weight(f"{layer}.weight", inputs, outputs))
        value = net.batch_normalization(value, outputs, f"{layer}.norm")
        if layer == 0:
            value = net.node("Relu", value)
        elif layer == 1:
            value = net.node("Add", net.node("Relu", value), net.node("Tanh", value))
    net.node("MatMul", value, net.weight("head.weight", 5, CLASSES), output="logits")
    return net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})


def plain() -> onnx.ModelProto:
    """Nothing but T and a Relu."""
    net = Network()
    value = net.node("MatMul", "image", net.weight("a.weight", FEATURES, 9))
    value = net.node("Relu", net.node("Add", value, net.weight("a.bias", 9)))
    net.node("MatMul", value, net.weight("head.weight", 9, CLASSES), output="logits")
    return net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})


def wide() -> onnx.ModelProto:
    """Layers that are wide enough, by MatMul and by Gemm of a transposed weight, and one that is not."""
    net = Network()
    value = net.node("MatMul", "image", net.weight("up.weight", FEATURES, 600))
    value = net.node("Relu", net.node("MatMul", value, net.weight("across.weight", 600, 520)))
    value = net.node("Gemm", value, net.weight("turned.weight", 550, 520), transB=1)
    net.node("MatMul", value, net.weight("head.weight", 550, CLASSES), output="logits")
    return net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})


def of_many_rows() -> onnx.ModelProto:
    """Wide layers of 512 rows an example, and so of 512 in all that are known: MatMul, and Gemm with a bias."""
    net = Network()
    value = net.node("MatMul", "image", net.weight("up.weight", FEATURES, 520))
    value = net.node("Relu", net.node("MatMul", value, net.weight("across.weight", 520, 530)))
    value = net.node("Reshape", value, net.constant("rows", np.array([512, 530])))
    bias = net.weight("turned.bias", 540)
    value = net.node("Gemm", value, net.weight("turned.weight", 540, 530), bias, transB=1)
    value = net.node("Reshape", value, net.constant("examples", np.array([1, 512, 540])))
    value = net.node("ReduceMean", value, axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("head.weight", 540, CLASSES), output="logits")
    return net.model({"image": (1, 512, FEATURES)}, {"logits": (1, CLASSES)})


def tied() -> onnx.ModelProto:
    """An embedding that is the last layer's weight as well."""
    net = Network()
    table = net.weight("table", 600, 520)
    ids = net.node(
        "Cast", net.node("Abs", net.node("Mul", "image", net.weight("spread", mean=99))), to=7
    )
    value = net.node("Gather", table, ids)
    axes = net.constant("axes", np.array([1]))
    value = net.node("ReduceMean", value, axes, keepdims=0)
    net.node("MatMul", value, net.node("Transpose", table, perm=[1, 0]), output="logits")
    return net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", 600)}, opset=18)


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "normalized": normalized,
    "plain": plain,
    "wide": wide,
}


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_float64(name: str, target: str, batch: int, tmp_path: Path) -> None:
    """What a step changes parameters and r by."""
    if (name, batch) == ("normalized", 1):
        pytest.skip("all that comes out of a normalization of one row is its shift")
    tolerance = TOLERANCE_OF_LONG_SUMS if name == "wide" else TOLERANCE
    assert_step_is_that_of_float64(
        NETWORKS[name](),
        converted(NETWORKS[name](), tmp_path / "artifacts", target),
        batch,
        tolerance,
    )


def assert_step_is_that_of_float64(
    model: onnx.ModelProto, folder: Path, batch: int, tolerance: float
) -> None:
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=2)
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    before = {name: trainer.tensor(name).astype(np.float64) for name in trainable}
    data = models.examples(model, count=batch)
    loss = trainer.train_step(data, RATE)
    expected = virtual_gradients(
        model,
        {"image": data["image"]},
        data["labels"],
        loss="cross_entropy",
        output="logits",
        trainable=trainable,
        states=None,
        **SETTINGS,
    )
    assert loss == pytest.approx(expected.loss, rel=1e-5)
    for name in trainable:
        change = (before[name] - trainer.tensor(name)) / RATE
        size = max(np.abs(expected.gradients[name]).max(), 1e-2)
        np.testing.assert_allclose(
            change, expected.gradients[name], atol=tolerance * size, rtol=0, err_msg=name
        )
    used = {(item.parameter, item.output): item.state for item in trainer.manifest.operations}
    for key, state in expected.states.items():
        found = trainer.tensor(used[key])
        np.testing.assert_allclose(found, state, rtol=0, atol=tolerance * np.abs(state).max())


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_of_the_papers_mlp_has_one_operator_for_each_of_its_layers_work(
    target: str, tmp_path: Path
) -> None:
    folder = converted(LARGE_NETWORKS["paper_mlp"](0), tmp_path / "artifacts", target)
    found = operators(folder, target)
    assert found["BatchNormalizationTraining"] == found["BatchNormalizationGradient"] == 4
    assert found["VirtualGradient"] == 5
    assert not found["Relu"] + found["ReluGrad"] + found["ReluGradient"] + found["Sqrt"]


@pytest.mark.parametrize("target", TARGETS)
def test_without_anything_to_replace_there_is_none(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(
        models.regression(), folder, target=target, loss="mse", optimizer="sgd", verify=False
    )
    assert not (folder / TARGETS[target].fast_step).exists()


def attention() -> onnx.ModelProto:
    """A layer of a transformer: normalizations, attention with a scale, and each Gelu."""
    net = Network()
    width, tokens = 12, 5
    value = net.node("MatMul", "image", net.weight("embedding.weight", FEATURES, width))

    def normalized(name: str, value: str) -> str:
        scale, shift = (
            net.weight(f"{name}.scale", width, mean=1),
            net.weight(f"{name}.shift", width),
        )
        return net.node("LayerNormalization", value, scale, shift, axis=-1)

    def dense(name: str, value: str, inputs: int, outputs: int) -> str:
        product = net.node("MatMul", value, net.weight(f"{name}.weight", inputs, outputs))
        return net.node("Add", product, net.weight(f"{name}.bias", outputs))

    source = normalized("norm1", value)
    query, key, mixed = (dense(name, source, width, width) for name in ("query", "key", "value"))
    scores = net.node("MatMul", query, net.node("Transpose", key, perm=[0, 2, 1]))
    scale = net.constant("scale", np.array(width**-0.5, np.float32))
    weights = net.node("Softmax", net.node("Mul", scores, scale), axis=-1)
    value = net.node("Add", value, net.node("MatMul", weights, mixed))
    hidden = dense("up", normalized("norm2", value), width, 33)
    hidden = net.node("Gelu", hidden)
    hidden = net.node("Gelu", dense("between", hidden, 33, 17), approximate="tanh")
    value = net.node("Add", value, dense("down", hidden, 17, width))
    pooled = net.node("ReduceMean", value, net.constant("tokens", np.array([1])), keepdims=0)
    net.node("MatMul", pooled, net.weight("head.weight", width, CLASSES), output="logits")
    shapes = {"image": ("batch", tokens, FEATURES)}, {"logits": ("batch", CLASSES)}
    return net.model(*shapes, opset=20)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("differentiator", ["own", "onnxruntime"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_transformer_changes_as_by_standard_operators(
    target: str, differentiator: str, batch: int, tmp_path: Path
) -> None:
    if (target, differentiator) == ("onnx", "onnxruntime"):
        pytest.skip("of the target ort-training")
    model = attention()
    folder = converted(model, tmp_path / "artifacts", target, differentiator=differentiator)
    found = operators(folder, target)
    assert found["LayerNormalizationGradient"] == 2 and found["SoftmaxGradient"] == 1
    assert found["CrossEntropyGradient"] == 1
    if differentiator == "own":
        assert found["GeluGradient"] == found["LogisticUnitGradient"] == 1
    data = models.examples(model, count=batch)
    changes = []
    for kernels in ("fast", "standard"):
        trainer = svgd_onnx.Trainer(folder, kernels=kernels, threads=2)
        names = [item.name for item in trainer.manifest.parameters if item.trainable]
        before = {name: trainer.tensor(name).copy() for name in names}
        loss = trainer.train_step(data, RATE)
        changes.append({name: before[name] - trainer.tensor(name) for name in names})
    for name, wanted in changes[1].items():
        size = max(np.abs(wanted).max(), 1e-2)
        np.testing.assert_allclose(changes[0][name], wanted, atol=2e-5 * size, rtol=0, err_msg=name)
    assert np.isfinite(loss)


@pytest.mark.parametrize("option", OPTIONS)
def test_conversion_finds_both_forms_to_agree(
    option: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    assert_conversion_keeps_it(
        normalized(), tmp_path / "artifacts", recwarn.list, **OPTIONS[option]
    )


@pytest.mark.parametrize("target", TARGETS)
def test_a_loss_that_is_not_finite_leaves_all_as_it_was(target: str, tmp_path: Path) -> None:
    model = normalized()
    folder = converted(model, tmp_path / "artifacts", target)
    batch = models.examples(model, count=8)
    assert_a_spoiled_batch_changes_nothing(folder, batch, {**batch, "image": batch["image"].copy()})


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_wide_weights_are_products_of_ours(target: str, tmp_path: Path) -> None:
    folder = converted(wide(), tmp_path / "artifacts", target)
    assert operators(folder, target)["MatrixProduct"] == 2


@pytest.mark.parametrize("target", TARGETS)
def test_wide_layers_of_many_rows_are_products_of_ours_in_both_directions(
    target: str, tmp_path: Path
) -> None:
    model = of_many_rows()
    folder = converted(model, tmp_path / "artifacts", target)
    assert operators(folder, target)["MatrixProduct"] == 6
    assert_step_is_that_of_float64(model, folder, 1, TOLERANCE_OF_LONG_SUMS)


def test_a_product_of_no_depth_is_none_of_ours(tmp_path: Path) -> None:
    net = Network()
    nothing = net.constant("nothing", np.zeros((0, CLASSES), np.float32))
    of_nothing = net.node("MatMul", "empty", nothing)
    value = net.node("MatMul", "image", net.weight("w", FEATURES, CLASSES))
    net.node("Add", value, of_nothing, output="logits")
    inputs = {"image": ("batch", FEATURES), "empty": ("batch", 0)}
    model = net.model(inputs, {"logits": ("batch", CLASSES)})
    folder = tmp_path / "a"
    svgd_onnx.convert(model, folder, target="onnx", freeze=["nothing"], verify=False)
    assert operators(folder, "onnx")["MatrixProduct"] == 0


@pytest.mark.parametrize("target", TARGETS)
def test_an_embedding_that_is_a_layer_too_has_its_rows_added_where_the_layers_gradient_lies(
    target: str, tmp_path: Path
) -> None:
    model = tied()
    folder = converted(model, tmp_path / "artifacts", target)
    found = operators(folder, target)
    assert found["AddRows"] == found["MatrixProduct"] == 1
    assert not found["GatherGrad"] + found["ScatterElements"] + found["Sum"]
    data = models.examples(model, count=4)
    tables = []
    for kernels in ("fast", "standard"):
        trainer = svgd_onnx.Trainer(folder, kernels=kernels, threads=2)
        trainer.train_step(data, RATE)
        tables.append(trainer.tensor("table"))
    np.testing.assert_allclose(*tables, atol=1e-6, rtol=1e-5)
    assert not (tables[0] == svgd_onnx.Trainer(folder).tensor("table")).all(axis=1).any()


# In standard operators the loss reads what T's gradient is a product with.
KEPT = [
    ("fast", "svgd"),
    ("fast", "adamw"),
    ("fast", "momentum"),
    ("standard", "momentum"),
    ("standard", "adamw"),
]


@pytest.mark.parametrize(("kernels", "optimizer"), KEPT)
def test_a_large_gradient_is_looked_at_before_it_is_used(
    kernels: str, optimizer: str, tmp_path: Path
) -> None:
    """The rate waits for what looks at it; in fast forms, which write in place, the update for the loss."""
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(wide(), folder, target="onnx", optimizer=optimizer, verify=False)
    target = TARGETS["onnx"]
    graph = onnx.load(folder / (target.fast_step if kernels == "fast" else target.step)).graph
    makers = {name: node for node in graph.node for name in node.output}
    update, loss = makers["across.weight.new"], makers[graph.output[0].name]
    if kernels == "fast":
        operator = {"adamw": "AdaptiveDescent"}.get(optimizer, "Descent")
        assert update.op_type == operator and update.input[-1] == graph.output[0].name
        looks = [node for node in graph.node if "across.weight_grad" in node.input]
        assert any(set(node.output) & set(loss.input) for node in looks)
    else:
        nothing = makers[makers[makers[update.input[1]].input[0]].input[1]]
        operator = "ReduceSumSquare" if optimizer == "adamw" else "ReduceL1"
        assert makers[nothing.input[0]].op_type == operator


@pytest.mark.parametrize(("kernels", "optimizer"), [*KEPT, ("standard", "svgd")])
def test_a_large_gradient_that_is_not_finite_changes_nothing(
    kernels: str, optimizer: str, tmp_path: Path
) -> None:
    model = wide()
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(model, folder, target="onnx", optimizer=optimizer, verify=False)
    trainer = svgd_onnx.Trainer(folder, kernels=kernels, threads=1)
    trainer.set_tensors({"across.weight": trainer.tensor("across.weight") * np.float32(1e-36)})
    batch = models.examples(model, count=4)
    batch["image"] *= np.float32(1e36)
    assert np.isfinite(trainer.evaluate(batch)["loss"])
    names = [item.name for item in trainer.manifest.parameters]
    before = {name: trainer.tensor(name).tobytes() for name in names}
    with pytest.raises(svgd_onnx.UserError, match="not finite|became nan|infinite"):
        trainer.train_step(batch, 0.1)
    assert {name: trainer.tensor(name).tobytes() for name in names} == before


@pytest.mark.parametrize("target", TARGETS)
def test_cross_entropy_of_tokens_is_one_operator_and_nothing_is_transposed_for_it(
    target: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    net = Network()
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("in.weight", FEATURES, 9)))
    net.node("MatMul", value, net.weight("head.weight", 9, CLASSES), output="logits")
    model = net.model({"x": ("batch", 3, FEATURES)}, {"logits": ("batch", 3, CLASSES)})
    folder, tokens = tmp_path / "artifacts", svgd_onnx.LossSettings(class_axis=2)
    svgd_onnx.convert(
        model, folder, target=target, loss_settings=tokens
    )  # which verifies both forms
    assert not [warning for warning in recwarn.list if "left out" in str(warning.message)]
    assert operators(folder, target)["CrossEntropyGradient"] == 1
