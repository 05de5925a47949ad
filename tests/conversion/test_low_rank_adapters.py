"""Low-rank adapters beside linear layers: trained, exported, kept in a file of their own, and put on again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
import quantized_models
from onnxruntime.quantization import QuantType
from safetensors.numpy import load_file, save_file

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training.adapter_file import export_adapter
from svgd_onnx.training.export import export

TARGETS = ["ort-training", "onnx"]

NETWORKS = {
    "Gemm, weights (outputs, inputs)": models.mlp,
    "MatMul, weights (inputs, outputs)": models.matmul_add,
    "Conv": models.convolutional,
    "Conv before BatchNormalization": models.residual,
}


def weights_of(path: Path) -> dict[str, np.ndarray]:
    return {
        each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer
    }


def predictions(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()  # its products of integers round in places of their own
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    (given,) = session.run(None, {each.name: arrays[each.name] for each in session.get_inputs()})
    return given


def cross_entropy(given: np.ndarray, labels: np.ndarray, *, logits: bool) -> float:
    if logits:
        given = np.exp(given - given.max(1, keepdims=True))
        given = given / given.sum(1, keepdims=True)
    return float(-np.log(given[np.arange(len(labels)), labels]).mean())


def trained(
    model: onnx.ModelProto | Path, folder: Path, rate: float = 0.3, **settings: Any
) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, float]]:
    """Converts and trains: the data, and what `evaluate` gives before and after."""
    svgd_onnx.convert(model, folder, **{"lora": 2, "target": "onnx", **settings})
    proto = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
    arrays = models.examples(proto, 32)
    trainer = svgd_onnx.Trainer(folder)
    before = trainer.evaluate(arrays)
    trainer.train(arrays, steps=50, batch_size=32, learning_rate=rate)
    return arrays, before, trainer.evaluate(arrays)


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


QUANTIZED = {
    "DequantizeLinear": quantized_models.trunk,
    "MatMulNBits": lambda: quantized_models.few_bits(4, zero_points=True),
}


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


@pytest.mark.parametrize("name", [*NETWORKS, *QUANTIZED])
def test_an_adapter_is_put_on_the_model_again(name: str, tmp_path: Path) -> None:
    onnx.save({**NETWORKS, **QUANTIZED}[name](), tmp_path / "base.onnx")
    arrays, *_ = trained(tmp_path / "base.onnx", tmp_path / "a")
    export(tmp_path / "a", tmp_path / "exported.onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    assert all("lora" in each for each in load_file(tmp_path / "tuned.safetensors"))
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    exported, applied = (
        weights_of(tmp_path / "exported.onnx"),
        weights_of(tmp_path / "applied.onnx"),
    )
    assert exported.keys() == applied.keys()
    assert all(np.array_equal(exported[each], applied[each]) for each in exported)
    assert np.array_equal(
        predictions(tmp_path / "exported.onnx", arrays),
        predictions(tmp_path / "applied.onnx", arrays),
    )


def test_a_new_head_goes_with_its_adapter(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "base.onnx")
    trained(tmp_path / "base.onnx", tmp_path / "a", num_classes=7, train=["bn.*"])
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.export(tmp_path / "exported.onnx")
    trainer.export_adapter(tmp_path / "tuned.safetensors")
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    exported, applied = (
        weights_of(tmp_path / "exported.onnx"),
        weights_of(tmp_path / "applied.onnx"),
    )
    assert all(np.array_equal(exported[each], applied[each]) for each in exported)
    shape = onnx.load(tmp_path / "applied.onnx").graph.output[0].type.tensor_type.shape
    assert shape.dim[1].dim_value == 7


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "base.onnx")
    svgd_onnx.convert(tmp_path / "base.onnx", tmp_path / "a", lora=2, target="onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    onnx.save(models.matmul_add(), tmp_path / "other.onnx")

    def applied(model: Path | onnx.ModelProto) -> None:
        svgd_onnx.apply_adapter(model, tmp_path / "tuned.safetensors", tmp_path / "applied.onnx")

    with pytest.raises(UserError, match=r"trained over another model than .*its SHA-256 is"):
        applied(tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"'fc1.weight' is of the shape \[6, 5\] in the model"):
        applied(models.matmul_add())
    with pytest.raises(UserError, match="the model has no layer of 'fc1.weight'"):
        applied(models.large_outputs())
    assert not (tmp_path / "applied.onnx").exists()


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    for name, why in (("other", "is none of svgd-onnx's adapters"), ("damaged", "is damaged")):
        with pytest.raises(UserError, match=why):
            svgd_onnx.apply_adapter(
                models.mlp(), tmp_path / f"{name}.safetensors", tmp_path / "applied.onnx"
            )
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    with pytest.raises(UserError, match="has no adapters: convert with lora"):
        export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")


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
    "no rank": (models.mlp, {"lora": 0}, "lora is 0, but must be 1 or more"),
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
