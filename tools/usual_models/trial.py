"""A model is converted, trained and exported, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Dead before it is asked for anything.
_LONGEST = 1800


@dataclass(frozen=True)
class Conversion:
    """What a conversion took.

    Attributes:
        seconds: of `convert`, without imports.
        size: of the model's files, in bytes.
        memory: the most that was resident beyond what the imports took, in bytes.
    """

    seconds: float
    size: int
    memory: int

    @property
    def times(self) -> float:
        """Memory by the model's size."""
        return self.memory / self.size


class TrialError(Exception):
    """A process ended with an error; its last line."""


def convert(
    python: str, model: Path, folder: Path, target: str, options: Mapping[str, Any]
) -> Conversion:
    """Makes artifacts, and measures it.

    Args:
        python: of an environment with svgd-onnx and an onnxruntime.
        model: an ONNX file, external data beside it.
        folder: for the artifacts.
        target: of `convert`.
        options: keywords of `convert`, and those of `LossSettings`.

    Raises:
        TrialError: says why.
    """
    words = json.dumps({**options, "target": target})
    found = run(python, "convert", model, folder, words)
    size = sum(path.stat().st_size for path in model.parent.glob(f"{model.name}*"))
    return Conversion(found["seconds"], size, found["bytes"])


def run(python: str, command: str, *words: Path | str) -> dict[str, Any]:
    """One command of the worker.

    Raises:
        TrialError: says why.
    """
    line = [python, "-m", "tools.usual_models.worker", command, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=_LONGEST, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise TrialError(said[-1])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def pythons(stock: str | None) -> dict[str, str]:
    """The Python for each target: this one, or that of an environment with a stock onnxruntime."""
    return {"ort-training": sys.executable, "onnx": stock or sys.executable}
