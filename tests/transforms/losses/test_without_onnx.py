"""What a device asks of a loss needs neither onnx nor onnx-ir."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import models

import svgd_onnx
from svgd_onnx.transforms.losses import LOSSES

ASK_EVERY_LOSS = """
import sys
sys.modules["onnx"] = sys.modules["onnx_ir"] = None  # to import one is an error now
import numpy as np
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses import LOSSES

random = np.random.default_rng(0)
prediction = random.normal(size=(6, 5)).astype(np.float32)
for name, loss in LOSSES.items():
    settings = LossSettings(class_axis=1 if loss.has_classes else None)
    axes = len(loss.target_shape(prediction.shape))
    target = loss.random_target(prediction, settings.class_axis, axes, random)
    assert target.dtype == loss.target_dtype
    loss.check_form(target, axes, "Array 'target' in the data")
    loss.check_counting(target, settings, "array 'target' of the data")
    wanted = {"int64": (0, 4), "float32": (0, None)}[loss.target_dtype]
    found = loss.target_range(["batch", 5], settings)
    assert found == (wanted if loss.has_classes else (None, None))
    answers = loss.right_answers(prediction, target, settings, logits=True)
    assert answers is None or 0 <= answers[0] <= answers[1] == target.size
    assert loss.batch_weight(6, target, settings) == 6
    print(name)
"""

CHECK_DATA = """
import sys
sys.modules["onnx"] = sys.modules["onnx_ir"] = None
from pathlib import Path
import numpy as np
from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.training import data

manifest = Manifest.load(Path(sys.argv[1]))
x = np.zeros((3, 6), np.float32)
for labels in (np.array([0, 3, 1]), np.array([0, 4, 1]), np.eye(4)[:3]):
    try:
        print(len(data.check({"x": x, "labels": labels}, manifest)))
    except UserError as error:
        print(error)
"""


def lines(script: str, *arguments: object) -> list[str]:
    """What a script prints that runs in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_every_loss_answers() -> None:
    assert lines(ASK_EVERY_LOSS) == list(LOSSES)


def test_data_is_checked(tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "artifacts")
    right, beyond, one_hot = lines(CHECK_DATA, tmp_path / "artifacts")
    assert right == "3"
    assert "has 4 in row 1, where only 0 to 3 is in range" in beyond
    assert "has shape (3, 4), as if a class were a row" in one_hot
