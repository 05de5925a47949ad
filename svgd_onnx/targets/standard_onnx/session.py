"""Training on any onnxruntime: each step is a run of an inference session."""

from __future__ import annotations

import functools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.files import require_there
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import custom_op_library, inference_runtime
from svgd_onnx.step_names import IN_PLACE, LEARNING_RATE, NEW_SUFFIX, RESIDUAL, UPDATE, beside
from svgd_onnx.targets.checkpoint_checks import check_tensor
from svgd_onnx.targets.checkpoint_names import name_of_step
from svgd_onnx.targets.external_references import checked_model
from svgd_onnx.targets.kernels import AUTO, FAST, choose_kernels
from svgd_onnx.targets.memory_arena import memory_arena
from svgd_onnx.targets.session import batch_at_fault, no_tensor, norm_outputs, seeded
from svgd_onnx.targets.standard_onnx import checkpoint
from svgd_onnx.targets.standard_onnx.captured import CapturedSteps
from svgd_onnx.targets.standard_onnx.comparison import TOLERANCE, relative_difference
from svgd_onnx.targets.standard_onnx.device import Device
from svgd_onnx.targets.standard_onnx.file_names import CHECKPOINT, FAST_STEP, TRAINING_STEP
from svgd_onnx.targets.standard_onnx.placement import Placement
from svgd_onnx.targets.standard_onnx.providers import CPU, reason_of
from svgd_onnx.targets.target import EVAL_MODEL
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.threads import session_threads


