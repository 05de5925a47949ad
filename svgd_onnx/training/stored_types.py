"""Trained numbers, which are float32, in the types that a model stores its weights in."""

from __future__ import annotations

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Parameter, Quantization

# What rounds to no more than the largest number of each type.
_LARGEST = {"float16": 65519.0, "bfloat16": 3.3961e38}


def stored(array: np.ndarray, parameter: Parameter) -> np.ndarray:
    """Numbers as the exported model has them, rounded to the nearest, ties to even.

    Integers are what QuantizeLinear makes of them, at the ends of their range where they are beyond it.

    Args:
        array: float32.
        parameter: whose they are.

    Returns:
        An array of little-endian numbers; those of bfloat16 are in uint16.

    Raises:
        UserError: a number is too large for the type.
    """
    dtype = parameter.stored_as
    if parameter.quantization is not None:
        return _integers(array, np.dtype(dtype).newbyteorder("<"), parameter.quantization)
    largest = _LARGEST.get(dtype)
    if largest is not None:
        sizes = np.abs(array[np.isfinite(array)])
        if sizes.size and float(sizes.max()) > largest:
            raise UserError(
                f"'{parameter.name}' has grown to {float(sizes.max()):.3g}, more than the {dtype} holds that "
                "the model has it in: train with a lower learning rate, or convert a model of float32."
            )
    if dtype == "bfloat16":
        return _bfloat16(array)
    return array.astype("<f2" if dtype == "float16" else "<f4", copy=False)


def _integers(array: np.ndarray, dtype: np.dtype, quantization: Quantization) -> np.ndarray:
    shape = [1] * array.ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    scale = np.array(quantization.scale, np.float32).reshape(shape)
    zero_point = np.array(quantization.zero_point, np.float64).reshape(shape)
    ends = np.iinfo(dtype)
    integers = np.rint(array / scale).astype(np.float64) + zero_point
    return np.clip(integers, ends.min, ends.max).astype(dtype)


def _bfloat16(array: np.ndarray) -> np.ndarray:
    """The upper halves of float32's bits."""
    bits = np.asarray(array, "<f4", order="C").view("<u4")
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype("<u2")
