"""What `convert` refuses, names as without effect or chooses; `inspect` and `check` refuse the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from models import Network
from onnx import TensorProto, helper
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx import LossSettings, UserError, runtime
from svgd_onnx.cli import _app
from svgd_onnx.targets import target_here


def test_inspect_says_that_a_prediction_is_of_probabilities(tmp_path: Path) -> None:
    onnx.save(models.shares(), tmp_path / "m.onnx")
    with pytest.raises(UserError) as refused:
        svgd_onnx.convert(tmp_path / "m.onnx", tmp_path / "a", target="onnx")
    found = svgd_onnx.inspect(tmp_path / "m.onnx", target="onnx")
    assert found.obstacle == str(refused.value)
    assert found.operations
    as_logits = {"loss_settings": LossSettings(from_logits=True)}
    assert svgd_onnx.inspect(tmp_path / "m.onnx", target="onnx", **as_logits).refusal is None


def of_another_shape(*shape: int) -> onnx.ModelProto:
    """Says that y has 5 rows an example, and has another shape: onnxruntime warns, and runs it."""
    net = Network()
    rows = net.node("Reshape", "x", net.constant("k", np.array([-1, *shape])))
    body = [helper.make_node("Identity", [rows], ["inner"])]
    info = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    graph = helper.make_graph(body, "either", [], [info])
    same = net.node("If", "flag", then_branch=graph, else_branch=graph)
    net.node("Mul", same, net.weight("w", 3), output="y")
    model = net.model({"x": ("N", 12), "flag": ()}, {"y": ("N", 5, 3)}, check=False)
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.BOOL
    return model


def twice_as_many_rows() -> onnx.ModelProto:
    """x (N, 6) -> y (2 N, 3): a label for each row of y is none for each example."""
    net = Network()
    hidden = net.node("MatMul", "x", net.weight("w", 6, 6))
    net.node("Reshape", hidden, net.constant("k", np.array([-1, 3])), output="y")
    return net.model({"x": ("N", 6)}, {"y": ("M", 3)})


OTHER_ROWS = r"'y' has the shape \(N, 5, 3\), but it is \(4, 4, 3\)"
FEWER_AXES = r"'y' has the shape \(N, 5, 3\), but it is \(16, 3\)"


@pytest.mark.parametrize(
    ("build", "options", "sentence"),
    [
        (partial(of_another_shape, 4, 3), {"loss": "mse"}, OTHER_ROWS),
        (partial(of_another_shape, 3), {"loss": "mse"}, FEWER_AXES),
        (partial(of_another_shape, 3), {"loss_settings": LossSettings(class_axis=2)}, FEWER_AXES),
        (twice_as_many_rows, {"loss": "mse"}, "'y' has 8 entries along axis 0 for 4 examples"),
    ],
)
def test_inspect_runs_what_convert_runs(
    build: Callable[[], onnx.ModelProto], options: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(build(), path)
    with pytest.raises(UserError, match=sentence) as refused:
        svgd_onnx.convert(path, tmp_path / "a", target="onnx", **options)
    found = svgd_onnx.inspect(path, target="onnx", **options)
    assert found.obstacle == str(refused.value)


@pytest.mark.parametrize("given", [True, False])
def test_check_refuses_probabilities_of_any_data(given: bool) -> None:
    arrays = {"x": np.ones((3, 6), np.float32), "labels": np.array([0, 1, 2])} if given else None
    with pytest.raises(UserError, match="looks like probabilities"):
        svgd_onnx.check(models.shares(), arrays=arrays, target="onnx")


IDLE: dict[str, tuple[dict[str, Any], str]] = {
    "T's": (
        {"optimizer": "sgd", "scale": 0.1, "granularity": "channel"},
        r"scale, granularity \(the optimizer sgd is without T\)",
    ),
    "normalization": ({"freeze_bn": True}, r"freeze_bn \(the model has no BatchNormalization\)"),
    "quantization": ({"quantized": "straight-through"}, "has nothing that it is for"),
    "batch": ({"fixed_batch": True}, r"fixed_batch \(the file fixes no batch axis\)"),
    "data": ({"verify": False, "random_size": {"batch": 3}}, r"random_size \(by verify=False"),
}


@pytest.mark.parametrize("name", IDLE)
def test_an_option_without_effect_is_named(name: str, tmp_path: Path) -> None:
    options, sentence = IDLE[name]
    with pytest.warns(UserWarning, match=f"Without effect: .*{sentence}"):
        svgd_onnx.convert(models.gemm(), tmp_path / "a", target="onnx", **options)


def test_check_names_what_its_data_leave_idle() -> None:
    arrays = {"x": np.ones((3, 6), np.float32), "labels": np.array([0, 1, 2])}
    with pytest.warns(UserWarning, match=r"Without effect: random_size \(data are given\)"):
        svgd_onnx.check(models.gemm(), arrays=arrays, random_size={"*": 3}, target="onnx")
    with pytest.warns(UserWarning, match="Without effect: examples"):
        svgd_onnx.check(models.gemm(), examples=3, target="onnx")


def test_options_with_an_effect_are_not_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svgd_onnx.convert(
            models.residual(), tmp_path / "a", target="onnx", freeze_bn=True, scale=0.1
        )


def test_a_size_of_no_axis_is_refused_not_left_unverified(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="random_size 'length' is no open axis"):
        svgd_onnx.convert(models.gemm(), tmp_path / "a", target="onnx", random_size={"length": 3})
    onnx.save(models.gemm(), tmp_path / "model.onnx")
    with pytest.raises(UserError, match="random_size 'length' is no open axis"):
        svgd_onnx.inspect(tmp_path / "model.onnx", target="onnx", random_size={"length": 3})


def test_without_the_training_package_the_target_is_onnx_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"onnxruntime": "1.32.0"}
    monkeypatch.setattr(runtime, "installed_packages", lambda: found)
    onnx.save(models.gemm(), tmp_path / "m.onnx")
    command = ["convert", str(tmp_path / "m.onnx"), "--no-verify", "--output", str(tmp_path / "a")]
    said = CliRunner().invoke(_app, command).output
    assert "As onnxruntime-training is not installed, --target onnx was taken." in said
    assert svgd_onnx.Manifest.load(tmp_path / "a").target == "onnx"
    found["onnxruntime-training"] = (
        "1.19.2"  # each overwrites the other's files, which a message says
    )
    assert target_here() == "ort-training"


def test_options_are_checked_before_the_data(tmp_path: Path) -> None:
    svgd_onnx.convert(models.gemm(), tmp_path / "a", target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    options: list[tuple[dict[str, Any], str]] = [
        ({}, "Give either epochs or steps"),
        ({"steps": 1, "log_every": 0}, "log_every is 0"),
        ({"steps": 1, "batch_size": 0}, "batch_size is 0"),
        ({"steps": 1, "resume": True}, "nothing to resume"),
    ]
    for given, sentence in options:
        with pytest.raises(UserError, match=sentence):
            trainer.train({}, **{"batch_size": 2, "learning_rate": 0.1, **given})


def test_svgd_without_t_is_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="T is before none of the gradients, so that svgd is sgd"):
        svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", train=["*.bias"])


def test_a_shape_that_the_model_only_says_is_refused(tmp_path: Path) -> None:
    net = Network()
    net.node("Conv", "x", net.weight("w", 3, 2, 3, 3), output="y")
    model = net.model({"x": ("N", 2, 9, 9)}, {"y": ("N", 3, 8, 8)}, check=False)
    with pytest.raises(UserError, match=r"has the shape \(N, 3, 8, 8\), but it is \(4, 3, 7, 7\)"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse")
