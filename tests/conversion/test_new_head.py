"""A new last layer for another number of classes, and parameters that begin anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training.export import export

TARGETS = ["ort-training", "onnx"]
SEVEN = 7


def squeeze_net() -> onnx.ModelProto:
    """A head of 1x1 convolutions: image (batch, 2, 8, 8) -> probabilities (batch, 4)."""
    net = models.Network()
    value = net.node("Conv", "image", net.weight("body.weight", 3, 2, 3, 3), kernel_shape=[3, 3])
    value = net.node("Relu", value)
    value = net.node(
        "Conv", value, net.weight("head.weight", 4, 3, 1, 1), net.weight("head.bias", 4)
    )
    value = net.node("GlobalAveragePool", net.node("Relu", value))
    value = net.node("Reshape", value, net.constant("sizes", np.array([0, -1])))
    net.node("Softmax", value, output="probabilities", axis=1)
    return net.model({"image": ("batch", 2, 8, 8)}, {"probabilities": ("batch", 4)})


def two_layers(*tail: tuple[Any, ...], outputs: int = 4) -> onnx.ModelProto:
    """Dense, Relu, dense, and nodes behind that: x (batch, 6) -> y."""
    net = models.Network()
    value = net.node("Relu", net.node("MatMul", "x", net.weight("first", 6, 5)))
    value = net.node("MatMul", value, net.weight("head", 5, outputs), output="logits")
    for op_type, *inputs in tail:
        others = [
            net.constant(f"constant_{place}", each) if isinstance(each, np.ndarray) else each
            for place, each in enumerate(inputs)
        ]
        value = net.node(op_type, value, *others)
    net.nodes[-1].output[0] = "y"
    return net.model({"x": ("batch", 6)}, {"y": ("batch", outputs)})


HEADS = {
    "Gemm": models.mlp,
    "MatMul and Add": models.matmul_add,
    "a Conv before a pooling": squeeze_net,
    "a layer after a Flatten": models.convolutional,
    "MatMul alone": lambda: two_layers(),
    "a temperature": lambda: two_layers(("Mul", np.array([0.5], np.float32)), ("Softmax",)),
}


def data(model: onnx.ModelProto, classes: int, count: int = 16) -> dict[str, np.ndarray]:
    arrays = models.examples(model, count)
    arrays["labels"] = np.arange(count) % classes
    return arrays


def initial(folder: Path, name: str) -> np.ndarray:
    path = folder.parent / "initial.onnx"
    export(folder, path)
    found = {each.name: each for each in onnx.load(path).graph.initializer}
    return onnx.numpy_helper.to_array(found[name])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", HEADS)
def test_a_model_trains_evaluates_and_is_exported_with_its_new_head(
    name: str, target: str, tmp_path: Path
) -> None:
    model = HEADS[name]()
    manifest = svgd_onnx.convert(model, tmp_path / "a", target=target, num_classes=SEVEN)
    assert manifest.exported == "as it came" and manifest.outputs[0].shape == ["batch", SEVEN]
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    arrays = data(model, SEVEN)
    before = trainer.evaluate(arrays)["loss"]
    trainer.train(arrays, steps=20, batch_size=16, learning_rate=0.1)
    assert trainer.evaluate(arrays)["loss"] < before
    export(tmp_path / "a", tmp_path / "model.onnx")
    exported = onnx.load(tmp_path / "model.onnx")
    stated = exported.graph.output[0].type.tensor_type.shape.dim
    assert stated[-1].dim_value == SEVEN
    assert [each.op_type for each in exported.graph.node] == [
        each.op_type for each in model.graph.node
    ]
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    (given,) = session.run(None, {each.name: arrays[each.name] for each in session.get_inputs()})
    assert given.shape == (16, SEVEN)
    top = float((given.argmax(1) == arrays["labels"]).mean())
    assert top == pytest.approx(trainer.evaluate(arrays)["accuracy"])


def test_the_head_begins_with_numbers_of_he_and_a_bias_of_zeros(tmp_path: Path) -> None:
    model = two_layers(outputs=4)
    svgd_onnx.convert(model, tmp_path / "a", num_classes=4000, target="onnx", verify=False)
    weight = initial(tmp_path / "a", "head")
    assert weight.std() == pytest.approx((2 / 5) ** 0.5, rel=0.02)
    assert abs(weight.mean()) < 0.02
    svgd_onnx.convert(models.mlp(), tmp_path / "b", num_classes=SEVEN, target="onnx", verify=False)
    assert not initial(tmp_path / "b", "fc2.bias").any()


def test_a_seed_says_what_the_head_begins_with(tmp_path: Path) -> None:
    first, again, other = (
        _converted(tmp_path / name, init_seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_head_of_zeros(tmp_path: Path) -> None:
    assert not _converted(tmp_path / "a", init_head="zeros").any()


def _converted(folder: Path, **settings: Any) -> np.ndarray:
    svgd_onnx.convert(
        models.mlp(), folder, num_classes=SEVEN, target="onnx", verify=False, **settings
    )
    return initial(folder, "fc2.weight")


def test_the_other_parameters_stay_as_they_are(tmp_path: Path) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "a", num_classes=SEVEN, target="onnx", verify=False)
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert np.array_equal(initial(tmp_path / "a", "fc1.weight"), given["fc1.weight"])
    assert given["fc2.weight"].shape == (4, 5)


def test_what_train_names_is_trained_beside_the_head(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(
        models.mlp(), tmp_path / "a", num_classes=SEVEN, train=["fc1.bias"], target="onnx"
    )
    trained = {each.name for each in manifest.parameters if each.trainable}
    assert trained == {"fc1.bias", "fc2.weight", "fc2.bias"}


def test_labels_are_below_the_new_number_of_classes(tmp_path: Path) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "a", num_classes=3, target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    arrays = data(model, 3)
    trainer.train(arrays, steps=1, batch_size=4, learning_rate=0.1)
    arrays["labels"][5] = 3
    with pytest.raises(UserError, match="labels"):
        trainer.train(arrays, steps=2, batch_size=4, learning_rate=0.1)


def test_inspect_shows_the_new_head(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "model.onnx")
    found = svgd_onnx.inspect(tmp_path / "model.onnx", num_classes=SEVEN)
    assert found.refusal is None
    shapes = {each.name: each.shape for each in found.parameters}
    assert shapes["fc2.weight"] == [SEVEN, 5]


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    model = two_layers()
    for each in model.graph.initializer:
        half = onnx.numpy_helper.to_array(each).astype(np.float16)
        each.CopyFrom(onnx.numpy_helper.from_array(half, each.name))
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    svgd_onnx.convert(model, tmp_path / "a", num_classes=SEVEN, target="onnx")
    assert initial(tmp_path / "a", "head").dtype == np.float16


def tied() -> onnx.ModelProto:
    net = models.Network()
    weight = net.weight("tied", 5, 5)
    value = net.node("Relu", net.node("MatMul", "x", weight))
    net.node("MatMul", value, weight, output="y")
    return net.model({"x": ("batch", 5)}, {"y": ("batch", 5)})


REFUSED = {
    "a scale for each class": (
        lambda: two_layers(("Mul", np.ones(4, np.float32) * 2)),
        "Mul 'mul_3_node' stands before the prediction",
    ),
    "classes in a Reshape": (
        lambda: two_layers(("Reshape", np.array([-1, 4]))),
        "Reshape 'reshape_3_node' has its 4 classes among its sizes",
    ),
    "a tied weight": (tied, "'tied' is read by MatMul 'matmul_0_node' too"),
    "no weight": (models.shares, "Div 'y_node' stands before the prediction"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_such_head_is_refused(name: str, tmp_path: Path) -> None:
    build, why = REFUSED[name]
    with pytest.raises(UserError) as caught:
        svgd_onnx.convert(build(), tmp_path / "a", num_classes=SEVEN, target="onnx")
    assert str(caught.value).startswith("The model has no last layer that num_classes")
    assert why in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_a_quantized_head_is_refused(tmp_path: Path) -> None:
    model = two_layers()
    graph = model.graph
    weight = next(each for each in graph.initializer if each.name == "head")
    weight.CopyFrom(helper.make_tensor("head", onnx.TensorProto.INT8, [5, 4], list(range(20))))
    graph.initializer.append(helper.make_tensor("scale", onnx.TensorProto.FLOAT, [], [0.1]))
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["head", "scale"], ["real"]))
    graph.node[-1].input[1] = "real"
    with pytest.raises(UserError, match="the last layer, MatMul 'logits_node', is quantized"):
        svgd_onnx.convert(model, tmp_path / "a", num_classes=SEVEN, target="onnx")


def test_reset_gives_each_parameter_what_it_begins_with(tmp_path: Path) -> None:
    model = models.mlp()
    manifest = svgd_onnx.convert(
        model, tmp_path / "a", reset=["bn.*", "fc1.*"], target="onnx", verify=False
    )
    assert manifest.exported == "as it came"
    for name, value in (
        ("bn.scale", 1), ("bn.shift", 0), ("bn.mean", 0), ("bn.variance", 1), ("fc1.bias", 0),
    ):  # fmt: skip
        assert (initial(tmp_path / "a", name) == value).all(), name
    given = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert not np.array_equal(initial(tmp_path / "a", "fc1.weight"), given["fc1.weight"])
    assert np.array_equal(initial(tmp_path / "a", "fc2.weight"), given["fc2.weight"])


def test_reset_of_what_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reset 'nothing' matches no parameter of the model"):
        svgd_onnx.convert(models.mlp(), tmp_path / "a", reset=["nothing"], target="onnx")


def test_of_several_losses_none_has_a_new_head(tmp_path: Path) -> None:
    net = models.Network()
    value = net.node("Relu", net.node("MatMul", "x", net.weight("w", 6, 5)))
    net.node("MatMul", value, net.weight("one", 5, 4), output="first")
    net.node("MatMul", value, net.weight("other", 5, 3), output="second")
    model = net.model({"x": ("batch", 6)}, {"first": ("batch", 4), "second": ("batch", 3)})
    losses = {"first": "cross-entropy", "second": "mse"}
    with pytest.raises(UserError, match="num_classes is of one prediction, and loss names several"):
        svgd_onnx.convert(model, tmp_path / "a", num_classes=SEVEN, loss=losses, target="onnx")
    manifest = svgd_onnx.convert(model, tmp_path / "b", lora=2, loss=losses, target="onnx")
    assert manifest.lora is not None
    assert [each.weight for each in manifest.lora.adapters] == ["w"]
