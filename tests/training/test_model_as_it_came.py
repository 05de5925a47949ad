"""The exported model is the model as it came, its parameters trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.training import exported_model

COUNT = 8


@pytest.fixture(params=TARGETS)
def exported(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., tuple[svgd_onnx.Trainer, onnx.ModelProto]]:
    """Converts a model, trains two steps, exports; the exported model and the trainer."""

    def make(
        model: onnx.ModelProto, **options: object
    ) -> tuple[svgd_onnx.Trainer, onnx.ModelProto]:
        svgd_onnx.convert(model, tmp_path / "a", target=request.param, optimizer="sgd", **options)
        trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
        for _ in range(2):
            trainer.train_step(models.examples(model, COUNT), 0.1)
        trainer.export(tmp_path / "out.onnx")
        return trainer, onnx.load(tmp_path / "out.onnx")

    return make


def nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return list(model.graph.node)


def assert_runs_as_evaluated(trainer: svgd_onnx.Trainer, exported: onnx.ModelProto) -> None:
    """What the exported model gives is what the evaluation model gives."""
    batch = models.examples(exported, COUNT)
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    found = session.run(None, {name: batch[name] for name in names})[0]
    arrays = [batch[item.name] for item in trainer.manifest.arrays]
    expected = trainer._session.eval_step(arrays)[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [9, 13, 20, 22])
def test_nodes_and_opset_are_those_that_came(opset: int, exported: Callable) -> None:
    model = models.convolutional(opset)
    _, after = exported(model)
    assert nodes(after) == nodes(model)
    assert after.opset_import[0].version == opset


def test_a_weight_that_is_a_constant_node_becomes_an_initializer(exported: Callable) -> None:
    model = models.mlp()
    kept = [each for each in model.graph.initializer if each.name.startswith("bn.")]
    lifted = [each for each in model.graph.initializer if not each.name.startswith("bn.")]
    constants = [helper.make_node("Constant", [], [each.name], value=each) for each in lifted]
    others = nodes(model)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend([*constants, *others])
    trainer, after = exported(model, train=["fc*"])
    assert nodes(after) == others
    assert_runs_as_evaluated(trainer, after)


def test_equal_vectors_stored_once_come_out_as_one_each(exported: Callable) -> None:
    net = models.Network()
    net.constant("one", np.ones(5, np.float32))
    value = net.node("MatMul", "x", net.weight("first.weight", 6, 5))
    value = net.node("Mul", value, "one", output="first/scaled")
    value = net.node("MatMul", value, net.weight("second.weight", 5, 5))
    value = net.node("Mul", value, "one", output="second/scaled")
    net.node("MatMul", value, net.weight("head.weight", 5, 4), output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})
    trainer, after = exported(model)
    assert [node.op_type for node in nodes(after)] == [node.op_type for node in nodes(model)]
    assert len(after.graph.initializer) == 5
    assert_runs_as_evaluated(trainer, after)


def test_a_function_that_is_called_stays_a_function(exported: Callable) -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("first.weight", 6, 5))
    value = net.node("Squared", value, domain="own")
    net.node("MatMul", value, net.weight("head.weight", 5, 4), output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}, domains=["own"], check=False)
    square = helper.make_node("Mul", ["a", "a"], ["b"])
    opsets = [helper.make_opsetid("", models.OPSET)]
    model.functions.append(helper.make_function("own", "Squared", ["a"], ["b"], [square], opsets))
    trainer, after = exported(model)
    assert [node.op_type for node in nodes(after)] == ["MatMul", "Squared", "MatMul"]
    assert_runs_as_evaluated(trainer, after)


def test_a_weight_in_a_function_makes_it_the_canonical_form(exported: Callable) -> None:
    net = models.Network()
    value = net.node("Layer", "x", domain="own")
    net.node("MatMul", value, net.weight("head.weight", 5, 4), output="logits")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}, domains=["own"], check=False)
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(6, 5)).astype("f4"), "w")
    body = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
    ]
    opsets = [helper.make_opsetid("", models.OPSET)]
    model.functions.append(helper.make_function("own", "Layer", ["a"], ["b"], body, opsets))
    trainer, after = exported(model, train=["*"])
    assert [node.op_type for node in nodes(after)] == ["MatMul", "MatMul"]
    assert trainer.manifest.exported == "canonical form"
    assert_runs_as_evaluated(trainer, after)


def test_training_mode_comes_out_as_inference_mode(exported: Callable) -> None:
    model = models.mlp()
    (normalization,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    normalization.attribute.append(helper.make_attribute("training_mode", 1))
    normalization.output.extend(["bn.mean.new", "bn.variance.new"])
    _, after = exported(model)
    (normalization,) = (node for node in after.graph.node if node.op_type == "BatchNormalization")
    assert len(normalization.output) == 1
    assert "training_mode" not in [attribute.name for attribute in normalization.attribute]


def test_large_models_have_their_parameters_in_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "a", target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.export(tmp_path / "one.onnx")
    monkeypatch.setattr(exported_model, "_LARGEST_FILE", 100)
    trainer.export(tmp_path / "two.onnx")
    assert (tmp_path / "two.onnx.data").is_file()
    onnx.checker.check_model(tmp_path / "two.onnx")
    one, two = (
        {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
        for path in (tmp_path / "one.onnx", tmp_path / "two.onnx")
    )
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array)
