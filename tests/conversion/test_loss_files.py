"""Losses of the user's own: ONNX files of a prediction and a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network
from onnx import TensorProto, helper, parser

import svgd_onnx
from svgd_onnx.training import evaluation

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(6, 4)).astype(np.float32)
T = RANDOM.normal(size=(6, 3)).astype(np.float32)
K = np.array([1.0, 0.5, 2.0], np.float32)


def network(dims: Sequence[int | str] = ("batch", 3), opset: int = 17) -> onnx.ModelProto:
    """x (batch, 4) -> y (batch, 3) = x w."""
    net = Network()
    net.node("MatMul", "x", net.weight("w", 4, 3, scale=1.0), output="y")
    return net.model({"x": (dims[0], 4)}, {"y": tuple(dims)}, opset=opset)


def written(text: str, folder: Path, **constants: np.ndarray) -> Path:
    """A file of a graph in ONNX's textual form, with constants as initializers."""
    model = parser.parse_model(text)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in constants.items()
    )
    path = folder / "own.onnx"
    onnx.save(model, path)
    return path


def of_squares(
    folder: Path,
    *,
    inputs: str = "float[n, 3] prediction, float[n, 3] target",
    output: str = "float loss",
    opset: int = 17,
) -> Path:
    """mean k (prediction - target)^2, k a constant."""
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
        own ({inputs}) => ({output}) {{
            w = Sub (prediction, target)
            y = Mul (w, w)
            x = Mul (y, k)
            loss = ReduceMean <keepdims = 0> (x)
        }}"""
    return written(text, folder, k=K)


def squares(w: np.ndarray) -> tuple[float, np.ndarray]:
    """The same loss of `network` in NumPy, and its gradient by w."""
    difference = X.astype(np.float64) @ w - T
    return float((K * difference**2).mean()), X.T @ (2 * K * difference) / difference.size


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_value_and_gradient(target: str, tmp_path: Path, trainer_of: MakeTrainer) -> None:
    loss = of_squares(tmp_path)
    trainer = trainer_of(network(), loss=str(loss), optimizer="sgd", target=target, verify=True)
    before = trainer.tensor("w")
    value, gradient = squares(before)
    batch = {"x": X, "target": T}
    assert trainer.evaluate(batch) == {"loss": pytest.approx(value, rel=1e-6)}
    assert trainer.train_step(batch, 1.0) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(before - trainer.tensor("w"), gradient, rtol=1e-4, atol=1e-6)
    assert [each.name for each in trainer.manifest.parameters] == ["w"]
    assert trainer.manifest.verified is not None
    assert all(item.error < 1e-5 for item in svgd_onnx.check(network(), loss=loss, target=target))


@pytest.mark.parametrize(("of_model", "of_loss"), [(17, 21), (21, 17), (13, 18), (18, 11)])
def test_a_file_of_another_opset(of_model: int, of_loss: int, tmp_path: Path) -> None:
    loss, batch = of_squares(tmp_path, opset=of_loss), {"x": X, "target": T}
    svgd_onnx.convert(network(opset=of_model), tmp_path / "a", loss=loss, target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    value, _ = squares(trainer.tensor("w"))
    assert trainer.evaluate(batch)["loss"] == pytest.approx(value, rel=1e-6)
    trainer.export(tmp_path / "trained.onnx")
    exported = onnx.load(tmp_path / "trained.onnx")
    assert [each.op_type for each in exported.graph.node] == ["MatMul"]
    assert exported.opset_import[0].version == of_model


def test_the_target_may_come_first(tmp_path: Path, trainer_of: MakeTrainer) -> None:
    loss = of_squares(tmp_path, inputs="float[n, 3] target, float[n, 3] prediction")
    trainer = trainer_of(network(), loss=loss, optimizer="sgd")
    before = trainer.tensor("w")
    trainer.train_step({"x": X, "target": T}, 1.0)
    gradient = squares(before)[1]
    np.testing.assert_allclose(before - trainer.tensor("w"), gradient, rtol=1e-4, atol=1e-6)


def test_labels_and_functions_and_branches(tmp_path: Path, trainer_of: MakeTrainer) -> None:
    """-log p of the label, by a function of the file's own and a branch that reads values around it."""
    text = """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        own (float[n, c] scores, int64[n] truth) => (float[1] loss) {
            p = own.log_p (scores, truth)
            yes = Constant <value = bool {1}> ()
            total = ReduceSum <keepdims = 0> (p)
            mean = If (total_is_low) <
                then_branch = a () => (float one) { one = ReduceMean <keepdims = 0> (p) },
                else_branch = b () => (float two) { two = Identity (total) }
            >
            axes = Constant <value = int64[1] {0}> ()
            minus = Neg (mean)
            loss = Unsqueeze (minus, axes)
        }
        <domain: "own", opset_import: ["" : 18]>
        log_p (x, y) => (p) {
            log = LogSoftmax <axis = -1> (x)
            axes = Constant <value = int64[1] {1}> ()
            column = Unsqueeze (y, axes)
            p = GatherElements <axis = 1> (log, column)
        }"""
    text = text.replace(
        "mean = If",
        "zero = Constant <value = float {0.0}> () total_is_low = Less (total, zero) mean = If",
    )
    trainer = trainer_of(network(), loss=written(text, tmp_path), optimizer="sgd", verify=True)
    labels = np.array([0, 2, 1, 1, 0, 2])
    logits = X.astype(np.float64) @ trainer.tensor("w")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = trainer.evaluate({"x": X, "labels": labels})["loss"]
    assert loss == pytest.approx(-log_p[np.arange(6), labels].mean(), rel=1e-6)
    with pytest.raises(svgd_onnx.UserError, match="Array 'labels' in the batch has 3 in row 1"):
        trainer.train_step({"x": X, "labels": np.array([0, 3, 1, 1, 0, 2])}, 0.1)


