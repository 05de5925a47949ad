"""Trained numbers, which are float32, in the types that a model stores its weights in."""

from __future__ import annotations

import numpy as np

from svgd_onnx.errors import UserError

# What rounds to no more than the largest number of each type.
_LARGEST = {"float16": 65519.0, "bfloat16": 3.3961e38}


def stored(array: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """Numbers in another type, rounded to the nearest, ties to even.

    Args:
        array: float32.
        dtype: "float32", "float16" or "bfloat16".
        name: what to call the tensor in a message.

    Returns:
        An array of little-endian numbers; those of bfloat16 are in uint16.

    Raises:
        UserError: a number is too large for the type.
    """
    largest = _LARGEST.get(dtype)
    if largest is not None:
        sizes = np.abs(array[np.isfinite(array)])
        if sizes.size and float(sizes.max()) > largest:
            raise UserError(
                f"'{name}' has grown to {float(sizes.max()):.3g}, more than the {dtype} holds that the model "
                "has it in: train with a lower learning rate, or convert a model of float32."
            )
    if dtype == "bfloat16":
        return _bfloat16(array)
    return array.astype("<f2" if dtype == "float16" else "<f4", copy=False)


def _bfloat16(array: np.ndarray) -> np.ndarray:
    """The upper halves of float32's bits."""
    bits = np.asarray(array, "<f4", order="C").view("<u4")
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype("<u2")
