"""Training on several machines that share a job: who takes part, and how they exchange numbers."""

from __future__ import annotations

from svgd_onnx.distributed.communicator import ALONE, Communicator
from svgd_onnx.distributed.job import join

__all__ = ["ALONE", "Communicator", "join"]
