"""A size below zero, which onnx's checker lets through and its shape inference dies of, ends in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx

_ASSERTS = sys.platform == "linux" and tuple(map(int, onnx.__version__.split(".")[:2])) >= (1, 21)


def _sliced(net: Network, value: str) -> onnx.ModelProto:
    """The first of `value` (?, 4), times weights."""
    first = net.node(
        "Slice", value, net.constant("zero", np.int64([0])), net.constant("one", np.int64([1]))
    )
    added = net.node("Add", "x", first)
    net.node("MatMul", added, net.weight("w", 4, 4), output="logits")
    return net.model({"x": ("batch", 4)}, {"logits": ("batch", 4)}, check=False)


def _expanded() -> onnx.ModelProto:
    net = Network()
    one = net.constant("row", np.ones((1, 4), np.float32))
    return _sliced(net, net.node("Expand", one, net.constant("sizes", np.int64([-133, 4]))))


def _expanded_by_size() -> onnx.ModelProto:
    net = Network()
    size = net.node("Shape", "x")
    last = net.node("Gather", size, net.constant("last", np.int64([1])))
    sizes = net.node("Concat", net.constant("minus", np.int64([-133])), last, axis=0)
    one = net.constant("row", np.ones((1, 4), np.float32))
    return _sliced(net, net.node("Expand", one, sizes))


def _padded() -> onnx.ModelProto:
    net = Network()
    rows = net.weight("rows", 3, 4)
    return _sliced(net, net.node("Pad", rows, net.constant("pads", np.int64([-9, 0, 0, 0]))))


@pytest.mark.parametrize("make", [_expanded, _expanded_by_size, _padded])
def test_a_slice_of_an_axis_below_zero(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    onnx.save(make(), tmp_path / "model.onnx")
    with pytest.raises(svgd_onnx.UserError):
        svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "out", target="onnx")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not _ASSERTS, reason="this onnx goes on")
def test_the_sentence_says_what_to_look_for(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="where a Slice reads an axis of negative size"):
        svgd_onnx.convert(_expanded_by_size(), tmp_path / "out", target="onnx")
