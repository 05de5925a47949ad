"""Numbers that onnxruntime's kernels make sizes, offsets and quotients of unseen: refused, or looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx

LEAST, LARGEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
INT64, FLOAT = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT


def image(net: Network, h: str) -> str:
    return net.node("Reshape", h, net.constant("shape", np.array([-1, 4, 1, 1])))


def of_integers(net: Network, op_type: str, h: str, dividend: str, divisor: int) -> str:
    quotient = net.node(op_type, dividend, net.constant("divisor", np.array(divisor)))
    return net.node("Add", h, net.node("Cast", quotient, to=FLOAT))


def boxed(net: Network, h: str) -> str:
    boxes, of = (
        net.constant("boxes", np.float32([[0, 0, 1e19, 1]])),
        net.constant("of", np.array([0])),
    )
    mean = net.node("RoiAlign", image(net, h), boxes, of, output_height=1, output_width=1)
    return net.node("Add", h, net.node("ReduceMean", mean, keepdims=0))


def model(added: Callable[[Network, str], str]) -> onnx.ModelProto:
    """x (batch, 4) -> dense -> what is tried -> dense -> logits (batch, 4)."""
    net = Network()
    h = added(net, net.node("MatMul", "x", net.weight("first", 4, 4)))
    net.node("MatMul", h, net.weight("second", 4, 4), output="logits")
    return net.model({"x": ("batch", 4)}, {"logits": ("batch", 4)}, check=False)


@pytest.mark.parametrize(
    ("added", "what"),
    [
        (
            lambda net, h: net.node("Trilu", h, net.constant("k", np.array(LEAST))),
            "Trilu '.*' has a diagonal",
        ),
        (
            lambda net, h: of_integers(net, "Div", h, net.node("Cast", "x", to=INT64), 0),
            "Div '.*' has integers to divide by of which one is 0",
        ),
        (
            lambda net, h: of_integers(net, "Mod", h, net.node("Cast", "x", to=INT64), 0),
            "Mod '.*' has integers to divide by of which one is 0",
        ),
        (
            lambda net, h: net.node(
                "ConcatFromSequence",
                net.node("SplitToSequence", h, net.constant("size", np.array(0))),
                axis=0,
            ),
            "SplitToSequence '.*' has pieces of no size to split into",
        ),
        (boxed, "RoiAlign '.*' has boxes that lie outside of any image"),
        (
            lambda net, h: net.node(
                "Flatten", net.node("DepthToSpace", image(net, h), blocksize=2**32)
            ),
            "has blocksize of 4,294,967,296, which no size or place can be",
        ),
        (
            lambda net, h: net.node(
                "Flatten", net.node("MaxPool", image(net, h), kernel_shape=[1, 1], pads=[2**62] * 4)
            ),
            "has pads of 4,611,686,018,427,387,904",
        ),
        (
            lambda net, h: net.node("Transpose", h, perm=[5, 0]),
            "has perm of 5, 0, which is no order of axes",
        ),
        (
            lambda net, h: net.node(
                "Flatten",
                net.node("AveragePool", image(net, h), kernel_shape=[9, 9], pads=[-8, 0, 2**30, 0]),
            ),
            "has pads of -8, which may be 0 to 1,048,576",
        ),
        (
            lambda net, h: net.node(
                "Flatten", net.node("AveragePool", image(net, h), kernel_shape=[2, 2], pads=[1] * 5)
            ),
            "has 5 pads for a window of 2 axes",
        ),
        (
            lambda net, h: net.node("Mul", h, net.node("EyeLike", h, k=LEAST)),
            "has k of -9,223,372,036,854,775,808",
        ),
    ],
)
def test_refused(added: Callable[[Network, str], str], what: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match=what):
        svgd_onnx.convert(model(added), tmp_path / "a", target="onnx")


def test_the_least_integer_divided_by_a_constant_of_minus_one(tmp_path: Path) -> None:
    """Its quotient is none, and ended the process."""

    def divided(net: Network, h: str) -> str:
        least = net.constant("largest", np.array(LARGEST))
        dividend = net.node("Sub", net.node("Cast", "x", to=INT64), least)
        return of_integers(net, "Div", h, dividend, -1)

    proto = model(divided)
    svgd_onnx.convert(proto, tmp_path / "a", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    batch = models.examples(proto)
    batch["x"] = np.zeros_like(batch["x"])
    assert np.isfinite(trainer.train_step(batch, 0.1))
    batch["x"][0, 0] = -1
    with pytest.raises(svgd_onnx.UserError, match="'x'|divi"):
        trainer.train_step(batch, 0.1)
