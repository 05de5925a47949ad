"""What a trainer asks of a runtime."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from svgd_onnx.errors import UserError, first_line
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.step_names import GRADIENT_NORMS, VIRTUAL_GRADIENT_NORMS, beside
from svgd_onnx.targets.index_at_fault import IndexAtFault, find
from svgd_onnx.targets.training_progress import TrainingProgress

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


def norm_outputs(manifest: Manifest) -> list[str]:
    """The outputs of a step that are norms of gradients."""
    if not manifest.gradient_norms:
        return []
    has_t = any(each.state is not None for each in manifest.operations)
    names = (GRADIENT_NORMS, VIRTUAL_GRADIENT_NORMS) if has_t else (GRADIENT_NORMS,)
    return [beside(name, manifest.own_names) for name in names]


class BatchError(UserError):
    """A session does not take a batch.

    Attributes:
        index: the number in it that is out of range; None if that is not what is wrong.
    """

    def __init__(self, message: str, index: IndexAtFault | None = None) -> None:
        super().__init__(message)
        self.index = index


@contextmanager
def batch_at_fault(tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> Iterator[None]:
    """Around a run of a session that has loaded: what it cannot run then is of the batch.

    Args:
        tensors: what the arrays are for.
        arrays: the batch.

    Raises:
        BatchError: onnxruntime raised; its words are in the sentence, or what they are about.
    """
    try:
        yield
    except Exception as error:  # the binding has an exception class for each status
        index = find(str(error), tensors, arrays)
        if index is not None:
            raise BatchError(str(index.error("the batch")), index) from error
        raise BatchError(
            f"onnxruntime cannot run the model on this batch ({_reason(error)}): see whether the sizes "
            "and indices in the data are ones that the model can take."
        ) from error


@contextmanager
def rows_at_fault(source: str, rows: Sequence[int] | np.ndarray) -> Iterator[None]:
    """Around a run on rows of some data, by whose numbers a number out of range is named.

    Args:
        source: what to call the data.
        rows: those of the batch.

    Raises:
        UserError: the batch was not taken.
    """
    try:
        yield
    except BatchError as error:
        if error.index is None:
            raise
        raise error.index.error(source, rows) from error


def _reason(error: Exception) -> str:
    """What a kernel says, without where in onnxruntime's sources it says that."""
    _, found, status = str(error).rpartition("Status Message: ")
    return first_line(RuntimeError(status)) if found else first_line(error)


class Session(Protocol):
    """Artifacts, opened for training.

    Attributes:
        progress: what the checkpoint says.
        kernels: whose kernels train, "fast" or "standard".
        device: what runs the steps, as --device has it.
        nodes: of a step, how many of each operator, by the provider of onnxruntime's that runs them. Empty on
            the processor, and before the first step where that is known only then.
        holds_signals: whether signals wait for the end of a step, as it writes parameters where they lie; not
            where a step is so short that holding them would be felt.
    """

    progress: TrainingProgress
    kernels: str
    device: str
    nodes: dict[str, Counter[str]]
    holds_signals: bool

    def train_step(
        self, arrays: Sequence[np.ndarray], learning_rate: float, *, update: bool, seed: int | None
    ) -> float:
        """The loss of a batch; NaN or infinite if the loss, a gradient or a state is, and nothing changes.

        Args:
            arrays: the model's inputs and the label, in the manifest's order.
            learning_rate: alpha.
            update: whether this is the last batch of a step; False where gradients are accumulated.
            seed: of what the step draws at random, 31 bits; None if it draws nothing.
        """
        ...

    def not_finite(self) -> list[str]:
        """The tensors of the checkpoint that the last step would have made NaN or infinite.

        To be asked after a step whose loss is not finite.
        """
        ...

    def eval_step(
        self, arrays: Sequence[np.ndarray], *, seed: int | None = None, trained: bool = False
    ) -> list[np.ndarray]:
        """The loss and the model's outputs, in inference mode.

        Args:
            arrays: the model's inputs and the label, in the manifest's order.
            seed: as of a training step; Dropout drops nothing, but a model may draw.
            trained: whether of the parameters as they are, where there are averages of them.
        """
        ...

    def tensor(self, name: str) -> np.ndarray:
        """A tensor of the checkpoint as it is now: a copy, or a view that the next step changes.

        Raises:
            UserError: the checkpoint has none of that name.
        """
        ...

    def set_tensor(self, name: str, array: np.ndarray) -> None:
        """Replaces a tensor of the checkpoint as it is now.

        Args:
            name: its name.
            array: float32, of its shape.

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

    def gradient_norms(self) -> list[np.ndarray]:
        """Norms of the gradients that the last batch gave each parameter of the manifest's `gradient_norms`.

        Those of gradients without T, and where there is a T those of virtual gradients; float32 (parameters).
        """
        ...

    def settle(self) -> None:
        """Has ranks share what each keeps for itself, before the first of them saves; one alone has none."""
        ...

    def save(self, progress: TrainingProgress) -> None:
        """Replaces the checkpoint, all at once.

        Raises:
            UserError: it cannot be written; the one that was there stays.
        """
        ...
