"""A prediction with an axis of size 0 has nothing that a loss could compare, and is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models import Network

import svgd_onnx


def _no_classes(net: Network) -> tuple[Any, Any, dict[str, Any]]:
    net.node("MatMul", "x", net.weight("w", 4, 0), output="logits")
    return {"x": ("batch", 4)}, {"logits": ("batch", 0)}, {}


def _no_positions(net: Network) -> tuple[Any, Any, dict[str, Any]]:
    net.node("MatMul", "x", net.weight("w", 4, 3), output="logits")
    return (
        {"x": ("batch", 0, 4)},
        {"logits": ("batch", 0, 3)},
        {"loss_settings": svgd_onnx.LossSettings(class_axis=2)},
    )


@pytest.mark.parametrize("build", [_no_classes, _no_positions])
@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_it_is_refused(
    build: Callable[[Network], tuple[Any, Any, dict[str, Any]]],
    loss: str,
    target: str,
    tmp_path: Path,
) -> None:
    net = Network()
    inputs, outputs, settings = build(net)
    settings = settings if loss == "cross-entropy" else {}
    model = net.model(inputs, outputs)
    with pytest.raises(svgd_onnx.UserError, match="'logits'.* has no numbers: it is of the shape"):
        svgd_onnx.convert(model, tmp_path / "a", loss=loss, target=target, **settings)
    assert not list(tmp_path.iterdir())
    with pytest.raises(svgd_onnx.UserError, match="has no numbers"):
        svgd_onnx.check(model, loss=loss, **settings)
