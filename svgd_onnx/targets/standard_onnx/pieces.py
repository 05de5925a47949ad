"""A step in pieces, between which tensors are summed over ranks, as if it were one session of onnxruntime's."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from svgd_onnx.distributed import Communicator
from svgd_onnx.distributed.compression import CompressedSum
from svgd_onnx.step_names import EXAMPLES, LOSS_SHARE, MEAN, PIECE, SUM

# Tensors begin at multiples of so many numbers, as kernels like it: 64 bytes.
_ALIGNED = 16


@dataclass
class Traffic:
    """What was exchanged so far.

    Attributes:
        bytes: of a rank's buffers, each counted once however often MPI sends it on.
        seconds: in reductions, waiting for other ranks included.
        reductions: how many.
    """

    bytes: int = 0
    seconds: float = 0.0
    reductions: int = 0


@dataclass
class _Bucket:
    """All that is summed after one piece, side by side in one buffer.

    Attributes:
        buffer: float32.
        parts: the slice of each kind of weight; that of gradients, SUM, is the last.
        places: where each output begins in it, and its shape.
        values: onnxruntime's, on the buffer, by the names of the piece's outputs.
        totals: the names of those in later pieces.
    """

    buffer: np.ndarray
    parts: dict[str, slice] = field(default_factory=dict)
    places: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)

    @property
    def gradients(self) -> np.ndarray:
        """The part of gradients."""
        return self.buffer[self.parts.get(SUM, slice(0, 0))]

    def cut(self, gradients: np.ndarray) -> dict[str, np.ndarray]:
        """Views of what is like the part of gradients, by the names of outputs."""
        first = self.parts[SUM].start
        return {
            name: gradients[start - first :][: int(np.prod(shape))].reshape(shape)
            for name, (start, shape) in self.places.items()
            if start >= first
        }


class Pieces:
    """Sessions of the pieces, in their order.

    Args:
        onnxruntime: the module.
        sessions: of the pieces.
        communicator: of the ranks.
        share_name: of the input that is this rank's share.
        compress: whether gradients travel as float16.

    Attributes:
        share: this rank's, of the step that is run next.
        traffic: what was exchanged.
    """

    def __init__(
        self,
        onnxruntime: Any,
        sessions: Sequence[Any],
        communicator: Communicator,
        share_name: str,
        *,
        compress: bool = False,
    ) -> None:
        self.sessions, self.communicator = list(sessions), communicator
        self._share_name = share_name
        self.share = 1.0
        self.traffic = Traffic()
        facts = [
            json.loads(each.get_modelmeta().custom_metadata_map[PIECE]) for each in self.sessions
        ]
        self.buckets = [_bucket(onnxruntime, each["reduced"]) for each in facts]
        self._compressed = [
            CompressedSum(communicator, each.gradients.size)
            if compress and each.gradients.size
            else None
            for each in self.buckets
        ]
        self._kept = [name for each in facts for name in each["kept"]]
        self.nothing = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(0, np.float32))

    def get_inputs(self) -> list[Any]:
        """What none of the pieces makes, but the share."""
        made = {self._share_name}
        made |= {value.name for each in self.sessions for value in each.get_outputs()}
        made.update(name for each in self.buckets for name in each.totals.values())
        inputs = {value.name: value for each in self.sessions for value in each.get_inputs()}
        return [value for name, value in inputs.items() if name not in made]

    def get_outputs(self) -> list[Any]:
        """What the whole step gives, its loss first."""
        outputs = {value.name: value for each in self.sessions for value in each.get_outputs()}
        loss = {value.name for value in self.sessions[-1].get_outputs()[:1]}
        return [outputs[name] for name in sorted(self._kept, key=lambda name: name not in loss)]

    def io_binding(self) -> PiecesBinding:
        """One for each piece."""
        return PiecesBinding(self)

    def run_with_iobinding(self, binding: PiecesBinding) -> None:
        """Runs the step."""
        try:
            for place, session in enumerate(self.sessions):
                session.run_with_iobinding(binding.parts[place])
                binding.hand_on(place)
                self._sum(place)
        finally:
            binding.let_go()

    def _sum(self, place: int) -> None:
        bucket, compressed = self.buckets[place], self._compressed[place]
        if not bucket.values:
            return
        size = self.communicator.size
        weights = {MEAN: 1 / size, EXAMPLES: size, LOSS_SHARE: self.share, SUM: 1.0}
        for kind, part in bucket.parts.items():
            if weights[kind] != 1:
                bucket.buffer[part] *= np.float32(weights[kind])
        started = time.perf_counter()
        plain = bucket.buffer
        if compressed is not None:
            compressed.all_reduce(bucket.gradients)
            plain = plain[: -bucket.gradients.size]
            self.traffic.bytes += compressed.nbytes
        if plain.size:
            self.communicator.all_reduce(plain)
        self.traffic.seconds += time.perf_counter() - started
        self.traffic.bytes += plain.nbytes
        self.traffic.reductions += 1

    def keep(self) -> None:
        """Says that the last step counts, and with it what float16 has left of its sums."""
        for compressed in self._compressed:
            if compressed is not None:
                compressed.keep()

    def residuals(self) -> dict[str, np.ndarray]:
        """What that was over all ranks, among whom it is divided evenly; by names of what is summed."""
        return {
            name: array
            for bucket, compressed in zip(self.buckets, self._compressed)
            if compressed is not None
            for name, array in bucket.cut(compressed.settle()).items()
        }

    def begin(self, residuals: Mapping[str, np.ndarray]) -> None:
        """Takes this rank's share of what a checkpoint has; what that does not have is 0."""
        for bucket, compressed in zip(self.buckets, self._compressed):
            if compressed is not None:
                total = np.zeros_like(bucket.gradients)
                for name, array in bucket.cut(total).items():
                    if name in residuals and residuals[name].shape == array.shape:
                        array[...] = residuals[name]
                compressed.begin(total)


