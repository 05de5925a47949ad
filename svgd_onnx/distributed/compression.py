"""Sums over ranks whose numbers travel as float16, while what that rounds off is sent with the next ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svgd_onnx.distributed.communicator import Communicator
from svgd_onnx.errors import UserError, check_choice, option

FLOAT16 = "float16"
_CHOICES = (FLOAT16,)

# The largest number of a message becomes one below 2^15, of which float16 has up to 2^16.
_EXPONENT = 15
# Of the largest number; beyond it factors would not be float32. What is so small is nothing beside it.
_LEAST = -100
# In place of an exponent: a number of the message is NaN or infinite.
_NOT_FINITE = 32767

# float16 has so many bits less of a number than float32, whose exponent is so much larger, in its place there.
_FEWER = 13
_BIAS = (127 - 15) << 10
_NORMAL, _SIGN = 1 << 10, 0x8000
# So many numbers of 4 bytes, and what is computed of them, are in a processor's cache.
_BLOCK = 1 << 14


def check_compress(compress: str | None, communicator: Communicator | None) -> None:
    """Refuses what is no choice, and a choice where nothing is sent.

    Raises:
        UserError: says which.
    """
    if compress is None:
        return
    check_choice("compress", compress, _CHOICES)
    if communicator is None:
        raise UserError(
            f"{option('compress')} is of training on several ranks, and this process trains alone: start "
            f"several by mpirun, or leave it out."
        )


class CompressedSum:
    """A sum over ranks in two messages of float16: terms to those who add them up, and sums to all.

    Each of K ranks adds up a K-th of the numbers, in float32, so that 2 (K - 1) / K times their number travel,
    as in a ring, each in 2 bytes. A message has one scale, a power of 2, by its largest number: float16 has 11
    bits of all that is larger than 2^-29 of it.

    What rounding loses stays where it was lost, as a residual, and is added to the numbers of the next sum
    ("error feedback": Seide et al., "1-bit stochastic gradient descent", 2014; in two messages Tang et al.,
    "1-bit Adam", 2021). So the sums of all steps and the residuals of all ranks are together what was to be
    summed.

    Args:
        communicator: of the ranks.
        count: how many numbers there are.

    Attributes:
        nbytes: of this rank's terms on their way.
    """

    def __init__(self, communicator: Communicator, count: int) -> None:
        self._communicator, self._count = communicator, count
        shape = (communicator.size, -(-count // communicator.size))
        # memory that stays: new pages would take longer than what is computed in them
        self._owed, self._left, self._decoded = (np.zeros(shape, np.float32) for _ in range(3))
        self._sent = np.zeros((shape[0], 1 + shape[1]), np.uint16)
        self._answer = np.zeros((1, 1 + shape[1]), np.uint16)
        self._total: np.ndarray | None = None
        self.nbytes = self._sent.nbytes

    @property
    def residual(self) -> np.ndarray:
        """What is left on this rank; a view."""
        return self._flat(self._left)

    def all_reduce(self, numbers: np.ndarray) -> None:
        """Makes float32 numbers their sums, of the same bits on all ranks; NaN where one is not finite.

        Args:
            numbers: (count), contiguous; what is computed is there.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            self._all_reduce(numbers)

    def _all_reduce(self, numbers: np.ndarray) -> None:
        rank, owed, decoded = self._communicator.rank, self._owed, self._decoded
        np.add(numbers, self.residual, out=self._flat(owed))
        _pack(owed, self._sent)
        _unpack(self._communicator.exchanged(self._sent), decoded)
        decoded[rank] = owed[rank]  # what does not travel is not rounded
        total = decoded.sum(axis=0, keepdims=True)
        _pack(total, self._answer)
        owed -= _unpack(self._sent, decoded)
        owed[rank] = (total - _unpack(self._answer, decoded[:1]))[0]
        _unpack(self._communicator.gathered_rows(self._answer[0]), decoded)
        numbers[...] = self._flat(decoded)

    def _flat(self, parts: np.ndarray) -> np.ndarray:
        flat: np.ndarray = parts.reshape(-1)[: self._count]
        return flat

    def keep(self) -> None:
        """Takes the residual of the last sum; without this the next sum is as if that had not been."""
        self._left, self._owed, self._total = self._owed, self._left, None

    def settle(self) -> np.ndarray:
        """Divides what all ranks have left evenly among them; gives the sum, the same on all ranks."""
        if self._total is None:
            self.begin(self._summed())
        assert self._total is not None
        return self._total

    def begin(self, total: np.ndarray) -> None:
        """Takes this rank's share of what was left when a checkpoint was saved."""
        self._total = total
        np.divide(total, np.float32(self._communicator.size), out=self.residual)

    def _summed(self) -> np.ndarray:
        total: np.ndarray = self.residual.copy()
        self._communicator.all_reduce(total)
        return total


def _pack(numbers: np.ndarray, messages: np.ndarray) -> None:
    """Writes messages, a row each: the exponent of the scale, int16, and float16 numbers, all as uint16.

    By their bits, as NumPy takes 10 times as long for small numbers. Those that are subnormal ones of float16
    become 0, and halves are rounded away from it. Where a number is not finite, a message says which are.
    """
    largest = np.maximum(numbers.max(axis=1), -numbers.min(axis=1))
    finite = np.isfinite(largest)
    exponents = np.maximum(np.frexp(np.where(finite, largest, 1))[1], _LEAST)
    messages[:, 0] = np.where(finite, exponents, _NOT_FINITE).astype(np.int16).view(np.uint16)
    factors, words = _power(_EXPONENT - exponents), messages[:, 1:]
    for part in _parts(numbers.shape):
        bits = (numbers[:, part] * factors).view(np.int32)
        signs = bits >> 16 & _SIGN
        bits &= 0x7FFFFFFF
        bits += 1 << (_FEWER - 1)
        bits >>= _FEWER
        bits -= _BIAS
        bits *= bits >= _NORMAL
        bits |= signs
        words[:, part] = bits
    for row in np.flatnonzero(~finite):
        words[row] = ~np.isfinite(numbers[row])


def _unpack(messages: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Writes, and gives, the numbers of messages, float32."""
    exponents = messages[:, 0].view(np.int16).astype(np.int32)
    factors, words = _power(exponents - _EXPONENT), messages[:, 1:]
    for part in _parts(numbers.shape):
        given = words[:, part].astype(np.int32)
        bits = given & 0x7FFF
        bits += _BIAS
        bits *= bits > _BIAS
        bits <<= _FEWER
        given &= _SIGN
        given <<= 16
        bits |= given
        np.multiply(bits.view(np.float32), factors, out=numbers[:, part])
    for row in np.flatnonzero(exponents == _NOT_FINITE):
        numbers[row] = np.where(words[row], np.nan, 0)
    return numbers


def _parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """Columns, in parts that stay in a cache."""
    step = max(1, _BLOCK // shape[0])
    return (slice(start, start + step) for start in range(0, shape[1], step))


def _power(exponents: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.ldexp(np.float32(1), exponents)[:, np.newaxis]
    return powers
