"""A batch axis of fixed size, opened: only where every value's rows are proven to be of one example each."""

from __future__ import annotations

from svgd_onnx.transforms.open_batch.open_batch import OpenBatch

__all__ = ["OpenBatch"]