class PiecesBinding:
    """Bindings of the pieces: what is bound by a name is bound wherever a piece has it.

    Args:
        pieces: of the step.

    Attributes:
        parts: the binding of each piece.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.parts = [each.io_binding() for each in pieces.sessions]
        self._inputs = [{value.name for value in each.get_inputs()} for each in pieces.sessions]
        self._outputs = [[value.name for value in each.get_outputs()] for each in pieces.sessions]
        self._carried: list[dict[str, int]] = []
        kept = {value.name for value in pieces.get_outputs()}
        for place, part in enumerate(self.parts):
            bucket = pieces.buckets[place]
            order = {}
            for index, name in enumerate(self._outputs[place]):
                if name in bucket.values:
                    part.bind_ortvalue_output(name, bucket.values[name])
                    self._bind_later(place, bucket.totals[name], bucket.values[name])
                else:
                    part.bind_output(name, "cpu")
                    if name not in kept:
                        order[name] = index
            self._carried.append(order)

    def bind_cpu_input(self, name: str, array: np.ndarray) -> None:
        """As onnxruntime's."""
        for part, inputs in zip(self.parts, self._inputs):
            if name in inputs:
                part.bind_cpu_input(name, array)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        """As onnxruntime's."""
        for part, inputs in zip(self.parts, self._inputs):
            if name in inputs:
                part.bind_ortvalue_input(name, value)

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        """As onnxruntime's; later pieces that read it read it there."""
        for place, outputs in enumerate(self._outputs):
            if name in outputs:
                self.parts[place].bind_ortvalue_output(name, value)
                self._bind_later(place, name, value)

    def hand_on(self, place: int) -> None:
        """Gives later pieces what one has just made, as it lies."""
        if self._carried[place]:
            made = self.parts[place].get_outputs()
            for name, index in self._carried[place].items():
                self._bind_later(place, name, made[index])

    def let_go(self) -> None:
        """Keeps nothing of what was handed on until the next step."""
        for place, carried in enumerate(self._carried):
            for name in carried:
                self.parts[place].bind_output(name, "cpu")
                self._bind_later(place, name, self._pieces.nothing)

    def _bind_later(self, place: int, name: str, value: Any) -> None:
        for part, inputs in zip(self.parts[place + 1 :], self._inputs[place + 1 :]):
            if name in inputs:
                part.bind_ortvalue_input(name, value)


def _bucket(onnxruntime: Any, reduced: Sequence[tuple[str, str, str, list[int]]]) -> _Bucket:
    """A buffer for what is summed after a piece; what has one weight lies together."""
    places: list[tuple[str, str, str, list[int], int]] = []
    parts: dict[str, slice] = {}
    total = 0
    for output, later, weight, shape in sorted(reduced, key=lambda each: (each[2] == SUM, each[2])):
        start = parts[weight].start if weight in parts else total
        places.append((output, later, weight, shape, total))
        total += -(-int(np.prod(shape)) // _ALIGNED) * _ALIGNED
        parts[weight] = slice(start, total)
    bucket = _Bucket(_aligned_zeros(total), parts)
    for output, later, _, shape, start in places:
        array = bucket.buffer[start : start + int(np.prod(shape))].reshape(shape)
        bucket.values[output] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        bucket.totals[output] = later
        bucket.places[output] = (start, shape)
    return bucket


def _aligned_zeros(count: int) -> np.ndarray:
    whole = np.zeros(count + _ALIGNED, np.float32)
    start = -(whole.ctypes.data // 4) % _ALIGNED
    return whole[start : start + count]
