"""Operators that neither the onnx package (1.23) nor the check evaluates as node cases have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as _ReferenceResize

from svgd_onnx.gradient_check.double_precision import resize


class MaxUnpool(OpRun):
    """ONNX operator MaxUnpool; places are counted in the given shape, as in onnxruntime."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        places: np.ndarray,
        shape: np.ndarray | None = None,
        kernel_shape: Sequence[int] = (),
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        if shape is None:
            count = len(kernel_shape)
            cut = np.reshape(pads or [0] * (2 * count), (2, count)).sum(axis=0)
            between = np.array(strides or [1] * count)
            inner = (np.array(x.shape[2:]) - 1) * between - cut + kernel_shape
            shape = np.array([*x.shape[:2], *inner])
        y = np.zeros(int(np.prod(shape)), x.dtype)
        y[places.ravel()] = x.ravel()
        return (y.reshape(shape),)


class Resize(resize.Resize):
    """ONNX operator Resize; where it crops, the onnx package's own."""

    op_domain = ""

    def _run(self, x: np.ndarray, roi: Any = None, *others: Any, **attributes: Any) -> Any:
        if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
            return _ReferenceResize._run(self, x, roi, *others, **attributes)
        return super()._run(x, roi, *others, **attributes)


OPERATORS = [MaxUnpool, Resize]
