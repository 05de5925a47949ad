"""Segments of the forward pass that are computed again: the same numbers, from fewer kept values."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from conftest import MakeTrainer
from onnx import helper

import svgd_onnx
from svgd_onnx.runtime import has_training
from svgd_onnx.transforms.recompute import Recompute
from svgd_onnx.transforms.recompute.memory import owner

TARGETS = ["onnx", *(["ort-training"] if has_training() else [])]
NETWORKS = ("mlp", "convolutional", "residual", "sequence")


def chain(layers: int, dropout: float = 0.0) -> onnx.ModelProto:
    """image (batch, 16) -> logits (batch, 16): MatMul, Tanh, and Dropout if it drops."""
    network = models.Network()
    value = "image"
    for layer in range(layers):
        weight = network.weight(f"weight{layer}", 16, 16)
        value = network.node("Tanh", network.node("MatMul", value, weight))
        if dropout:
            ratio = network.constant(f"ratio{layer}", np.array(dropout, np.float32))
            value = network.node("Dropout", value, ratio)
    return network.model({"image": ("batch", 16)}, {value: ("batch", 16)})


def recurrent(steps: int) -> onnx.ModelProto:
    """image (batch, steps, 4) -> logits (batch, 8): an LSTM's last state."""
    network = models.Network()
    value = network.node("Transpose", "image", perm=[1, 0, 2])
    weights = [
        network.weight(name, 1, *shape)
        for name, shape in (("W", (32, 4)), ("R", (32, 8)), ("B", (64,)))
    ]
    network.nodes.append(
        helper.make_node("LSTM", [value, *weights], ["", "last"], name="lstm", hidden_size=8)
    )
    axes = network.constant("axes", np.array([0], np.int64))
    value = network.node("Squeeze", "last", axes)
    return network.model({"image": ("batch", steps, 4)}, {value: ("batch", 8)})


def trained(
    make: MakeTrainer, model: onnx.ModelProto, batch: dict[str, np.ndarray], **options: object
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses of some steps, and the parameters after them."""
    trainer = make(model, **options)
    losses = [trainer.train_step(batch, 0.05) for _ in range(3)]
    names = [each.name for each in trainer.manifest.parameters]
    return losses, {name: np.array(trainer.tensor(name)) for name in names}


class TestSameNumbers:
    @pytest.mark.parametrize("target", TARGETS)
    @pytest.mark.parametrize("network", NETWORKS)
    def test_losses_and_parameters(
        self, network: str, target: str, trainer_of: MakeTrainer
    ) -> None:
        model = getattr(models, network)()
        batch = models.examples(model)
        losses, tensors = trained(trainer_of, model, batch, target=target)
        again, others = trained(trainer_of, model, batch, target=target, recompute=True)
        assert again == losses
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(others[name], tensor)

    @pytest.mark.parametrize("target", TARGETS)
    def test_dropout_drops_the_same(self, target: str, trainer_of: MakeTrainer) -> None:
        model = chain(8, dropout=0.3)
        batch = {
            "image": np.random.default_rng(0).standard_normal((6, 16), np.float32),
            "labels": np.arange(6),
        }
        losses, tensors = trained(trainer_of, model, batch, target=target)
        again, others = trained(trainer_of, model, batch, target=target, recompute=True)
        assert again == losses
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(others[name], tensor)

    def test_of_a_long_sequence(self, trainer_of: MakeTrainer) -> None:
        model = recurrent(40)
        batch = {
            "image": np.random.default_rng(0).standard_normal((3, 40, 4), np.float32),
            "labels": np.arange(3),
        }
        losses, tensors = trained(trainer_of, model, batch, target="onnx")
        again, others = trained(trainer_of, model, batch, target="onnx", recompute=True)
        assert again == pytest.approx(losses, rel=1e-6)
        for name, tensor in tensors.items():
            np.testing.assert_allclose(others[name], tensor, rtol=1e-5, atol=1e-6)


class TestSurvivesOptimization:
    def test_copies_are_still_there(self, tmp_path: Path, trainer_of: MakeTrainer) -> None:
        """onnxruntime at its default level merges equal nodes and folds constants."""
        trainer_of(chain(16), target="onnx", optimizer="sgd", recompute=True)
        (step,) = tmp_path.rglob("training_step.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        onnxruntime.InferenceSession(str(step), options, providers=["CPUExecutionProvider"])
        counts = [
            sum(node.op_type == "Tanh" for node in onnx.load(path).graph.node)
            for path in (step, tmp_path / "optimized.onnx")
        ]
        assert counts[0] > 16 and counts[1] == counts[0]


class TestKeeps:
    def test_fewer_values(self, tmp_path: Path, trainer_of: MakeTrainer) -> None:
        """Of a chain of n equal layers about sqrt(n) values are read by both passes."""
        trainer_of(chain(36), target="onnx", optimizer="sgd", recompute=True)
        (step,) = tmp_path.rglob("training_step.onnx")
        model = ir.load(step)
        kept = {
            owner(value)
            for node in model.graph
            if node.op_type == "Reshape" and node.outputs[0].name.startswith("again_")
            for value in node.inputs[:1]
            if value.producer() is not None and value.producer().op_type == "Tanh"
        }
        assert 3 <= len(kept) <= 12

    def test_a_model_without_a_batch_as_it_is(
        self, tmp_path: Path, trainer_of: MakeTrainer
    ) -> None:
        trainer_of(chain(6), target="onnx", optimizer="sgd")
        (step,) = tmp_path.rglob("training_step.onnx")
        model = ir.load(step)
        gradient = next(name for name in model.graph.initializers if name.endswith("loss_grad"))
        assert gradient
        assert not Recompute([])(model).modified


@pytest.mark.parametrize("target", TARGETS)
def test_a_transformer_in_both_forms(
    target: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Gradients are read for their sizes, and additions by a normalization alone, whose statistics are."""
    model = Path(__file__).parents[2] / "fixtures" / "gpt2_transformers_dynamo.onnx"
    manifest = svgd_onnx.convert(model, tmp_path / "a", target=target, recompute=True)
    assert manifest.verified is not None
    assert not [str(each.message) for each in recwarn if "left out" in str(each.message)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("layers", "helps"), [(1, False), (16, True)])
def test_it_is_said_where_it_changes_nothing(
    layers: int, helps: bool, target: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "chain.onnx"
    onnx.save(chain(layers), path)
    svgd_onnx.convert(path, tmp_path / "a", target=target, recompute=True)
    said = [
        str(each.message) for each in recwarn if "recompute changes nothing" in str(each.message)
    ]
    assert len(said) == (0 if helps else 1)
