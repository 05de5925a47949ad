"""Scales of quantized weights found anew, so that their range is that of what they have become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Parameter, Quantization
from svgd_onnx.targets.target import Values


def requantized(parameters: Sequence[Parameter], value: Values) -> list[Parameter]:
    """The parameters, those with a scale of their own with the smallest by which nothing is clipped.

    Zero points stay. The scale of a bias changes as that of its weight.

    Args:
        parameters: all of a model.
        value: that of a parameter, float32, by its name.

    Raises:
        UserError: none has a scale of its own.
    """
    factors: dict[str, np.ndarray] = {}
    for each in parameters:
        how = each.quantization
        if how is not None and how.scale_name is not None and how.follows is None:
            factors[each.name] = _factors(value(each.name), each, how)
    if not factors:
        raise UserError(
            f"No weight of the model is quantized with a scale of its own: leave out {option('requantize')}."
        )
    return [_changed(each, factors) for each in parameters]


def _factors(array: np.ndarray, parameter: Parameter, how: Quantization) -> np.ndarray:
    """What each scale is multiplied by; 1 where all numbers are 0."""
    others = tuple(axis for axis in range(array.ndim) if axis != how.axis)
    zero = np.array(how.zero_point, np.float64)
    ends = np.iinfo(parameter.stored_as)
    sides = []
    for numbers, room in (
        (array.max(others), ends.max - zero),
        (array.min(others), ends.min - zero),
    ):
        needed = np.asarray(numbers, np.float64).reshape(-1)
        sides.append(np.divide(needed, room, out=np.zeros_like(needed), where=room != 0))
    scale = np.maximum(*sides)
    given = np.array(how.scale, np.float64)
    return np.where(scale > 0, scale / given, 1.0)


def _changed(parameter: Parameter, factors: dict[str, np.ndarray]) -> Parameter:
    how = parameter.quantization
    factor = factors.get(parameter.name if how is None else how.follows or parameter.name)
    if how is None or factor is None:
        return parameter
    scale = (np.array(how.scale, np.float64) * factor).astype(np.float32)
    return replace(parameter, quantization=replace(how, scale=scale.tolist()))
