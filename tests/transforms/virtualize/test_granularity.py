"""r's shape: an entry for each element of the output, or for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from models import Network

import svgd_onnx


def convolution(height: Any, width: Any) -> onnx.ModelProto:
    """x (batch, 2, height, width) -> Conv to 3 channels -> GlobalAveragePool -> logits (batch, 4)."""
    net = Network()
    value = net.node("Conv", "x", net.weight("conv", 3, 2, 3, 3), kernel_shape=[3, 3])
    value = net.node("Flatten", net.node("GlobalAveragePool", value))
    net.node("MatMul", value, net.weight("head", 3, 4), output="logits")
    return net.model({"x": ("batch", 2, height, width)}, {"logits": ("batch", 4)})


def r_of(manifest: svgd_onnx.Manifest) -> dict[str, tuple[str, list[int]]]:
    return {item.parameter: (item.granularity, item.state_shape) for item in manifest.operations}


def test_auto_is_element_where_sizes_are_fixed(trainer_of: MakeTrainer) -> None:
    assert r_of(trainer_of(convolution(8, 9)).manifest) == {
        "conv": ("element", [3, 6, 7]),
        "head": ("element", [4]),
    }


def test_auto_is_channel_where_they_are_open(trainer_of: MakeTrainer) -> None:
    """Images of any size then train with the same r."""
    trainer = trainer_of(convolution("height", "width"))
    assert r_of(trainer.manifest) == {"conv": ("channel", [3]), "head": ("element", [4])}
    for size in (5, 8):
        x = np.ones((2, 2, size, size + 1), np.float32)
        trainer.train_step({"x": x, "labels": np.array([0, 1])}, 0.1)
    assert trainer.tensor("svgd.r.conv").shape == (3,)


def test_element_needs_fixed_sizes(trainer_of: MakeTrainer) -> None:
    with pytest.raises(svgd_onnx.UserError, match="use granularity='channel'"):
        trainer_of(convolution("height", "width"), granularity="element")


def test_a_glob_of_the_scope_that_matches_nothing_is_refused(trainer_of: MakeTrainer) -> None:
    with pytest.raises(svgd_onnx.UserError, match="t_scope 'nothing' matches no"):
        trainer_of(convolution(8, 8), t_scope=["nothing"])


def test_globs_say_where_t_acts(trainer_of: MakeTrainer) -> None:
    operations = trainer_of(convolution(8, 8), t_scope=["conv*"]).manifest.operations
    assert {item.parameter: item.state is not None for item in operations} == {
        "conv": True,
        "head": False,
    }
