"""What the runtime that lies here can train."""

from __future__ import annotations

from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS

# Where there is no training layer (Python from 3.13 on), what is made for it is not verified either.
RUNNABLE_TARGETS = [name for name in TARGETS if name != "ort-training" or has_training()]
