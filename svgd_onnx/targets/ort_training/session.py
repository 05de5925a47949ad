"""Training on onnxruntime's training session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, check_choice, first_line, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import custom_op_library, inference_runtime, training_binding
from svgd_onnx.targets.checkpoint_names import name_of_step
from svgd_onnx.targets.external_references import checked_model
from svgd_onnx.targets.kernels import AUTO, FAST, choose_kernels
from svgd_onnx.targets.memory_arena import memory_arena
from svgd_onnx.targets.ort_training import checkpoint
from svgd_onnx.targets.ort_training.file_names import (
    CHECKPOINT,
    FAST_MODEL,
    OPTIMIZER_MODEL,
    TRAINING_MODEL,
)
from svgd_onnx.targets.session import batch_at_fault, no_tensor, norm_outputs, seeded
from svgd_onnx.targets.target import EVAL_MODEL
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.threads import session_threads
from svgd_onnx.transforms.optimizers import OPTIMIZERS

# Bytes of parameters, of whose step the microseconds that signals are held in are no part that counts.
_LARGE = 1 << 20


class OrtTrainingSession:
    """A `Session` on onnxruntime-training.

    Args:
        folder: artifacts of the target ort-training.
        manifest: theirs.
        threads: threads within an operator; None lets onnxruntime choose.
        kernels: whose kernels train, one of `KERNELS`.
        step: of the kept checkpoint to begin from; None for the folder's own.

    Raises:
        UserError: an artifact is missing or damaged, or this environment cannot train.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int | None = None,
        kernels: str = AUTO,
        step: int | None = None,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._binding = training_binding()
        check_choice("optimizer", manifest.update, OPTIMIZERS)
        self._has_state = not manifest.directs and OPTIMIZERS[manifest.update].state_size(()) > 0
        self.device = "cpu"
        self.nodes: dict[str, Counter[str]] = {}
        self.kernels = choose_kernels(kernels, folder, manifest, FAST_MODEL, self.device)
        self.holds_signals = sum(each.nbytes for each in manifest.parameters) >= _LARGE
        model = FAST_MODEL if self.kernels == FAST else TRAINING_MODEL
        if self.kernels == FAST:
            checked_model(folder, manifest, TRAINING_MODEL)  # others train by that one
        models = [
            str(checked_model(folder, manifest, name))
            for name in (model, EVAL_MODEL, OPTIMIZER_MODEL)
        ]
        path = folder / name_of_step(CHECKPOINT, step)
        state = checkpoint.load(path, manifest)
        self.progress = checkpoint.progress(state, path)
        library = manifest.needs_library or self.kernels == FAST
        options = _session_options(threads, library=library)
        arena = memory_arena(inference_runtime())
        arena.use(options)
        arena.give_back_after(self)
        # It would take one block for all of a step, beside what the first step took.
        options.enable_mem_pattern = False
        binding = self._binding
        device = binding.OrtDevice(binding.OrtDevice.cpu(), binding.OrtDevice.default_memory(), 0)
        try:
            training, evaluation, optimizer = models
            self._module = binding.Module(training, state, evaluation, device, options)
            self._optimizer = binding.Optimizer(optimizer, state, device, options)
        except Exception as error:  # the binding has an exception class for each status
            raise UserError(
                f"A model in '{folder}' is damaged: convert the model again, and put the checkpoint in "
                f"its place to go on ({first_line(error)})."
            ) from error
        # The last, which Python lets go of last: the optimizer writes to it when it goes.
        self._state = state
        states = [each.name for each in manifest.states]
        changed = [*manifest.running_statistics, *manifest.r, *states]
        arrays = {name: checkpoint.array(self._state, name) for name in changed}
        self._in_place = {name: (array, np.empty_like(array)) for name, array in arrays.items()}
        self._of_all = {
            each.state: arrays[each.name] for each in manifest.states if each.parameter is None
        }
        self._not_finite: list[str] = []
        zeros = np.zeros(len(manifest.gradient_norms), np.float32)
        self._norms = [zeros for _ in norm_outputs(manifest)]

    def train_step(
        self,
        arrays: Sequence[np.ndarray],
        learning_rate: float,
        *,
        update: bool = True,
        seed: int | None = None,
    ) -> float:
        """See `Session`."""
        fetches = self._binding.OrtValueVector()
        self._tell(update=float(update), learning_rate=learning_rate)
        self._keep()
        try:
            with batch_at_fault(self._manifest.arrays, arrays), seeded(seed):
                self._module.train_step(list(arrays), fetches)
            loss = float(fetches[0].numpy())
            self._norms = [np.array(fetches[1 + at].numpy()) for at in range(len(self._norms))]
        except BaseException:
            self._put_back()
            raise
        # What comes next starts from a clean gradient, whether or not this step counts.
        self._module.lazy_reset_grad()
        if math.isfinite(loss) and update:
            self._optimizer.set_learning_rate(learning_rate)
            self._optimizer.optimizer_step()
        elif not math.isfinite(loss):
            self._not_finite = self._find_not_finite()
            self._put_back()
        return loss

    def not_finite(self) -> list[str]:
        """See `Session`."""
        return self._not_finite

    def eval_step(
        self, arrays: Sequence[np.ndarray], *, seed: int | None = None, trained: bool = False
    ) -> list[np.ndarray]:
        """See `Session`."""
        fetches = self._binding.OrtValueVector()
        with (
            self._in_place_of_averages() if trained else nullcontext(),
            batch_at_fault(self._manifest.arrays, arrays),
            seeded(seed),
        ):
            self._module.eval_step(list(arrays), fetches)
        return [fetches[index].numpy() for index in range(len(fetches))]

    def tensor(self, name: str) -> np.ndarray:
        """See `Session`; a view."""
        if not self._state.has_parameter(name):
            raise no_tensor(self._folder, name)
        return checkpoint.array(self._state, name)

    def set_tensor(self, name: str, array: np.ndarray) -> None:
        """See `Session`."""
        np.copyto(self.tensor(name), array)

    def gradient(self, parameter: str) -> np.ndarray:
        """See `Session`."""
        if parameter not in {each.name for each in self._manifest.parameters if each.trainable}:
            raise UserError(f"'{parameter}' is no trainable parameter of '{self._folder}'.")
        if self._manifest.directs:
            raise UserError(
                f"The step in '{self._folder}' makes directions of its gradients, and keeps none: convert "
                f"without {option('ema')}, {option('rate')} and {option('weight_decay')}, for svgd, sgd, "
                "momentum, rmsprop or adamw."
            )
        return np.array(self._state.get_parameter(parameter).grad.numpy())

    def _tell(self, **given: float) -> None:
        """Writes what the step reads of the batch to come, where it does, into the checkpoint's tensors."""
        for state in given.keys() & self._of_all.keys():
            self._of_all[state][...] = given[state]

    @contextmanager
    def _in_place_of_averages(self) -> Iterator[None]:
        """Has the evaluation model, which reads averages, read the parameters themselves."""
        pairs = [
            (checkpoint.array(self._state, name), self._in_place[average])
            for name, average in self._manifest.averages.items()
        ]
        for parameter, (average, kept) in pairs:
            np.copyto(kept, average)
            np.copyto(average, parameter)
        try:
            yield
        finally:
            for _, (average, kept) in pairs:
                np.copyto(average, kept)

    def _keep(self) -> None:
        """Copies what a step overwrites where it lies: r, running statistics, what it keeps for the update."""
        for array, kept in self._in_place.values():
            np.copyto(kept, array)

    def _put_back(self) -> None:
        for array, kept in self._in_place.values():
            np.copyto(array, kept)

    def _find_not_finite(self) -> list[str]:
        trained = [each.name for each in self._manifest.parameters if each.trainable]
        gradients = {name: self._state.get_parameter(name).grad.numpy() for name in trained}
        if OPTIMIZERS[self._manifest.update].squares:
            with np.errstate(over="ignore"):
                gradients = {name: np.square(array) for name, array in gradients.items()}
        states = {name: array for name, (array, _) in self._in_place.items()}
        return [
            name for name, array in {**gradients, **states}.items() if not np.isfinite(array).all()
        ]

    def gradient_norms(self) -> list[np.ndarray]:
        """See `Session`."""
        return self._norms

    def settle(self) -> None:
        """See `Session`."""

    def save(self, progress: TrainingProgress) -> None:
        """See `Session`."""
        checkpoint.set_progress(self._state, progress)
        checkpoint.save(self._state, self._folder / CHECKPOINT, optimizer_state=self._has_state)


def _session_options(threads: int | None, *, library: bool) -> Any:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.log_severity_level = 4  # what is raised says it too
    options.intra_op_num_threads = session_threads(threads)
    if library:
        options.register_custom_ops_library(str(custom_op_library()))
    return options
