"""Models that onnxruntime's optimizer rewrote: trained, and beside the fused operators themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from fused_models import bert, bert_batch
from onnx import helper, numpy_helper

import svgd_onnx


def loss_of(
    model: onnx.ModelProto, values: dict[str, np.ndarray], batch: dict[str, np.ndarray]
) -> float:
    """Cross-entropy of what onnxruntime's fused kernels give, with other weights."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    session = onnxruntime.InferenceSession(changed.SerializeToString())
    (logits,) = session.run(["y"], {name: batch[name] for name in ("ids", "segments", "mask")})
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    chances = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -float(chances[np.arange(len(chances)), batch["labels"]].mean())


def operators(model: onnx.ModelProto) -> list[tuple[str, str]]:
    return [(node.domain, node.op_type) for node in model.graph.node]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_a_fused_encoder_trains_as_its_kernels_compute(tmp_path: Path, target: str) -> None:
    model, batch = bert(256), bert_batch(4)
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, optimizer="sgd")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    trained = [each.name for each in trainer.manifest.parameters if each.trainable]
    weights = {tensor.name for tensor in model.graph.initializer} - {"first"}
    assert set(trained) == weights
    before = {name: trainer.tensor(name) for name in trained}
    loss = trainer.train_step(batch, 1.0)
    assert loss == pytest.approx(loss_of(model, {}, batch), rel=1e-5)
    gradient = {name: before[name] - trainer.tensor(name) for name in trained}
    square = sum(float((each.astype(np.float64) ** 2).sum()) for each in gradient.values())
    step = 0.02 / square
    sides = [
        loss_of(
            model, {name: before[name] + sign * step * gradient[name] for name in trained}, batch
        )
        for sign in (1, -1)
    ]
    assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(square, rel=1e-2)


def test_fused_operators_come_out_as_they_went_in(tmp_path: Path) -> None:
    model, batch = bert(32), bert_batch(4)
    svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    for _ in range(3):
        trainer.train_step(batch, 0.01)
    trainer.export(tmp_path / "trained.onnx")
    trained = onnx.load(tmp_path / "trained.onnx")
    assert operators(trained) == operators(model)
    expected = trainer.evaluate(batch)["loss"]
    assert loss_of(trained, {}, batch) == pytest.approx(expected, rel=1e-5)


def test_scales_that_are_stored_once_are_trained_apart(tmp_path: Path) -> None:
    """As in a model that is not trained yet: ones, and zeros."""
    model = bert(32, layers=1)
    names = {"scale": np.ones(32, np.float32), "shift": np.zeros(32, np.float32)}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name.rpartition(".")[2] in names:
                node.input[place] = name.rpartition(".")[2]
    kept = [each for each in model.graph.initializer if each.name.rpartition(".")[2] not in names]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(each, name) for name, each in names.items()
    )
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")
    assert sum(each.shape == [32] and each.trainable for each in manifest.parameters) == 6 + 2
    svgd_onnx.Trainer(tmp_path / "artifacts").export(tmp_path / "trained.onnx")
    assert operators(onnx.load(tmp_path / "trained.onnx")) == operators(model)


def test_gradients_of_a_fused_encoder_pass_the_check() -> None:
    found = svgd_onnx.check(bert(32), arrays=bert_batch(3), directions=1)
    assert max(each.error for each in found) < 1e-3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"do_rotary": 1},
            r"com\.microsoft\.Attention \('[^']+': its attribute do_rotary is given\)",
        ),
        ({"past_present_share_buffer": 1}, "its attribute past_present_share_buffer is given"),
    ],
)
def test_what_a_rule_does_not_know_is_refused_by_name(
    tmp_path: Path, changes: dict[str, int], reason: str
) -> None:
    model = bert(32, layers=1)
    (attention,) = (node for node in model.graph.node if node.op_type == "Attention")
    for name, value in changes.items():
        for attribute in list(attention.attribute):
            if attribute.name == name:
                attention.attribute.remove(attribute)
        attention.attribute.append(helper.make_attribute(name, value))
    with pytest.raises(svgd_onnx.UserError, match=reason):
        svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx")


def test_what_comes_behind_an_unknown_operator_trains(tmp_path: Path) -> None:
    model = bert(32, layers=1)
    (attention,) = (node for node in model.graph.node if node.op_type == "Attention")
    attention.attribute.append(helper.make_attribute("rotary_embedding_dim", 32))
    svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", train=("head*",))
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    assert np.isfinite(trainer.train_step(bert_batch(3), 1.0))
