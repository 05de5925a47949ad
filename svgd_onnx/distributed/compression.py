"""Sums over ranks whose numbers travel as float16, while what that rounds off is sent with the next ones."""

from __future__ import annotations

import numpy as np

from svgd_onnx.distributed.communicator import Communicator
from svgd_onnx.errors import UserError, check_choice, option

FLOAT16 = "float16"
_CHOICES = (FLOAT16,)

# The largest number of a message becomes one below 2^15, of which float16 has up to 2^16.
_EXPONENT = 15
# Of the largest number; beyond it factors would not be float32. What is so small is nothing beside it.
_LEAST = -100


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
        with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity are sent as such
            self._all_reduce(numbers)

    def _all_reduce(self, numbers: np.ndarray) -> None:
        rank, owed, decoded = self._communicator.rank, self._owed, self._decoded
        np.add(numbers, self.residual, out=self._flat(owed))
        _pack(owed, decoded, self._sent)
        _unpack(self._communicator.exchanged(self._sent), decoded)
        decoded[rank] = owed[rank]  # what does not travel is not rounded
        total = decoded.sum(axis=0, keepdims=True)
        _pack(total, decoded[:1], self._answer)
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


def _pack(numbers: np.ndarray, scratch: np.ndarray, messages: np.ndarray) -> None:
    """Writes messages, a row each: the exponent of the scale, int16, and float16 numbers, all as uint16."""
    largest = np.maximum(numbers.max(axis=1), -numbers.min(axis=1))
    exponents = np.maximum(np.frexp(np.where(np.isfinite(largest), largest, 1))[1], _LEAST)
    messages[:, 0] = exponents.astype(np.int16).view(np.uint16)
    np.multiply(numbers, _power(_EXPONENT - exponents), out=scratch)
    messages[:, 1:].view(np.float16)[...] = scratch


def _unpack(messages: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Writes, and gives, the numbers of messages, float32."""
    exponents = messages[:, 0].view(np.int16).astype(np.int32)
    numbers[...] = messages[:, 1:].view(np.float16)
    numbers *= _power(exponents - _EXPONENT)
    return numbers


def _power(exponents: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.ldexp(np.float32(1), exponents)[:, np.newaxis]
    return powers
