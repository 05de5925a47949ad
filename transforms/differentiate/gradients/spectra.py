"""DFT, whose gradient is the DFT the other way."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import sizes_of
from svgd_onnx.transforms.rule import (
    constant_value,
    fixed_size,
    input_of,
    integer,
    known_constant,
    known_rank,
)


class _Transform:
    """A DFT over `axis` of a signal of `length`, of which the input may give less or more."""

    def __init__(self, back: Backward) -> None:
        self._back, self._write = back, back.write
        self._rank = known_rank(back.x)
        given = input_of(back.node, 2)
        axis = integer(back.node, "axis", 1 if back.write.opset < 20 else -2)
        if given is not None:
            axis = int(known_constant(given, "its axis is").reshape(()))
        self._axis = axis % self._rank
        self._inverse = bool(integer(back.node, "inverse", 0))
        self._one_sided = bool(integer(back.node, "onesided", 0))
        self._given = sizes_of(self._write, back.x, self._axis, self._axis + 1)
        length = input_of(back.node, 1)
        self._fits = length is None
        self._length = self._given
        if length is not None:
            self._length = self._write.node("Reshape", length, self._write.integers(1))
        elif self._inverse and self._one_sided:
            self._length = sizes_of(self._write, back.y, self._axis, self._axis + 1)

    def gradient(self) -> ir.Value:
        """By the input."""
        node, write = self._write.node, self._write
        size = write.cast(self._length, "float32")
        if self._inverse and self._one_sided:
            result = self._of_real(node("Div", self._back.dy, size))
        elif self._inverse:
            result = self._transformed(node("Div", self._back.dy, size), inverse=0)
        else:
            dy = self._back.dy
            if self._one_sided:
                half = sizes_of(write, self._back.y, self._axis, self._axis + 1)
                dy = self._resized(dy, half, self._length)
            result = node("Mul", self._transformed(dy, inverse=1), size)
        if not self._fits:
            present = self._length
            if self._inverse and self._one_sided:
                present = node("Shape", result, start=self._axis, end=self._axis + 1)
            result = self._resized(result, present, self._given)
        if fixed_size(self._back.x, self._rank - 1) == 1:
            axis, one = write.integers(self._rank - 1), write.integers(1)
            result = node("Slice", result, write.integers(0), one, axis)
        return result

    def _of_real(self, dy: ir.Value) -> ir.Value:
        """Of a real signal each term stands for two, but the first and, of an even length, the last."""
        node, write = self._write.node, self._write
        result = self._transformed(dy, inverse=0, one_sided=1)
        terms = node("Shape", result, start=self._axis, end=self._axis + 1)
        place = write.positions(terms)
        mirrored = node("Mod", node("Sub", self._length, place), self._length)
        twice = node("Not", node("Equal", mirrored, place))
        weight = node("Add", write.cast(twice, "float32"), write.scalar(1))
        after = write.integers(*range(1, self._rank - self._axis))
        return node("Mul", result, node("Unsqueeze", weight, after))

    def _transformed(self, value: ir.Value, *, inverse: int, one_sided: int = 0) -> ir.Value:
        attributes = {"inverse": inverse, "onesided": one_sided}
        if self._write.opset < 20:
            return self._write.node("DFT", value, axis=self._axis, **attributes)
        axis = self._write.integer(self._axis)
        return self._write.node("DFT", value, None, axis, **attributes)

    def _resized(self, value: ir.Value, old: ir.Value, new: ir.Value) -> ir.Value:
        """Zeros after the axis, or less of it."""
        write = self._write
        before, after = [0] * (self._rank + self._axis), [0] * (self._rank - self._axis - 1)
        sizes = [constant_value(size) for size in (old, new)]
        if sizes[0] is not None and sizes[1] is not None:
            pads = write.integers(*before, int(sizes[1][0] - sizes[0][0]), *after)
        else:
            parts = [write.integers(*before), write.node("Sub", new, old), write.integers(*after)]
            pads = write.node("Concat", *parts, axis=0)
        return write.node("Pad", value, pads)


def dft(back: Backward) -> Gradients:
    return [_Transform(back).gradient()]


SPECTRA: dict[str, GradientRule] = {"DFT": dft}
