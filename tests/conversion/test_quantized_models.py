"""What is quantized stays as it is, and what follows it is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
import quantized_models
from onnx import numpy_helper

import svgd_onnx
from svgd_onnx.targets import TARGETS

FORMS = {"pairs": quantized_models.trunk, "casts": quantized_models.cast_weights}


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def trained(
    model: onnx.ModelProto, folder: Path, **options: object
) -> tuple[svgd_onnx.Manifest, onnx.ModelProto]:
    """The manifest, and the model that comes out after two steps."""
    manifest = svgd_onnx.convert(model, folder / "a", optimizer="sgd", **options)
    trainer = svgd_onnx.Trainer(folder / "a", threads=1)
    for _ in range(2):
        trainer.train_step(models.examples(model, 8), 0.1)
    trainer.export(folder / "out.onnx")
    return manifest, onnx.load(folder / "out.onnx")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_float32_is_trained_and_all_else_comes_out_as_it_was(
    form: str, target: str, tmp_path: Path
) -> None:
    model = FORMS[form]()
    manifest, exported = trained(model, tmp_path, target=target)
    names = [each.name for each in manifest.parameters if each.trainable]
    assert all(name.startswith("head.") for name in names)
    assert list(exported.graph.node) == list(model.graph.node)
    for name, before in weights(model).items():
        after = weights(exported)[name]
        assert after.dtype == before.dtype
        assert (after != before).any() == (name in names)


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_gradients_behind_quantized_layers_are_right(opset: int) -> None:
    checks = svgd_onnx.check(quantized_models.trunk(opset))
    assert [each.parameter for each in checks] == ["head.weight", "head.bias"]
    assert max(each.error for each in checks) < 1e-4


@pytest.mark.parametrize("name", ["w.int8", "w.float"])
def test_a_quantized_weight_that_is_named_becomes_float32(name: str, tmp_path: Path) -> None:
    model = quantized_models.cast_weights()
    manifest, exported = trained(model, tmp_path, target="onnx", train=[name])
    assert [each.name for each in manifest.parameters if each.trainable] == ["w.float"]
    assert [node.op_type for node in exported.graph.node] == ["Mul", "MatMul", "MatMul"]
    assert weights(exported)["w.float"].dtype == np.float32


def test_a_dequantized_weight_that_is_named_is_what_the_standard_says(tmp_path: Path) -> None:
    model = quantized_models.trunk()
    svgd_onnx.convert(model, tmp_path / "a", target="onnx", train=["w.int8"])
    before = weights(model)
    expected = before["w.int8"].astype(np.float64) * before["w.scale"][:, None, None, None]
    np.testing.assert_allclose(svgd_onnx.Trainer(tmp_path / "a").tensor("w"), expected, rtol=1e-6)


def test_a_scale_is_trained_if_it_is_named(tmp_path: Path) -> None:
    model = quantized_models.cast_weights()
    checks = svgd_onnx.check(model, train=["w.scale"])
    assert max(each.error for each in checks) < 1e-4
    _, exported = trained(model, tmp_path, target="onnx", train=["w.scale"])
    assert list(exported.graph.node) == list(model.graph.node)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("network", "after"), [(models.mlp, "fc2.bias"), (models.convolutional, "fc.bias")]
)
def test_what_follows_dynamic_quantization_is_trained(
    network: Callable[[], onnx.ModelProto], after: str, target: str, tmp_path: Path
) -> None:
    model = quantized_models.dynamically(network, tmp_path)
    manifest, exported = trained(model, tmp_path, target=target, train=[after])
    assert [each.name for each in manifest.parameters if each.trainable] == [after]
    assert list(exported.graph.node) == list(model.graph.node)


@pytest.mark.parametrize("target", TARGETS)
def test_what_comes_before_it_is_refused_by_name(target: str, tmp_path: Path) -> None:
    model = quantized_models.dynamically(models.mlp, tmp_path)
    with pytest.raises(
        svgd_onnx.UserError, match=r"loss: DynamicQuantizeLinear \('relu_2.*fc2.bias"
    ):
        svgd_onnx.convert(model, tmp_path / "a", target=target)


def test_a_quantization_beside_another_way_to_the_loss_is_refused_too(tmp_path: Path) -> None:
    net = models.Network()
    net.constant("scale", np.array(0.1, np.float32))
    net.constant("zero", np.array(0, np.int8))
    value = net.node("MatMul", "x", net.weight("first.weight", 6, 4))
    rounded = net.node("QuantizeLinear", value, "scale", "zero")
    rounded = net.node("DequantizeLinear", rounded, "scale", "zero")
    net.node("Add", value, rounded, output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})
    for differentiator in ("own", "auto"):
        with pytest.raises(svgd_onnx.UserError, match=r"QuantizeLinear \('quantizelinear_1_node"):
            svgd_onnx.convert(model, tmp_path / "a", differentiator=differentiator)


def test_a_model_of_quantized_weights_alone_has_nothing_to_train(tmp_path: Path) -> None:
    model = quantized_models.statically(
        models.mlp, tmp_path, per_channel=False, weights=quantized_models.QuantType.QInt8
    )
    with pytest.raises(svgd_onnx.UserError, match="its weights are quantized \\('fc1.weight_quan"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")


def test_a_scale_is_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(quantized_models.trunk(), path)
    roles = {each.name: each for each in svgd_onnx.inspect(path).tensors}
    assert roles["w.scale"].role == "constant"
    assert roles["w.scale"].reason == "a scale of quantized numbers"
    assert roles["w.scale"].decide_with == "train"


@pytest.mark.parametrize("zero_points", [False, True])
def test_gradients_through_products_of_few_bits_are_right(zero_points: bool) -> None:
    checks = svgd_onnx.check(quantized_models.few_bits(4, zero_points=zero_points))
    assert {each.parameter for each in checks} == {"first.weight", "bias", "head.weight"}
    assert max(each.error for each in checks) < 1e-4


@pytest.mark.parametrize("target", TARGETS)
def test_what_comes_before_and_after_products_of_few_bits_is_trained(
    target: str, tmp_path: Path
) -> None:
    model = quantized_models.few_bits(4, zero_points=True)
    manifest, exported = trained(model, tmp_path, target=target)
    names = {each.name for each in manifest.parameters if each.trainable}
    assert names == {"first.weight", "bias", "head.weight"}
    assert list(exported.graph.node) == list(model.graph.node)
    for name, array in weights(model).items():
        assert (weights(exported)[name] != array).any() == (name in names)
