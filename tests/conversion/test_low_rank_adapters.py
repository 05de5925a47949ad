"""Low-rank adapters beside linear layers: trained and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
import quantized_models
from low_rank import NETWORKS, QUANTIZED, TARGETS, cross_entropy, predictions, trained, weights_of
from onnxruntime.quantization import QuantType
from safetensors.numpy import load_file

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training.adapter_file import export_adapter
from svgd_onnx.training.export import export


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_adapters_are_trained_and_added_to_the_weights(
    name: str, target: str, tmp_path: Path
) -> None:
    model = NETWORKS[name]()
    arrays, before, after = trained(model, tmp_path / "a", target=target, lora_alpha=4)
    assert after["loss"] < before["loss"] - 0.05
    export(tmp_path / "a", tmp_path / "model.onnx")
    exported = onnx.load(tmp_path / "model.onnx")
    assert [each.op_type for each in exported.graph.node] == [
        each.op_type for each in model.graph.node
    ]
    given = predictions(tmp_path / "model.onnx", arrays)
    logits = model.graph.output[0].name != "probabilities"
    loss = cross_entropy(given, arrays["labels"], logits=logits)
    assert loss == pytest.approx(after["loss"], abs=1e-5)


def test_what_stands_beside_no_adapter_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    model = models.residual()
    trained(model, tmp_path / "a")
    export(tmp_path / "a", tmp_path / "model.onnx")
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = weights_of(tmp_path / "model.onnx")
    assert found.keys() == given.keys()
    adapted = {"stem.weight", "conv1.weight", "conv2.weight"}
    for name, array in given.items():
        assert np.array_equal(found[name], array) == (name not in adapted), name


@pytest.mark.parametrize("target", TARGETS)
def test_the_weights_themselves_are_frozen(target: str, tmp_path: Path) -> None:
    model = models.mlp()
    trained(model, tmp_path / "a", target=target)
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    for each in trainer.manifest.parameters:
        if each.name in given:
            assert np.array_equal(trainer._session.tensor(each.name), given[each.name]), each.name


def test_the_first_prediction_is_that_of_the_model(tmp_path: Path) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "a", lora=3, target="onnx")
    export(tmp_path / "a", tmp_path / "model.onnx")
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    for name, array in weights_of(tmp_path / "model.onnx").items():
        assert np.array_equal(array, given[name]), name


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_of_sgd_is_that_of_float64(target: str, tmp_path: Path) -> None:
    """One MatMul under the mean squared error: W frozen, A and B by their gradients."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    settings = {"loss": "mse", "optimizer": "sgd", "lora_targets": ["w"], "target": target}
    svgd_onnx.convert(model, tmp_path / "a", lora=2, lora_alpha=6, **settings)
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(8, size)).astype(np.float32) for size in (6, 4))
    export_adapter(tmp_path / "a", tmp_path / "before")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.train({"x": x, "target": y}, steps=2, batch_size=8, learning_rate=0.1)
    export_adapter(tmp_path / "a", tmp_path / "after")
    start, end = load_file(tmp_path / "before"), load_file(tmp_path / "after")
    w = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    a, b = (start[f"w.lora_{factor}"].astype(np.float64) for factor in "AB")
    assert not b.any() and np.abs(a).max() <= 1 / np.sqrt(6)
    for _ in range(2):
        dy = 2 * (x @ w + 3 * (x @ a) @ b - y) / y.size
        da, db = 3 * x.T @ (dy @ b.T), 3 * (x @ a).T @ dy
        a, b = a - 0.1 * da, b - 0.1 * db
    assert end["w.lora_A"] == pytest.approx(a, abs=1e-6)
    assert end["w.lora_B"] == pytest.approx(b, abs=1e-6)


