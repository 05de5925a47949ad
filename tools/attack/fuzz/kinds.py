"""The kinds of files: each is made in a folder once, and is then a function that tries the case of a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from svgd_onnx.runtime import has_training
from tools.attack.fuzz.files import checkpoints, logs, npz, safetensors, schedules, svgd_json
from tools.attack.fuzz.further import adapters, configs, events
from tools.attack.fuzz.models import models
from tools.attack.fuzz.sources import sources

# Raises what the package raises.
Attempt = Callable[[int], None]

KINDS: dict[str, Callable[[Path], Attempt]] = {
    "models": models,
    "npz": npz,
    "sources": sources,
    "safetensors": safetensors,
    **({"checkpoints": checkpoints} if has_training() else {}),
    "svgd_json": svgd_json,
    "logs": logs,
    "schedules": schedules,
    "adapters": adapters,
    "configs": configs,
    "events": events,
}
