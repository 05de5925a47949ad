"""What tests of fast forms share: converted folders, what is in them, and what holds of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS

SETTINGS = {"scale": 0.1, "rho": 0.8, "epsilon": 1e-4}

# Of T, of what is trained and of steps: whatever changes a step of every kind of network.
OPTIONS: dict[str, dict[str, Any]] = {
    "of channels": {"granularity": "channel"},
    "of all linear": {"t_scope": ["all-linear"]},
    "of examples": {"gradient": "example"},
    "by twins": {"encapsulation": "operators"},
    "without T": {"optimizer": "adamw"},
    "with frozen normalizations": {"freeze_bn": True},
    "recomputed": {"recompute": True},
    "of several batches": {"target": "onnx", "accumulation_steps": 2},
}


def converted(model: onnx.ModelProto, folder: Path, target: str, **options: Any) -> Path:
    svgd_onnx.convert(model, folder, **{"target": target, "verify": False, **SETTINGS, **options})
    return folder


def operators(folder: Path, target: str) -> Counter[str]:
    """How many of each the fast form has."""
    graph = onnx.load(folder / TARGETS[target].fast_step).graph
    return Counter(node.op_type for node in graph.node)


def assert_conversion_keeps_it(
    model: onnx.ModelProto, folder: Path, warned: Sequence[Any], **options: Any
) -> None:
    """Conversion, which verifies, finds both forms to agree."""
    options = {"target": "onnx", "differentiator": "own", "verify": True, **options}
    target = options.pop("target")
    converted(model, folder, target, **options)
    assert not [str(each.message) for each in warned if "left out" in str(each.message)]
    assert (folder / TARGETS[target].fast_step).is_file()


def assert_a_spoiled_batch_changes_nothing(
    folder: Path, batch: dict[str, np.ndarray], other: dict[str, np.ndarray]
) -> None:
    """After a step on a batch another with a huge image, finite itself, leaves all as it was."""
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=1)
    names = [item.name for item in trainer.manifest.parameters]
    names += [str(item.state) for item in trainer.manifest.operations if item.state]
    trainer.train_step(batch, 0.1)
    before = {name: trainer.tensor(name).tobytes() for name in names}
    other["image"][0] = 1e30
    with pytest.raises(svgd_onnx.UserError, match="not finite|NaN|infinite"):
        trainer.train_step(other, 0.1)
    assert {name: trainer.tensor(name).tobytes() for name in names} == before
