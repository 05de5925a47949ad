"""`check` agrees with right gradients and finds wrong ones."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx.cli import _app
from svgd_onnx.conversion_tables import show_checks
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.transforms.decompose.decompose import RULES


def elu() -> onnx.ModelProto:
    """x (batch, 6) -> MatMul -> Elu -> y (batch, 5)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 5, scale=1.0))
    net.node("Elu", value, output="y", alpha=0.7)
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 5)})


@pytest.mark.parametrize("name", ["mlp", "convolutional", "residual", "shared_weight", "sequence"])
def test_right_gradients_pass(name: str) -> None:
    model = getattr(models, name)()
    checked = svgd_onnx.check(model, batch_size=4)
    assert checked
    assert all(item.is_right() for item in checked)


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elu (alpha 0.7) taken for Celu, which is sharper below 0."""
    monkeypatch.setitem(RULES, "Elu", lambda node, write: RULES["Celu"](node, write))
    checked = svgd_onnx.check(elu(), loss="mse", batch_size=3, differentiator="onnxruntime")
    assert not any(item.is_right() for item in checked)


def test_the_command_prints_a_table_and_tells_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "elu.onnx"
    onnx.save(elu(), path)
    arguments = ["check", str(path), "--loss", "mse", "--differentiator", "onnxruntime"]
    right = CliRunner().invoke(_app, arguments)
    assert right.exit_code == 0, right.output
    assert "1 parameter checked, 0 wrong" in right.output
    monkeypatch.setitem(RULES, "Elu", lambda node, write: RULES["Celu"](node, write))
    wrong = CliRunner().invoke(_app, arguments)
    assert wrong.exit_code == 1
    assert "1 wrong" in wrong.output


def test_random_token_numbers_are_rows_of_their_embedding() -> None:
    net = Network()
    embedded = net.node("Gather", net.weight("embedding", 7, 4), "tokens")
    masked = net.node(
        "Mul", embedded, net.node("Unsqueeze", "mask", net.constant("a", np.array([2])))
    )
    pooled = net.node("ReduceMean", masked, axes=[1], keepdims=0)
    net.node("MatMul", pooled, net.weight("w", 4, 3), output="logits")
    model = net.model(
        {"tokens": ("batch", "time"), "mask": ("batch", "time")}, {"logits": ("batch", 3)}
    )
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    batch = example_batch(model, batch_size=50, random_size={"*": 9})  # the batch is not among them
    assert batch["tokens"].shape == batch["mask"].shape == (50, 9)
    assert set(np.unique(batch["tokens"])) == set(range(7))
    assert set(np.unique(batch["labels"])) == {0, 1, 2}
    assert all(
        item.is_right() for item in svgd_onnx.check(model, batch_size=5, random_size={"time": 9})
    )


@pytest.mark.parametrize("written_out", [True, False])
def test_random_numbers_of_a_one_hot_vector_are_its_places(written_out: bool) -> None:
    net = Network()
    if written_out:
        column = net.node("Unsqueeze", "tokens", net.constant("last", np.array([2])))
        same = net.node("Equal", column, net.constant("places", np.arange(7)))
        vector = net.node("Cast", same, to=onnx.TensorProto.FLOAT)
    else:
        values = net.constant("off_on", np.array([0, 1], np.float32))
        vector = net.node("OneHot", "tokens", net.constant("depth", np.array(7)), values)
    pooled = net.node("ReduceMean", net.node("MatMul", vector, net.weight("w", 7, 3)), axes=[1])
    net.node("Squeeze", pooled, net.constant("a", np.array([1])), output="logits")
    model = net.model({"tokens": ("batch", 9)}, {"logits": ("batch", 3)}, check=False)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    assert set(np.unique(example_batch(model, batch_size=50)["tokens"])) == set(range(7))


def test_a_gradient_that_is_lost_in_rounding_is_not_called_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where rounding moves a gradient by its own size, one that is 0 would pass too."""
    told = svgd_onnx.ParameterCheck("w", (3,), (1.0,), (1.0,), error=1e-6, rounding=1e-7)
    lost = svgd_onnx.ParameterCheck("b", (3,), (3e-3,), (1e-9,), error=0.5, rounding=1.3)
    wrong = svgd_onnx.ParameterCheck("v", (3,), (9.0,), (1e-9,), error=9.0, rounding=1.3)
    assert show_checks([told, lost, wrong], 5e-3) == 1
    said = capsys.readouterr().out
    assert "2 parameters checked, 1 wrong; the largest error is 9.0e+00, of 'v'." in said
    assert "float32 does not tell of 'b'" in said


