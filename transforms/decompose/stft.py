"""STFT, as DFTs of the frames of a signal."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, Rule, input_of, inputs_of, integer
from svgd_onnx.transforms.writer import Writer


def short_time_fourier_transform(node: ir.Node, write: Writer) -> ir.Value:
    signal, step = inputs_of(node, 2)
    window, length = input_of(node, 2), input_of(node, 3)
    scalar, row = write.integers(), write.integers(-1)
    if length is None:
        if window is None:
            raise RefusedError("neither its window nor the length of its frames is given")
        length = write.node("Size", window)
    length = write.node("Reshape", length, scalar)
    zero, one = write.integer(0), write.integer(1)
    whole = write.node("Reshape", write.node("Shape", signal, start=1, end=2), scalar)
    last = write.node("Add", write.node("Sub", whole, length), one)
    # each frame begins where one of these lies
    start = write.node("Range", zero, last, write.node("Reshape", step, scalar))
    within = write.node("Range", zero, length, one)
    places = write.node("Add", write.node("Unsqueeze", start, write.integers(1)), within)
    frames = write.node("Gather", signal, places, axis=1)
    if window is not None:
        column = write.node("Unsqueeze", write.node("Reshape", window, row), write.integers(1))
        frames = write.node("Mul", frames, column)
    one_sided = integer(node, "onesided", 1)
    if "onesided" not in node.attributes:
        # onnx takes it for two-sided then (1.17 to 1.23)
        node.outputs[0].shape = None
    if write.opset < 20:
        return write.node("DFT", frames, axis=2, onesided=one_sided)
    return write.node("DFT", frames, None, write.integer(2), onesided=one_sided)


STFT: dict[str, Rule] = {"STFT": short_time_fourier_transform}
