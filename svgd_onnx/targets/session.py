"""What a trainer asks of a runtime."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from svgd_onnx.errors import UserError, first_line


@dataclass(frozen=True)
class TrainingProgress:
    """How far training has come, and what its order of examples depends on; each 0 before training.

    Attributes:
        step: steps so far.
        seed: 64 bits.
        batch_size: examples a step.
        skipped: how many of the steps were left out, since they were not finite.
    """

    step: int = 0
    seed: int = 0
    batch_size: int = 0
    skipped: int = 0


# onnxruntime has one seed for the whole process.
_SEED_IN_USE = threading.Lock()


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Around a run of an onnxruntime session: what it draws at random follows from the seed alone.

    Runs that draw wait for each other, in whichever threads they are. None is for one that draws nothing.
    """
    if seed is None:
        yield
        return
    import onnxruntime

    with _SEED_IN_USE:
        onnxruntime.set_seed(seed)
        yield


def no_tensor(folder: Path, name: str) -> UserError:
    """What to raise where a checkpoint has no tensor of a name."""
    return UserError(f"The checkpoint of '{folder}' has no tensor '{name}': svgd.json lists them.")


@contextmanager
def batch_at_fault() -> Iterator[None]:
    """Around a run of a session that has loaded: what it cannot run then is of the batch.

    Raises:
        UserError: onnxruntime raised; its words are in the sentence.
    """
    try:
        yield
    except Exception as error:  # the binding has an exception class for each status
        raise UserError(
            f"onnxruntime cannot run the model on this batch ({first_line(error)}): see whether the sizes "
            "and indices in the data are ones that the model can take."
        ) from error


class Session(Protocol):
    """Artifacts, opened for training.

    Attributes:
        progress: what the checkpoint says.
    """

    progress: TrainingProgress

    def train_step(
        self, arrays: Sequence[np.ndarray], learning_rate: float, *, update: bool, seed: int | None
    ) -> float:
        """The loss of a batch; NaN or infinite if the loss, a gradient or a state is, and nothing changes.

        Args:
            arrays: the model's inputs and the label, in the manifest's order.
            learning_rate: alpha.
            update: whether this is the last batch of a step; False where gradients are accumulated.
            seed: of what the step draws at random (Dropout), 31 bits; None if it draws nothing.
        """
        ...

    def not_finite(self) -> list[str]:
        """The tensors of the checkpoint that the last step would have made NaN or infinite.

        To be asked after a step whose loss is not finite.
        """
        ...

    def eval_step(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The loss and the model's outputs, in inference mode."""
        ...

    def tensor(self, name: str) -> np.ndarray:
        """A tensor of the checkpoint as it is now: a copy, or a view that the next step changes.

        Raises:
            UserError: the checkpoint has none of that name.
        """
        ...

    def gradient(self, parameter: str) -> np.ndarray:
        """The (virtual) gradient that the last step gave a parameter.

        Raises:
            UserError: it is no trainable parameter, or the target keeps no gradients.
        """
        ...

    def save(self, progress: TrainingProgress) -> None:
        """Replaces the checkpoint, all at once.

        Raises:
            UserError: it cannot be written; the one that was there stays.
        """
        ...