def test_a_bias_before_a_normalization_is_lost_and_all_stand_as_the_model_reads_them() -> None:
    net = Network()
    value = net.node("Conv", "x", net.weight("z.w", 3, 2, 3, 3), net.weight("z.b", 3))
    value = net.batch_normalization(value, 3, "bn")
    value = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", value)))
    net.node("Gemm", value, net.weight("a.w", 3, 4), net.weight("a.b", 4), output="y")
    net.initializers.reverse()
    found = svgd_onnx.check(net.model({"x": ("batch", 2, 6, 6)}, {"y": ("batch", 4)}))
    read = ["z.w", "z.b", "bn.scale", "bn.shift", "a.w", "a.b"]
    assert [each.parameter for each in found] == read
    assert [each.parameter for each in found if each.is_lost] == ["z.b"]
    assert all(each.is_right() for each in found)


def test_the_derivative_that_is_shown_is_the_largest(capsys: pytest.CaptureFixture[str]) -> None:
    found = svgd_onnx.ParameterCheck("w", (3,), (1e-5, 7.0), (6e-6, 7.1), error=1e-6, rounding=1e-7)
    show_checks([found], 5e-3)
    said = capsys.readouterr().out
    assert "7.000000e+00" in said and "7.100000e+00" in said


def test_sizes_of_axes_that_there_are_not_are_refused() -> None:
    with pytest.raises(svgd_onnx.UserError, match="size 'time' is no open axis .* has batch"):
        svgd_onnx.check(models.mlp(), random_size={"time": 9})


def test_a_model_that_onnxruntime_cannot_run_is_refused() -> None:
    net = Network()
    net.nodes.append(onnx.helper.make_node("Fold", ["x"], ["folded"], domain="com.example"))
    net.node("MatMul", "folded", net.weight("w", 4, 3), output="logits")
    shapes = {"x": ("batch", 4)}, {"logits": ("batch", 3)}
    model = net.model(*shapes, domains=("com.example",))
    with pytest.raises(svgd_onnx.UserError, match="onnxruntime cannot run the model .*Fold"):
        svgd_onnx.check(model)


def test_dropout_is_checked_without_dropping() -> None:
    net = Network()
    value = net.node("Dropout", net.node("MatMul", "x", net.weight("w", 4, 3)))
    net.node("Identity", value, output="logits")
    model = net.model({"x": ("batch", 4)}, {"logits": ("batch", 3)})
    assert all(item.error < 1e-5 for item in svgd_onnx.check(model))


def test_a_part_of_the_parameters_is_checked() -> None:
    checked = svgd_onnx.check(models.mlp(), only=["fc1.*"])
    assert {item.parameter.split(".")[0] for item in checked} == {"fc1"}
    with pytest.raises(svgd_onnx.UserError, match="only 'nothing' matches no"):
        svgd_onnx.check(models.mlp(), only=["nothing"])


def test_arrays_that_are_missing_are_named() -> None:
    with pytest.raises(svgd_onnx.UserError, match="no array 'labels'"):
        svgd_onnx.check(models.mlp(), arrays={"x": np.zeros((2, 8), np.float32)})


def test_arrays_that_do_not_fit_are_refused() -> None:
    arrays = models.examples(models.mlp(), 2)
    with pytest.raises(svgd_onnx.UserError, match="has shape"):
        svgd_onnx.check(models.mlp(), arrays={**arrays, "x": np.zeros((2, 6, 1), np.float32)})


@pytest.mark.parametrize("op_type", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_a_loss_that_is_drawn_is_refused(op_type: str) -> None:
    """Else right gradients would be called wrong: each difference is of two draws."""
    net = models.Network()
    drawn = net.node(op_type, net.node("Sigmoid", "x"))
    net.node("MatMul", net.node("Add", "x", drawn), net.weight("w", 6, 4), output="logits")
    model = net.model({"x": ("N", 6)}, {"logits": ("N", 4)})
    with pytest.raises(svgd_onnx.UserError, match=f"{op_type} .* draws random numbers"):
        svgd_onnx.check(model)