class InferenceTrainingSession:
    """A `Session` on stock onnxruntime.

    What a step changes lies in memory twice. A step reads one half and writes the other, and the next
    goes the other way, so that nothing is copied and no step overwrites what it still reads. What the step
    itself says may be written over where it lies (`IN_PLACE`) is in both halves one.

    Args:
        folder: artifacts of the target onnx.
        manifest: theirs.
        threads: threads within an operator; None lets onnxruntime choose.
        device: what runs the steps, as `providers.py` names it; states stay there between steps where it holds
            them. None takes CUDA if it is there.
        kernels: whose kernels train on the processor, one of `KERNELS`.
        profile: how the name of a file begins that onnxruntime's profiler writes; None writes none.
        device_options: of the device's execution provider, by their names there.
        step: of the kept checkpoint to begin from; None for the folder's own.

    Raises:
        UserError: an artifact is missing or damaged, or this environment lacks the device.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int | None = None,
        device: str | None = None,
        profile: Path | None = None,
        *,
        kernels: str = AUTO,
        device_options: Mapping[str, str] | None = None,
        step: int | None = None,
    ) -> None:
        self._folder = folder
        self._onnxruntime = inference_runtime()
        self._arena = memory_arena(self._onnxruntime)
        self._arena.give_back_after(self)
        self._device = Device(self._onnxruntime, device, device_options or {}, threads)
        self.device = self._device.name
        self._placement = Placement()
        self.nodes = self._placement.nodes
        # what is drawn at random differs from device to device, and so does float16
        differs = manifest.random or manifest.compute != "float32"
        self._is_to_compare = not (self._device.provider.is_proven or differs)
        self._manifest = manifest
        own = manifest.own_names
        self._rate, self._update = beside(LEARNING_RATE, own), beside(UPDATE, own)
        self._threads = threads
        self.kernels = choose_kernels(kernels, folder, manifest, FAST_STEP, self.device)
        model = FAST_STEP if self.kernels == FAST else TRAINING_STEP
        if self.kernels == FAST:
            checked_model(folder, manifest, TRAINING_STEP)  # others train by that one
        checked_model(folder, manifest, EVAL_MODEL)  # which is opened when it is asked for
        path = folder / name_of_step(CHECKPOINT, step)
        tensors, self.progress = checkpoint.load(path, manifest)
        left = [name for name in tensors if name.startswith(RESIDUAL) and name not in own]
        self._residuals = {name: tensors.pop(name) for name in left}
        self._session = self._open_step(model, profile)
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        self._inputs = inputs
        self._taken = own.union(inputs)
        self._accumulates = self._update in inputs
        given = {*(tensor.name for tensor in manifest.arrays), self._rate, self._update}
        wanted = inputs.keys() - given
        # manifests of older versions do not tell of the optimizer's state
        for name in sorted(wanted):
            array = tensors.get(name)
            found = None if array is None else (str(array.dtype), array.shape)
            check_tensor(folder, name, found, inputs[name])
        self._changing = [name for name in tensors if self._output(name) is not None]
        self._in_place = self._written_over()
        self.holds_signals = bool(self._in_place)
        self._last: tuple[Mapping[str, np.ndarray], int | None] = ({}, None)
        apart = (name for name in self._changing if name not in self._in_place)
        current = {name: self._on_device(array) for name, array in tensors.items()}
        following = {name: self._on_device(np.empty_like(tensors[name])) for name in apart}
        self._current = current
        self._other = {**current, **following}
        # Not left to onnxruntime: what it keeps from one step to the next would lie amid its arena. It lies
        # where NumPy has it, for as long as this is held.
        hold = self._onnxruntime.OrtValue.ortvalue_from_numpy
        self._captured: CapturedSteps | None = None
        if self._device.captures:
            if manifest.random:
                raise UserError(
                    f"'{folder}' draws random numbers in each step, and a captured step would draw the same "
                    f"ones again: leave out {option('device_option')} enable_cuda_graph."
                )
            hold = self._on_device
            self._captured = CapturedSteps(
                self._onnxruntime,
                self._on_device,
                lambda sizes: self._open(model, sizes=sizes, fast=self._is_fast(model)),
                lambda session: self._bindings(session, wanted),
            )
        self._loss = hold(np.zeros((), np.float32))
        zeros = np.zeros(len(manifest.gradient_norms), np.float32)
        self._norms = {name: hold(zeros.copy()) for name in norm_outputs(manifest)}
        self._half = 0
        self._is_half_done = False
        self._bound = self._bindings(self._session, wanted)

    def train_step(
        self,
        arrays: Sequence[np.ndarray],
        learning_rate: float,
        *,
        update: bool = True,
        seed: int | None = None,
    ) -> float:
        """See `Session`."""
        self._check_whole()
        given = self._given(arrays, learning_rate, update)
        if self._in_place:
            self._last = given, seed
            self._loss.update_inplace(np.array(np.nan, np.float32))
        captured = self._captured
        if captured is not None:
            captured.begin(given, self._inputs)
        try:
            with batch_at_fault(self._manifest.arrays, arrays), seeded(seed):
                if captured is None or not captured.run(self._half, given):
                    self._run(given)
        except BaseException:
            # what waits for the loss may be written over by then, and the rest is not
            self._is_half_done = bool(self._in_place) and math.isfinite(float(self._loss.numpy()))
            raise
        if self._placement.ran(self._session):
            self._warn_of_another_device()
        loss = float(self._loss.numpy())
        if self._is_to_compare and update and math.isfinite(loss):
            self._is_to_compare = False
            self._compare_with_processor(arrays, learning_rate)
        if math.isfinite(loss):
            self._current, self._other = self._other, self._current
            self._half = 1 - self._half
        return loss

    def _check_whole(self) -> None:
        """Refuses tensors some of which are of a step that others have not come to.

        Raises:
            UserError: says so.
        """
        if self._is_half_done:
            raise UserError(
                f"A step of '{self._folder}' was broken off while it changed parameters: open the folder "
                "again, which goes on from its checkpoint."
            )

    def _given(
        self, arrays: Sequence[np.ndarray], learning_rate: float, update: bool
    ) -> dict[str, np.ndarray]:
        """What a step reads of the host, by the names of its inputs."""
        given = {tensor.name: array for tensor, array in zip(self._manifest.arrays, arrays)}
        given[self._rate] = np.array(learning_rate, np.float32)
        if self._accumulates:
            given[self._update] = np.array(update)
        return given

    def _run(self, given: Mapping[str, np.ndarray]) -> None:
        """Makes a step, from the half that is read to the other."""
        binding = self._bound[self._half]
        for name, array in given.items():
            binding.bind_cpu_input(name, array)
        self._session.run_with_iobinding(binding)

    def not_finite(self) -> list[str]:
        """See `Session`."""
        spoiled = {name for name in self._changing if self._is_spoiled(name)}
        if self._in_place:
            # these are as they were: the step is made once more, into memory apart
            given, seed = self._last
            with (
                batch_at_fault(
                    self._manifest.arrays, [given[each.name] for each in self._manifest.arrays]
                ),
                seeded(seed),
            ):
                after = self._standard_step(self._device, given, self._in_place)
            spoiled |= {
                name
                for name, array in zip(self._in_place, after)
                if _is_spoiled(self.tensor(name), array)
            }
        return [name for name in self._changing if name in spoiled]

    def eval_step(
        self, arrays: Sequence[np.ndarray], *, seed: int | None = None, trained: bool = False
    ) -> list[np.ndarray]:
        """See `Session`."""
        self._check_whole()
        session = self._evaluation
        binding = session.io_binding()
        given = {tensor.name: array for tensor, array in zip(self._manifest.arrays, arrays)}
        averages = self._manifest.averages if trained else {}
        in_place = {average: name for name, average in averages.items()}
        for value in session.get_inputs():
            if value.name in given:
                binding.bind_cpu_input(value.name, given[value.name])
                continue
            name = in_place.get(value.name, value.name)
            binding.bind_ortvalue_input(value.name, self._current[name])
        for value in session.get_outputs():
            binding.bind_output(value.name, "cpu")
        with batch_at_fault(self._manifest.arrays, arrays), seeded(seed):
            session.run_with_iobinding(binding)
        return [np.asarray(array) for array in binding.copy_outputs_to_cpu()]

    def end_profile(self) -> Path:
        """Ends the profile that was asked for, and gives its file: JSON, an event for each operator run."""
        return Path(self._session.end_profiling())

    def tensor(self, name: str) -> np.ndarray:
        """See `Session`."""
        self._check_whole()
        if name not in self._current:
            raise no_tensor(self._folder, name)
        return np.asarray(self._current[name].numpy())

    def set_tensor(self, name: str, array: np.ndarray) -> None:
        """See `Session`."""
        if name not in self._current:
            raise no_tensor(self._folder, name)
        self._current[name].update_inplace(np.ascontiguousarray(array))

    def gradient(self, parameter: str) -> np.ndarray:
        """Not known: the step gives the parameters after it.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"Artifacts of the target onnx keep no gradients: use {option('target', 'ort-training')}."
        )

    def gradient_norms(self) -> list[np.ndarray]:
        """See `Session`."""
        return [np.array(each.numpy()) for each in self._norms.values()]

    def save(self, progress: TrainingProgress) -> None:
        """See `Session`."""
        checkpoint.save(self._folder / CHECKPOINT, self._to_save(), progress)

    def settle(self) -> None:
        """See `Session`."""

    def _to_save(self) -> dict[str, np.ndarray]:
        return {name: self.tensor(name) for name in self._current}

    def _open_step(self, model: str, profile: Path | None) -> Any:
        return self._open(model, profile, fast=self._is_fast(model))

    def _is_fast(self, model: str) -> bool:
        """Whether a form of the step has operators of ours."""
        return model == FAST_STEP or self._manifest.needs_library

    @functools.cached_property
    def _evaluation(self) -> Any:
        return self._open(EVAL_MODEL)

    def _compare_with_processor(self, arrays: Sequence[np.ndarray], learning_rate: float) -> None:
        """Warns where the processor makes another step of the same: a provider may get an operator wrong."""
        device = Device(self._onnxruntime, CPU.device, {}, self._threads)
        names = [each.name for each in self._manifest.parameters if each.trainable]
        expected = self._standard_step(device, self._given(arrays, learning_rate, True), names)
        found = [np.asarray(self._other[name].numpy()) for name in names]
        apart = relative_difference([self.tensor(name) for name in names], expected, found)
        if apart > TOLERANCE:
            wanted, here = self._device.provider.name, option("device", CPU.device)
            warnings.warn(
                Advice(
                    f"{wanted} makes another step than the processor: what it adds to the parameters differs "
                    f"by {apart:.1%}; train with {here}, or convert again if another version converted this."
                ),
                stacklevel=2,
            )

    def _standard_step(
        self, device: Device, given: Mapping[str, np.ndarray], names: Sequence[str]
    ) -> list[np.ndarray]:
        """What tensors become by the step of standard operators; nothing changes."""
        session = self._open(TRAINING_STEP, device=device, fast=self._manifest.needs_library)
        inputs = [value.name for value in session.get_inputs()]
        found: list[np.ndarray] = session.run(
            [self._new(name) for name in names],
            {name: given[name] if name in given else self.tensor(name) for name in inputs},
        )
        return found

    def _open(
        self,
        name: str,
        profile: Path | None = None,
        device: Device | None = None,
        *,
        fast: bool = False,
        sizes: Mapping[str, int] | None = None,
    ) -> Any:
        """A session of one of the models; with `sizes`, of batches of these alone, to be captured."""
        device = device or self._device
        path = checked_model(self._folder, self._manifest, name)  # the folder may be another by now
        options = self._onnxruntime.SessionOptions()
        # what is raised says it too, in names that are made printable
        options.log_severity_level = 4
        # From the second step on onnxruntime would take one block for all that a step computes, beside
        # what the first took piece by piece, and kept.
        options.enable_mem_pattern = False
        if device.provider is CPU:
            self._arena.use(options)
        options.intra_op_num_threads = session_threads(self._threads)
        for axis, size in (sizes or {}).items():
            options.add_free_dimension_override_by_name(axis, size)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        if fast:
            options.register_custom_ops_library(str(custom_op_library()))
        told = name != EVAL_MODEL and device.provider is not CPU and sizes is None
        if told:
            self._placement.prepare(self._onnxruntime, options)
        try:
            session = device.open(path, options, capture=sizes is not None)
        except UserError:
            raise
        except Exception as error:  # the binding has an exception class for each status
            require_there(path)  # it may be gone since it was looked at
            here = option("device", CPU.device)
            otherwise = "" if device.provider is CPU else f", or train with {here}"
            raise UserError(
                f"onnxruntime {self._onnxruntime.__version__} cannot load '{path}' "
                f"({reason_of(error)}): convert the model again, or update onnxruntime{otherwise}."
            ) from error
        if told:
            self._placement.opened(session)
            self._warn_of_another_device()
        return session

    def _warn_of_another_device(self) -> None:
        """Says so where the device that was asked for runs nothing of a step."""
        wanted = self._device.provider.name
        if self.nodes and wanted not in self.nodes:
            warnings.warn(
                Advice(
                    f"{wanted}, which {option('device', self.device)} is of, takes no operator of this step: "
                    "all of them run on the processor."
                ),
                stacklevel=2,
            )

    def _is_spoiled(self, name: str) -> bool:
        return _is_spoiled(self._current[name].numpy(), self._other[name].numpy())

    def _written_over(self) -> list[str]:
        """What lies in one place, before a step and after it."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        names = frozenset(json.loads(metadata.get(IN_PLACE, "[]")))
        return [name for name in self._changing if name in names and self._device.provider is CPU]

    def _on_device(self, array: np.ndarray) -> Any:
        return self._device.hold(array)

    def _output(self, name: str) -> str | None:
        new = self._new(name)
        return new if new in self._outputs else None

    def _new(self, name: str) -> str:
        """What a step calls a tensor after it."""
        return beside(f"{name}{NEW_SUFFIX}", self._taken)

    @functools.cached_property
    def _outputs(self) -> set[str]:
        return {value.name for value in self._session.get_outputs()}

    def _bindings(self, session: Any, wanted: set[str]) -> list[Any]:
        """One that reads the first half and writes the second, and one for the other way."""
        halves = self._current, self._other
        return [self._bind(session, *pair, wanted) for pair in (halves, halves[::-1])]

    def _bind(
        self, session: Any, read: dict[str, Any], written: dict[str, Any], wanted: set[str]
    ) -> Any:
        binding = session.io_binding()
        binding.bind_ortvalue_output(session.get_outputs()[0].name, self._loss)
        for name, value in self._norms.items():
            binding.bind_ortvalue_output(name, value)
        for name in wanted:
            binding.bind_ortvalue_input(name, read[name])
        for name in self._changing:
            binding.bind_ortvalue_output(self._new(name), written[name])
        return binding


def _is_spoiled(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether numbers that were finite no longer are."""
    return bool((np.isfinite(before) & ~np.isfinite(after)).any())
