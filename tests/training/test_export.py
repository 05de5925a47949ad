"""The exported model is plain ONNX and says what the training session says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.targets import TARGETS

COUNT = 24


@pytest.mark.parametrize("opset", [9, 13, 17, 20])
@pytest.mark.parametrize("network", [models.mlp, models.convolutional, models.residual])
def test_the_exported_model_has_the_accuracy_of_evaluation(
    network: Callable[[int], onnx.ModelProto], opset: int, trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    model = network(opset)
    data = models.examples(model, COUNT)
    trainer = trainer_of(model)
    trainer.train(data, epochs=3, batch_size=8, learning_rate=0.1)
    path = tmp_path / "trained.onnx"
    trainer.export(path)
    session = onnxruntime.InferenceSession(path)
    (name,) = (value.name for value in model.graph.input)
    (output,) = session.run(None, {name: data[name]})
    accuracy = float(np.mean(output.argmax(axis=1) == data["labels"]))
    assert accuracy == trainer.evaluate(data)["accuracy"]


def test_inputs_outputs_and_operators_are_those_of_the_model_that_went_in(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    model = models.mlp()
    trainer = trainer_of(model)
    trainer.export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(exported, full_check=True)
    for field in ("input", "output"):
        before, after = (getattr(item.graph, field) for item in (model, exported))
        assert [value.name for value in before] == [value.name for value in after]
    assert [node.op_type for node in exported.graph.node] == [
        node.op_type for node in model.graph.node
    ]
    assert exported.graph.node[-1].op_type == "Softmax"
    assert {item.domain for item in exported.opset_import} == {""}


def test_an_untrained_model_comes_out_with_the_weights_that_went_in(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    model = models.residual()
    trainer_of(model).export(tmp_path / "out.onnx")
    exported = onnx.load(tmp_path / "out.onnx")
    weights = {item.name: item for item in exported.graph.initializer}
    for initializer in model.graph.initializer:
        np.testing.assert_array_equal(
            onnx.numpy_helper.to_array(initializer),
            onnx.numpy_helper.to_array(weights[initializer.name]),
        )


def test_training_moves_the_running_statistics_of_the_exported_model(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    model = models.mlp()
    trainer = trainer_of(model)
    data = models.examples(model, COUNT)
    trainer.train(data, epochs=1, batch_size=8, learning_rate=0.1)
    trainer.export(tmp_path / "out.onnx")
    weights = {
        item.name: onnx.numpy_helper.to_array(item)
        for item in onnx.load(tmp_path / "out.onnx").graph.initializer
    }
    assert np.abs(weights["bn.mean"]).min() > 0
    np.testing.assert_array_equal(weights["bn.variance"], trainer.tensor("bn.variance"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_that_has_diverged_is_not_written(
    target: str, trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="logits")
    model = net.model({"x": ("N", 6)}, {"logits": ("N", 4)})
    trainer = trainer_of(model, target=target, optimizer="sgd")
    batch = models.examples(model, 8)
    trainer.train_step(batch, 0.1)
    trainer.train_step({**batch, "x": batch["x"] * 100}, 3e38)
    assert np.isinf(trainer.tensor("w")).any()
    for write in (trainer.export, lambda _: trainer.predict(batch)):
        with pytest.raises(svgd_onnx.UserError, match="became"):
            write(tmp_path / "trained.onnx")
    assert not (tmp_path / "trained.onnx").exists()