def test_t_acts_on_both_factors(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(models.mlp(), tmp_path / "a", lora=2, target="onnx")
    states = {each.parameter: each.state_shape for each in manifest.operations if each.state}
    assert states == {"fc1.weight.lora_A": [2], "fc1.weight.lora_B": [5]}


def test_a_new_head_and_what_train_names_are_trained_beside(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        models.mlp(), tmp_path / "a", lora=2, num_classes=7, train=["bn.*"], target="onnx"
    )
    assert {each.name for each in manifest.parameters if each.trainable} == {
        "fc1.weight.lora_A", "fc1.weight.lora_B", "fc2.weight", "fc2.bias", "bn.scale", "bn.shift",
    }  # fmt: skip


def test_targets_are_named_by_weights_or_nodes(tmp_path: Path) -> None:
    for place, glob in enumerate(("fc2.*", "gemm_3_node")):
        manifest = svgd_onnx.convert(
            models.mlp(), tmp_path / str(place), lora=1, lora_targets=[glob], target="onnx"
        )
        assert manifest.lora is not None
        assert [each.weight for each in manifest.lora.adapters] == ["fc2.weight"]


def test_targets_are_named_by_the_modules_that_pytorch_says(tmp_path: Path) -> None:
    model = models.mlp()
    scopes = "['', 'encoder.0', 'encoder.0.query', 'linear']"
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", scopes
    manifest = svgd_onnx.convert(
        model, tmp_path / "a", lora=1, lora_targets=["*.query"], target="onnx"
    )
    assert manifest.lora is not None
    assert [each.weight for each in manifest.lora.adapters] == ["fc1.weight"]


def test_a_weight_of_several_layers_has_one_adapter(tmp_path: Path) -> None:
    net = models.Network()
    weight = net.weight("shared", 5, 5)
    value = net.node("Tanh", net.node("MatMul", "x", weight))
    value = net.node("Tanh", net.node("MatMul", value, weight))
    net.node("MatMul", value, net.weight("head", 5, 4), output="logits")
    model = net.model({"x": ("batch", 5)}, {"logits": ("batch", 4)})
    arrays, before, after = trained(model, tmp_path / "a")
    assert after["loss"] < before["loss"]
    export(tmp_path / "a", tmp_path / "model.onnx")
    given = predictions(tmp_path / "model.onnx", arrays)
    loss = cross_entropy(given, arrays["labels"], logits=True)
    assert loss == pytest.approx(after["loss"], abs=1e-5)


def test_weights_of_sixteen_bits(tmp_path: Path) -> None:
    model = models.matmul_add()
    for each in model.graph.initializer:
        half = onnx.numpy_helper.to_array(each).astype(np.float16)
        each.CopyFrom(onnx.numpy_helper.from_array(half, each.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    arrays, before, after = trained(model, tmp_path / "a")
    assert after["loss"] < before["loss"]
    export(tmp_path / "a", tmp_path / "model.onnx")
    assert weights_of(tmp_path / "model.onnx")["fc1.weight"].dtype == np.float16
    halves = {"x": arrays["x"].astype(np.float16)}
    given = predictions(tmp_path / "model.onnx", halves).astype(np.float32)
    loss = cross_entropy(given, arrays["labels"], logits=True)
    assert loss == pytest.approx(after["loss"], abs=5e-3)


@pytest.mark.parametrize("name", QUANTIZED)
def test_beside_quantized_weights_adapters_stay_nodes(name: str, tmp_path: Path) -> None:
    model = QUANTIZED[name]()
    arrays, before, after = trained(model, tmp_path / "a")
    assert after["loss"] < before["loss"]
    export(tmp_path / "a", tmp_path / "model.onnx")
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    found = weights_of(tmp_path / "model.onnx")
    for name, array in given.items():
        if array.dtype != np.float32:
            assert np.array_equal(found[name], array), name
    loss = cross_entropy(
        predictions(tmp_path / "model.onnx", arrays), arrays["labels"], logits=True
    )
    assert loss == pytest.approx(after["loss"], abs=1e-5)
    with pytest.raises(UserError, match="leave out requantize, or convert with quantized"):
        export(tmp_path / "a", tmp_path / "other.onnx", requantize=True)


def test_requantized_weights_take_in_their_adapters(tmp_path: Path) -> None:
    model = quantized_models.statically(
        models.mlp, tmp_path, per_channel=True, weights=QuantType.QInt8
    )
    arrays, _, after = trained(model, tmp_path / "a", quantized="straight-through")
    export(tmp_path / "a", tmp_path / "beside.onnx")
    export(tmp_path / "a", tmp_path / "within.onnx", requantize=True)
    beside, within = (
        predictions(tmp_path / f"{name}.onnx", arrays) for name in ("beside", "within")
    )
    loss = cross_entropy(beside, arrays["labels"], logits=False)
    assert loss == pytest.approx(after["loss"], abs=1e-3)  # probabilities come out quantized
    kinds = [each.op_type for each in onnx.load(tmp_path / "within.onnx").graph.node]
    assert kinds == [each.op_type for each in model.graph.node]
    assert np.abs(within - beside).max() < 0.02


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nothing of that name": (models.mlp, {"lora_targets": ["x*"]}, "'x\\*' matches no weight"),
    "groups": (
        models.large_outputs,
        {"lora_targets": ["conv2.*"]},
        "'conv2.weight' is of a Conv with groups",
    ),
    "two ways": (models.shared_weight, {"lora_targets": ["shared.*"]}, "is read in several ways"),
    "the new head": (
        models.mlp,
        {"lora_targets": ["fc2.weight"], "num_classes": 7},
        "names 'fc2.weight', which is the new head's",
    ),
    "targets alone": (models.mlp, {"lora": None, "lora_targets": ["fc1.*"]}, "give lora too"),
    "no rank": (models.mlp, {"lora": 0}, "lora is 0, but must be a rank, 1 or more"),
    "a rank of none": (models.mlp, {"lora": 10_000}, r"lora is 10,000, .* of a rank above \d+"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_adapter_can_stand_beside_is_refused(name: str, tmp_path: Path) -> None:
    build, settings, why = REFUSED[name]
    with pytest.raises(UserError, match=why):
        svgd_onnx.convert(build(), tmp_path / "a", **{"lora": 2, "target": "onnx", **settings})


def test_inspect_shows_adapters(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    found = svgd_onnx.inspect(tmp_path / "model.onnx", lora=2)
    assert found.refusal is None
    assert [each.name for each in found.parameters if each.trainable] == [
        "fc1.weight.lora_A",
        "fc1.weight.lora_B",
    ]


def test_conversion_verifies_both_factors(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(models.convolutional(), tmp_path / "a", lora=2, target="onnx")
    assert manifest.verified is not None and not manifest.verified.unresolved


@pytest.mark.filterwarnings("error::svgd_onnx.errors.Advice")
def test_the_first_gradient_of_zero_is_nothing_to_warn_of(tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", lora=2, target="onnx")
