"""A folder of artifacts, opened: how far it was trained, its tensors, and what can be written of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from svgd_onnx import argument_types
from svgd_onnx.distributed import Communicator
from svgd_onnx.distributed.communicator import check_communicator
from svgd_onnx.distributed.compression import check_compress
from svgd_onnx.errors import UserError, check_choice, option
from svgd_onnx.files import PathLike, recover
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.targets.session import Session
from svgd_onnx.training.adapter_file import write_adapter
from svgd_onnx.training.beginning import Beginning
from svgd_onnx.training.exported_model import write_model
from svgd_onnx.training.factors import Factors, factors_of
from svgd_onnx.training.feed import names_by_label
from svgd_onnx.training.finite import NON_FINITE
from svgd_onnx.training.start import check_seed, check_threads
from svgd_onnx.training.state import TrainingState


class OpenedFolder:
    """What a `Trainer` is beside what trains; its arguments and attributes are said there."""

    def __init__(
        self,
        folder: PathLike,
        *,
        seed: int | None,
        threads: int | None,
        device: str | None,
        device_options: Mapping[str, str] | None,
        kernels: str,
        non_finite: str,
        checkpoint: str,
        communicator: Communicator | None = None,
        compress: str | None = None,
    ) -> None:
        self._folder = argument_types.path("folder", folder)
        # this process may go to another folder; and the one that it is in may be gone
        with contextlib.suppress(FileNotFoundError):
            self._folder = self._folder.absolute()
        if communicator is not None:
            check_communicator(communicator)
            communicator.from_first(lambda: recover(self._folder))  # one alone puts files back
        self.manifest = Manifest.load(self._folder)
        threads = check_threads(threads)
        seed = check_seed(seed)
        check_choice("non_finite", non_finite, NON_FINITE)
        check_compress(compress, communicator)
        checkpoint = argument_types.text("checkpoint", checkpoint)
        given = {} if device_options is None else device_options
        if device is not None:
            device = argument_types.text("device", device)
        opening = (threads, device, kernels, argument_types.by_name("device_options", given))
        self._state = TrainingState(
            self._folder,
            self.manifest,
            seed,
            checkpoint,
            non_finite,
            opening,
            communicator,
            compress,
        )
        self._trains = False
        session = self._session
        self.kernels, self.device, self.nodes = session.kernels, session.device, session.nodes

    @property
    def step(self) -> int:
        """Steps so far, those that were left out too."""
        return self._state.progress.step

    @property
    def skipped(self) -> int:
        """How many of the steps were left out."""
        of_scale = [each.name for each in self.manifest.states if each.state == "left_out"]
        return self._state.progress.skipped + sum(int(self.tensor(name)) for name in of_scale)

    @property
    def saved_step(self) -> int:
        """The step that the folder's checkpoint is of."""
        return self._state.saved_step

    @property
    def seed(self) -> int:
        """Of the order of the examples and of all that is drawn at random."""
        return self._state.progress.seed

    @property
    def best_step(self) -> int | None:
        """The step of the checkpoint that is kept as the best; None if none is."""
        return self._state.progress.best_step

    @property
    def beginning(self) -> Beginning:
        """Where steps that are made from now on begin, for what is written of them."""
        return self._state.beginning

    @property
    def checkpoint_file(self) -> Path:
        """The folder's own checkpoint, by its first file."""
        return self._folder / target_named(self.manifest.target).checkpoint_files[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that it was trained on; none where the data did not name them.

        Of several labels, those of the first.
        """
        return tuple(self._state.progress.classes)

    @property
    def label_classes(self) -> dict[str, tuple[str, ...]]:
        """Of several labels, `classes` of each that are known, by label."""
        known = self._state.progress.label_classes
        return {label: tuple(names) for label, names in known.items()}

    @property
    def classes_by_label(self) -> dict[str, Sequence[str]]:
        """Names of the classes that it was trained on, by label, as far as they are known; of one label too."""
        return names_by_label(self.manifest, self._state.progress)

    def gradient(self, parameter: str) -> np.ndarray:
        """The (virtual) gradient that the last step gave a trainable parameter.

        Args:
            parameter: its name.

        Returns:
            An array of its shape.

        Raises:
            UserError: it is none, or the artifacts are of the target onnx, which keeps none.
        """
        return self._session.gradient(parameter)

    def tensor(self, name: str) -> np.ndarray:
        """The value of a parameter, a running statistic, an r or another state, as it is now.

        Args:
            name: as `manifest` has it.

        Returns:
            A copy.

        Raises:
            UserError: there is none of that name.

        Example:
            >>> trainer.tensor("fc1.weight").shape
            (64, 16)
        """
        return np.array(self._session.tensor(argument_types.text("name", name)))

    def gradient_norms(self) -> dict[str, tuple[float, float]]:
        """Norms of the gradient and the virtual gradient that the last batch gave each parameter, by its name.

        Both are without L1's part and before clipping; without T they are the same, and before a step 0.

        Raises:
            UserError: the artifacts do not give them.
        """
        parameters = self.manifest.gradient_norms
        if not parameters:
            raise UserError(
                f"A step of '{self._folder}' gives no norms of gradients: convert with "
                f"{option('gradient_norms')}."
            )
        norms = self._session.gradient_norms()
        return {
            name: (float(plain), float(virtual))
            for name, plain, virtual in zip(parameters, norms[0], norms[-1])
        }

    def factors(self) -> list[Factors]:
        """T's factors s / sqrt(r + epsilon) of the last step, for each operation that T acts on.

        Where all of an operation's are practically one number (`are_constant`), T does not adapt: its gradient
        is scaled as a whole. They are computed from r as it is now, so that steps do nothing for them.
        """
        return factors_of(self.manifest, self._session.tensor)

    def set_tensors(self, tensors: Mapping[str, np.ndarray], *, steps: int = 0) -> None:
        """Replaces tensors that `tensor` gives, by arrays of their shapes; all, or none if one is refused.

        Args:
            tensors: by name, as those that were trained elsewhere.
            steps: how many steps that counts as; of artifacts that accumulate gradients a multiple of
                `accumulation_steps`.

        Raises:
            UserError: there is none of a name, an array is of another shape or not finite as float32, there
                cannot be so many steps, or this trainer is training, which counts its own.
        """
        steps = argument_types.whole_number("steps", steps)
        if steps:
            self._check_trains_not()
        self._state.take(argument_types.by_name("tensors", tensors), steps)

    def begin_epoch(self) -> None:
        """Has the next training begin a new epoch, whatever is left of the one that the last step was in.

        Of artifacts that accumulate gradients it begins a new step too: batches since the last change of
        parameters count as left out.

        Raises:
            UserError: this trainer is training.
        """
        self._check_trains_not()
        self._state.begin_epoch()

    def _check_trains_not(self) -> None:
        if self._trains:
            raise UserError(
                "This trainer is training, and a callback of that changes how many steps, or epochs, there "
                "were: let it end first."
            )

    def check_finite(self) -> None:
        """Refuses what has diverged, as `save` does, but writes nothing.

        Raises:
            UserError: a parameter, a running statistic or an r became NaN or infinite, where it was not
                before the first step of this trainer (as rows of -inf of an embedding may be).
        """
        self._state.check_finite()

    def save(self) -> None:
        """Writes the checkpoint, all at once.

        Raises:
            UserError: it cannot be written, another process writes there or has replaced the checkpoint
                that was read, or a parameter or an r is NaN or infinite; the last stays.
        """
        self._state.save()
        if not self._trains:  # there a step comes after it
            self._state.communicator.finish()

    def export(self, path: PathLike, *, requantize: bool = False, trained: bool = False) -> None:
        """Writes the model with its parameters, or their averages, as they are now, as plain ONNX.

        Args:
            path: the file to write.
            requantize: whether scales of quantized weights are found anew.
            trained: as of `evaluate`.

        Raises:
            UserError: no scale can be found anew, the file cannot be written, or what was trained has diverged
                (`check_finite`).
        """
        file = argument_types.path("path", path)
        self.check_finite()
        check_not_of_artifacts(file, self._folder)
        how = {"requantize": requantize, "trained": trained}
        write_model(self._folder, self.manifest, self._session.tensor, file, **how)

    def export_adapter(self, path: PathLike, *, trained: bool = False) -> None:
        """Writes adapters as they are now, without the model, as `training.adapter_file` says.

        Args:
            path: the file to write.
            trained: whether they are written as they were trained where there are averages of them.

        Raises:
            UserError: the artifacts have none, the file cannot be written, or what was trained has diverged
                (`check_finite`).
        """
        file = argument_types.path("path", path)
        self.check_finite()
        write_adapter(self._folder, self.manifest, self._session.tensor, file, trained=trained)

    @property
    def _session(self) -> Session:
        return self._state.session
