"""A step over several ranks: what is to be averaged over them is marked, and the step is cut there."""

from __future__ import annotations

from svgd_onnx.transforms.data_parallel.all_reduce import ALL_REDUCE, DOMAIN
from svgd_onnx.transforms.data_parallel.cut import cut
from svgd_onnx.transforms.data_parallel.global_batch import GlobalBatch
from svgd_onnx.transforms.data_parallel.settings import (
    EXACT,
    LOCAL,
    SYNCHRONIZED,
    DataParallelSettings,
)

__all__ = [
    "ALL_REDUCE",
    "DOMAIN",
    "EXACT",
    "LOCAL",
    "SYNCHRONIZED",
    "DataParallelSettings",
    "GlobalBatch",
    "cut",
]
