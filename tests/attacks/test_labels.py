"""Labels that are no classes: no kernel reads memory by them, and a sentence says which it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import LossSettings
from svgd_onnx.targets import TARGETS
from svgd_onnx.training import data

CLASSES = 4
GREATEST, LEAST = 2**63 - 1, -(2**63)


def classifier(classes: int | str) -> onnx.ModelProto:
    """x (batch, 6) -> logits; with a name for their number, as many classes as `k` (5, classes) has columns."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 5))
    inputs: dict[str, tuple[int | str, ...]] = {"x": ("batch", 6)}
    if isinstance(classes, str):
        inputs["k"] = (5, classes)
        net.node("MatMul", value, "k", output="logits")
    else:
        net.node("MatMul", value, net.weight("v", 5, classes), output="logits")
    return net.model(inputs, {"logits": ("batch", classes)})


def batch(labels: list[int], *, open_: bool = True) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {
        "x": random.normal(size=(len(labels), 6)).astype(np.float32),
        "labels": np.array(labels),
    }
    if open_:
        arrays["k"] = random.normal(size=(5, CLASSES)).astype(np.float32)
    return arrays


@pytest.fixture(scope="module", params=TARGETS)
def trainer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[svgd_onnx.Trainer]:
    """Of logits with an open axis of classes."""
    folder = tmp_path_factory.mktemp("labels") / "artifacts"
    svgd_onnx.convert(classifier("classes"), folder, target=request.param, verify=False)
    yield svgd_onnx.Trainer(folder, threads=1)


@pytest.mark.parametrize("label", [CLASSES, CLASSES + 1, 10**6, GREATEST, -1, -CLASSES, LEAST])
def test_a_label_out_of_range_ends_in_a_sentence(trainer: svgd_onnx.Trainer, label: int) -> None:
    before = trainer.tensor("w")
    sentence = rf"Array 'labels' in the {{}} has {label} in row 2, where only 0 (to 3|or more) is in range\."
    with pytest.raises(svgd_onnx.UserError, match=sentence.format("batch")):
        trainer.train_step(batch([0, 3, label]), 0.1)
    with pytest.raises(svgd_onnx.UserError, match=sentence.format("data")):
        trainer.evaluate(batch([0, 3, label]))
    assert np.array_equal(trainer.tensor("w"), before)


def test_what_is_named_is_the_row_of_the_data(trainer: svgd_onnx.Trainer) -> None:
    labels = [1] * 40
    labels[23] = 1_000_000
    with pytest.raises(svgd_onnx.UserError, match="training data has 1000000 in row 23"):
        trainer.train(batch(labels), epochs=1, batch_size=4, learning_rate=0.1)


def test_the_row_of_an_evaluation_counts_all_its_batches(trainer: svgd_onnx.Trainer) -> None:
    labels = [1] * 300
    labels[290] = 7
    with pytest.raises(svgd_onnx.UserError, match="has 7 in row 290, where only 0 to 3"):
        trainer.evaluate(batch(labels))


def test_labels_in_range_have_the_loss_that_they_have(trainer: svgd_onnx.Trainer) -> None:
    given = batch([0, 3, 1])
    logits = given["x"].astype(float) @ trainer.tensor("w") @ given["k"]
    all_ = np.log(np.exp(logits).sum(axis=1))
    expected = np.mean(all_ - logits[np.arange(3), given["labels"]])
    assert trainer.evaluate(given)["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_step_of_format_1_does_not_look(trainer: svgd_onnx.Trainer) -> None:
    older = replace(trainer.manifest, format=1)
    with pytest.raises(
        svgd_onnx.UserError, match="of an older svgd-onnx, and read memory by labels"
    ):
        data.check(batch([0, 1]), older)


@pytest.mark.parametrize("target", TARGETS)
def test_labels_that_are_ignored_are_in_range_and_no_others(target: str, tmp_path: Path) -> None:
    settings = LossSettings(ignore_index=-100)
    model = classifier("classes")
    svgd_onnx.convert(model, tmp_path / "a", target=target, loss_settings=settings, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    assert np.isfinite(trainer.train_step(batch([0, -100, 3]), 0.1))
    for label in (-1, CLASSES, 10**6):
        with pytest.raises(svgd_onnx.UserError, match=f"has {label} in row 2"):
            trainer.train_step(batch([0, -100, label]), 0.1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("ignored", [None, -100])
def test_labels_of_a_loss_within_the_model(
    target: str, ignored: int | None, tmp_path: Path
) -> None:
    model = classifier("classes")
    attributes = {} if ignored is None else {"ignore_index": ignored}
    node = onnx.helper.make_node(
        "SoftmaxCrossEntropyLoss", ["logits", "y"], ["loss"], "loss", **attributes
    )
    model.graph.node.append(node)
    int64, float32 = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    model.graph.input.append(onnx.helper.make_tensor_value_info("y", int64, ["batch"]))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("loss", float32, []))
    svgd_onnx.convert(model, tmp_path / "a", target=target, loss="none", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    for label in (CLASSES, 10**6, -1, LEAST):
        given = batch([0, 3 if ignored is None else ignored, label])
        given["y"] = given.pop("labels")
        with pytest.raises(
            svgd_onnx.UserError, match=f"Array 'y' in the batch has {label} in row 2"
        ):
            trainer.train_step(given, 0.1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_program_that_checks_nothing_gets_an_error(target: str, tmp_path: Path) -> None:
    """As those in C++ and JavaScript, of a fixed number of classes."""
    svgd_onnx.convert(classifier(CLASSES), tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    session = onnxruntime.InferenceSession(
        tmp_path / "a" / "eval_model.onnx", providers=["CPUExecutionProvider"]
    )
    for label in (CLASSES, 10**6, -1):
        given = batch([0, 3, label], open_=False)
        names = [value.name for value in session.get_inputs()]
        feeds = {name: given[name] if name in given else trainer.tensor(name) for name in names}
        with pytest.raises(Exception, match=re.escape("out of data bounds")):
            session.run(None, feeds)
        with pytest.raises(svgd_onnx.UserError, match=f"has {label} in row 2"):
            trainer._session.train_step(list(given.values()), 0.1, update=True, seed=None)
