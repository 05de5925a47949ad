"""Every setting of T has an effect, and the manifest tells which it was."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import models
import pytest

import svgd_onnx
from svgd_onnx.transforms.virtualize import VirtualGradientSettings

# Another value than the default.
OTHERS: dict[str, Any] = {
    "scale": 0.5,
    "rho": 0.5,
    "epsilon": 0.5,
    "t_scope": ("all-linear",),
    "granularity": "channel",
    "gradient": "example",
    "t_kernel": "portable",
    "encapsulation": "operators",
}


def test_every_setting_has_another_value() -> None:
    assert OTHERS.keys() == {field.name for field in fields(VirtualGradientSettings)}


@pytest.mark.parametrize("name", OTHERS)
def test_it_changes_the_training_graph(name: str, tmp_path: Path) -> None:
    graphs = []
    for folder, settings in (("plain", {}), ("other", {name: OTHERS[name]})):
        svgd_onnx.convert(
            models.residual(), tmp_path / folder, target="ort-training", verify=False, **settings
        )
        graphs.append((tmp_path / folder / "training_model.onnx").read_bytes())
    assert graphs[0] != graphs[1]


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("name", sorted(OTHERS.keys() - {"t_kernel", "encapsulation"}))
def test_it_changes_the_steps_of_either_kernel_alike(
    name: str, target: str, tmp_path: Path
) -> None:
    losses: dict[tuple[str, bool], list[float]] = {}
    for kernel in ("fused", "portable"):
        for changed in (False, True):
            folder = tmp_path / f"{kernel}-{changed}"
            settings = {name: OTHERS[name]} if changed else {}
            svgd_onnx.convert(
                models.residual(), folder, target=target, t_kernel=kernel, verify=False, **settings
            )
            trainer = svgd_onnx.Trainer(folder, threads=1, kernels="standard")
            batch = models.examples(models.residual())
            losses[kernel, changed] = [trainer.train_step(batch, 0.1) for _ in range(4)]
    for changed in (False, True):
        assert losses["fused", changed] == pytest.approx(losses["portable", changed], rel=1e-4)
    assert losses["fused", True] != losses["fused", False]
