"""Which axis of the logits is taken for that of classes, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import Answer
from models import Network

import svgd_onnx


def by_product(net: Network) -> tuple[str, ...]:
    net.node("Add", net.node("MatMul", "x", net.weight("w", 4, 3)), net.weight("b", 3), output="y")
    return ("batch", 5, 3)


def by_rows(net: Network) -> tuple[str, ...]:
    rows = net.node("Reshape", "x", net.constant("rows", np.array([-1, 4])))
    rows = net.node("Gemm", rows, net.weight("w", 3, 4), net.weight("b", 3), transB=1)
    net.node("Reshape", rows, net.constant("sizes", np.array([-1, 5, 3])), output="y")
    return ("batch", 5, 3)


def by_turned_product(net: Network) -> tuple[str, ...]:
    y = net.node("MatMul", "x", net.weight("w", 4, 3))
    net.node("Transpose", y, perm=[0, 2, 1], output="y")
    return ("batch", 3, 5)


def by_tied_product(net: Network) -> tuple[str, ...]:
    turned = net.node("Transpose", net.weight("w", 3, 4), perm=[1, 0])
    net.node("MatMul", net.node("Tanh", "x"), turned, output="y")
    return ("batch", 5, 3)


def by_convolution(net: Network) -> tuple[str, ...]:
    net.node("Relu", net.node("Conv", "x", net.weight("w", 3, 5, 1)), output="y")
    return ("batch", 3, 4)


def by_softmax(net: Network) -> tuple[str, ...]:
    y = net.node("Conv", "x", net.weight("w", 6, 5, 1))
    net.node("Softmax", y, axis=2, output="y")
    return ("batch", 6, 4)


def by_nothing(net: Network) -> tuple[str, ...]:
    net.node("Mul", "x", net.weight("w", 4), output="y")
    return ("batch", 5, 4)


FORMS: dict[Callable[[Network], tuple[str, ...]], tuple[int, str]] = {
    by_product: (2, "the last layer, MatMul "),
    by_rows: (2, "the last layer, Gemm "),
    by_turned_product: (1, "the last layer, MatMul "),
    by_tied_product: (2, "the last layer, MatMul "),
    by_convolution: (1, "the last layer, Conv "),
    by_softmax: (2, "the final Softmax normalizes it"),
    by_nothing: (1, "nothing in the model tells"),
}


def model_of(form: Callable[[Network], tuple[str, ...]]) -> onnx.ModelProto:
    net = Network()
    shape = form(net)
    return net.model({"x": ("batch", 5, 4)}, {"y": shape})


@pytest.mark.parametrize("form", FORMS)
def test_it_is_that_of_the_last_layers_outputs(
    form: Callable[[Network], tuple[str, ...]], tmp_path: Path
) -> None:
    axis, reason = FORMS[form]
    manifest = svgd_onnx.convert(model_of(form), tmp_path / "a", target="onnx", verify=False)
    assert manifest.loss_settings.class_axis == axis
    assert manifest.class_axis_reason.startswith(reason)


def test_what_is_said_of_it(answer: Answer, tmp_path: Path) -> None:
    onnx.save(model_of(by_product), tmp_path / "model.onnx")
    line = ("convert", tmp_path / "model.onnx", "--output", tmp_path / "a", "--no-verify")
    said = answer(*line)
    assert "Classes lie along axis 2 of 'y' (batch, 5, 3): the last layer, MatMul" in said
    assert "If not: --class-axis" in said
    assert "Classes lie" not in answer(*line, "--force", "--class-axis", 2)


def test_labels_that_do_not_fit_name_the_option(answer: Answer, tmp_path: Path) -> None:
    onnx.save(model_of(by_nothing), tmp_path / "model.onnx")
    answer("convert", tmp_path / "model.onnx", "--output", tmp_path / "a", "--no-verify")
    x = np.zeros((2, 5, 4), np.float32)
    np.savez(tmp_path / "data.npz", x=x, labels=np.zeros((2, 5), np.int64))
    said = answer("evaluate", tmp_path / "a", "--data", tmp_path / "data.npz")
    assert (
        "has shape (2, 5), but the model wants (examples, 4), as classes were taken for axis 1"
        in said
    )
    assert "if they lie along another, convert with --class-axis" in said
