"""Several ranks in one, for a step that is to be looked at: all of them do, and have, the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgd_onnx.distributed.communicator import Alone


class Mirrored(Alone):
    """The first of so many ranks, each of which has what this one has.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self.size = self.neighbours = size

    def all_reduce(self, numbers: np.ndarray) -> None:
        """See `Communicator`."""
        numbers *= self.size

    def exchanged(self, messages: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        return np.repeat(messages[:1], self.size, axis=0)

    def gathered_rows(self, message: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        return np.repeat(message[np.newaxis], self.size, axis=0)

    def gathered(self, value: Any) -> list[Any]:
        """See `Communicator`."""
        return [value] * self.size
