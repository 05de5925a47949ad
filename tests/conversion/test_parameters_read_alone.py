"""An initializer that an operator of one input reads."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np

import svgd_onnx


def test_a_number_that_is_handed_on_is_no_parameter(tmp_path: Path) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="logits")
    version = net.constant("version", np.array([4], np.float32))
    net.node("Identity", version, output="version_number")
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4), "version_number": (1,)})
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", prediction="logits")
    assert [item.name for item in manifest.parameters if item.trainable] == ["w"]