def test_evaluation_weighs_batches_by_their_examples(
    tmp_path: Path, trainer_of: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(network(), loss=of_squares(tmp_path))
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 4)
    value, _ = squares(trainer.tensor("w"))
    assert trainer.evaluate({"x": X, "target": T})["loss"] == pytest.approx(value, rel=1e-6)


def test_a_checkpoint_of_another_file_is_of_another_conversion(tmp_path: Path) -> None:
    loss = of_squares(tmp_path)
    manifest = svgd_onnx.convert(network(), tmp_path / "a", loss=loss, target="onnx")
    assert manifest.losses[0].source is not None
    assert [manifest.loss, manifest.losses[0].loss] == ["own.onnx"] * 2
    of_squares(tmp_path, opset=18)
    other = svgd_onnx.convert(network(), tmp_path / "b", loss=loss, target="onnx")
    assert manifest.conversion != other.conversion


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("(float[n, 3] prediction) => (float loss) { loss = ReduceMean (prediction) }", "two inputs"),
        ("(float[n, 3] a, float[n, 3] b) => (float[n, 3] loss, float[n] c) "
         "{ loss = Sub (a, b) c = Identity (b) }", "one output"),
        ("(float[n, 3] a, float[n, 3] b) => (float[n, 3] loss) { loss = Sub (a, b) }",
         r"gives float of shape \(batch, 3\), but must give one float32 number"),
        ("(float[n, 3] a, float[n, 3] b) => (int64 loss) "
         "{ c = Sub (a, b) d = ReduceMean <keepdims = 0> (c) loss = Cast <to = 7> (d) }",
         "gives int64 of shape"),
        ("(double[n, 3] a, float[n, 3] b) => (double loss) { loss = ReduceMean <keepdims = 0> (a) }",
         "takes a prediction of double"),
        ("(float[n, 4] a, float[n, 4] b) => (float loss) "
         "{ c = Sub (a, b) loss = ReduceMean <keepdims = 0> (c) }",
         r"takes a prediction of shape \(n, 4\), but the model's is of shape \(batch, 3\)"),
        ("(float[6, 3] a, float[6, 3] b) => (float loss) "
         "{ c = Sub (a, b) loss = ReduceMean <keepdims = 0> (c) }",
         r"takes a prediction of shape \(6, 3\), but the model's is of shape \(batch, 3\)"),
        ("(float[n, 3] a, float[n, 3] b) => (float loss) { loss = ReduceMean <keepdims = 0> (b) }",
         "The loss does not depend on 'w'"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_loss(graph: str, message: str, tmp_path: Path) -> None:
    loss = written(f'<ir_version: 8, opset_import: ["" : 17]> own {graph}', tmp_path)
    with pytest.raises(svgd_onnx.UserError, match=message):
        svgd_onnx.convert(network(), tmp_path / "a", loss=loss)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "missing.onnx"}, "There is no file 'missing.onnx'"),
        (
            {"loss_settings": svgd_onnx.LossSettings(reduction="sum")},
            "reduction does not go with loss=.*own.onnx.: the file says all of it",
        ),
    ],
)
def test_options_that_do_not_go_with_a_file(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    loss = of_squares(tmp_path)
    with pytest.raises(svgd_onnx.UserError, match=message):
        svgd_onnx.convert(network(), tmp_path / "a", **{"loss": loss, **options})


def test_a_target_of_another_shape(tmp_path: Path, trainer_of: MakeTrainer) -> None:
    """Masks (n, 3, m) beside a prediction (n, 3): the axis of examples is that of the same name."""
    inputs = [
        helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("target", TensorProto.FLOAT, ["m", "n", 3]),
    ]
    nodes = [
        helper.make_node("Sub", ["prediction", "target"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["loss"], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])]
    graph = helper.make_graph(nodes, "own", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "own.onnx")
    trainer = trainer_of(network(), loss=tmp_path / "own.onnx", verify=True)
    assert trainer.manifest.labels[0].batch_axis == 1
    assert trainer.manifest.labels[0].shape == ["m", "batch", 3]
    target = RANDOM.normal(size=(5, 6, 3)).astype(np.float32)
    expected = float(((X.astype(np.float64) @ trainer.tensor("w") - target) ** 2).mean())
    assert trainer.evaluate({"x": X, "target": target})["loss"] == pytest.approx(expected, rel=1e-6)


def in_columns(folder: Path) -> Path:
    """The mean of squares, each example's weighed by a last column of the target."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
        own (float[n, c] prediction, float[n, d] target) => (float loss) {
            sizes = Constant <value = int64[2] {3, 1}> ()
            t, k = Split <axis = 1> (target, sizes)
            w = Sub (prediction, t)
            y = Mul (w, w)
            x = Mul (y, k)
            loss = ReduceMean <keepdims = 0> (x)
        }"""
    return written(text, folder)


@pytest.mark.parametrize("target", ["onnx", "ort-training"])
def test_an_open_axis_of_its_own_has_the_size_that_is_given(target: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"loss": str(in_columns(tmp_path)), "target": target}
    found = svgd_onnx.inspect(_saved(tmp_path), random_size={"d": 4}, **options)
    assert found.refusal is None
    manifest = svgd_onnx.convert(network(), tmp_path / "a", random_size={"d": 4}, **options)
    assert manifest.verified is not None
    data = {"x": X, "target": np.concatenate([T, K[T.argmax(axis=1), None]], axis=1)}
    scores = svgd_onnx.Trainer(tmp_path / "a").evaluate(data)
    weights = onnx.numpy_helper.to_array(network().graph.initializer[0])
    wanted = np.mean((X @ weights - T) ** 2 * K[T.argmax(axis=1), None])
    assert scores["loss"] == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(svgd_onnx.UserError, match="random_size 'e' is no open axis"):
        svgd_onnx.convert(network(), tmp_path / "b", random_size={"e": 4}, **options)


def _saved(folder: Path) -> Path:
    onnx.save(network(), folder / "model.onnx")
    return folder / "model.onnx"
