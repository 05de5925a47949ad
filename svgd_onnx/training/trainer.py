"""Training, evaluation and export of a folder of artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError, check_choice, option
from svgd_onnx.files import PathLike, check_destination
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.artifact_files import artifact_paths
from svgd_onnx.targets.kernels import AUTO
from svgd_onnx.targets.session import TrainingProgress, rows_at_fault
from svgd_onnx.training import data
from svgd_onnx.training.adapter_file import write_adapter
from svgd_onnx.training.augmentation import Augment, AugmentedExamples
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.checkpoint_claim import CheckpointClaim
from svgd_onnx.training.data import Arrays
from svgd_onnx.training.evaluation import evaluate
from svgd_onnx.training.exported_model import write_model
from svgd_onnx.training.finite import NON_FINITE, STOP, FiniteTensors
from svgd_onnx.training.progress import Progress
from svgd_onnx.training.schedule import Schedule, check_length, check_positive, total_steps
from svgd_onnx.training.start import (
    check_batch_size,
    check_enough,
    check_seed,
    check_start,
    check_threads,
)
from svgd_onnx.training.training_log import TrainingLog


class Trainer:
    """A training session over a folder that `convert` made.

    Parameters, r, running statistics and optimizer state are in memory; `save` writes them to the
    folder's checkpoint. From a first step to the next save, and throughout `train`, no other process may
    write there.

    Args:
        folder: the folder of artifacts.
        seed: of the order of the examples and of Dropout; None is 0, or that of the run to resume.
        threads: threads within an operator; None lets onnxruntime choose, one for each core.
        device: for artifacts of the target onnx "cpu" or "cuda"; None takes CUDA if it is there.
        kernels: "fast", "standard", or "auto" for the fast ones where the folder has them and they run here.
        non_finite: what to do where a batch's loss or a gradient is NaN or infinite: "stop", or "skip", by
            which all stays as it was before that step, and training goes on with the next.

    Attributes:
        manifest: what the folder says of itself.
        kernels: whose kernels train, "fast" or "standard".
        step: steps so far, those that were left out too.
        skipped: how many of them were left out.
        saved_step: the step that the checkpoint is of.
        seed: see above.

    Raises:
        UserError: the folder is not one, is damaged, or this environment cannot train.
    """

    def __init__(
        self,
        folder: PathLike,
        *,
        seed: int | None = None,
        threads: int | None = None,
        device: str | None = None,
        kernels: str = AUTO,
        non_finite: str = STOP,
    ) -> None:
        self._folder, self.manifest = Path(folder), Manifest.load(Path(folder))
        check_threads(threads)
        check_seed(seed)
        check_choice("non_finite", non_finite, NON_FINITE)
        self._non_finite = non_finite
        target = target_named(self.manifest.target)
        self._claim = CheckpointClaim(self._folder, target.checkpoint_files)
        self._session = target.open(self._folder, self.manifest, threads, device, kernels)
        self.kernels = self._session.kernels
        saved = self._session.progress
        self.step = self.saved_step = saved.step
        self.skipped, self._batch_size = saved.skipped, saved.batch_size
        if self.step and seed is not None and seed != saved.seed:
            raise UserError(
                f"'{folder}' was trained with seed {saved.seed}, not {seed}: leave {option('seed')} out, "
                "or convert again to start anew."
            )
        self.seed = saved.seed if self.step else (seed or 0)
        self._finite: FiniteTensors | None = None
        self._stopping = False

    def train_step(self, batch: Arrays, learning_rate: float) -> float:
        """One step: gradients, T, update.

        Args:
            batch: an array for each model input and the label, by name, as the model takes it: examples
                along the batch axis.
            learning_rate: alpha.

        Returns:
            The loss of the batch before the update, without any L1 penalty.

        Raises:
            UserError: the batch does not fit the model, another process writes into the folder, or the loss
                or a gradient is NaN or infinite; everything is as before the step then.
        """
        arrays = data.check_batch(batch, self.manifest, "the batch")
        self._claim.take()
        return self._step(arrays, learning_rate)

    def train(
        self,
        examples: Arrays,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int,
        learning_rate: float,
        schedule: Mapping[int, float] | None = None,
        validation: Arrays | None = None,
        augment: Augment | None = None,
        log: PathLike | None = None,
        log_every: int = 1,
        checkpoint_every: int | None = None,
        resume: bool = False,
        progress: bool = False,
    ) -> dict[str, float]:
        """Trains, and saves the checkpoint at the end.

        Each epoch goes through the examples in an order of its own, a function of the seed. Examples
        that do not fill a last batch are left out of that epoch.

        Args:
            examples: an array for each model input and the label, by name, with all examples along the
                batch axis. What has none is taken whole at every step; where nothing has one, examples
                are stacked along a new first axis.
            epochs: how many epochs in all; or
            steps: how many steps in all.
            batch_size: examples a step.
            learning_rate: alpha.
            schedule: the learning rate from a step on, by step (steps count from 0).
            validation: data to evaluate on after each epoch, and at the end.
            augment: makes a batch of the examples, by name, into what the model takes; it draws from
                the generator that it is given, a function of seed and step. With it the examples may
                be of any type and shape; what it returns is checked at every step.
            log: a CSV file with a row for each logged step.
            log_every: log each step whose number (from 1) is a multiple of this.
            checkpoint_every: save after each so many steps as well.
            resume: go on from the checkpoint, which must have been trained.
            progress: show a progress bar.

        Returns:
            The last step's loss as `loss`, and the last validation metrics as `validation_...`.

        Raises:
            UserError: an option or the data does not fit, another process writes into the folder, it has no
                room for a checkpoint, or the loss or a gradient becomes NaN or infinite; the last checkpoint
                is kept then.
        """
        rates = Schedule(learning_rate, schedule)
        check_length(epochs, steps)
        check_positive(log_every=log_every, checkpoint_every=checkpoint_every)
        check_batch_size(self.manifest, batch_size)
        check_start(self._folder, self.step, self._batch_size, resume=resume, batch_size=batch_size)
        taken = (
            data.check(examples, self.manifest, "the training data")
            if augment is None
            else AugmentedExamples(examples, self.manifest, augment)
        )
        held_out = None
        if validation is not None:
            held_out = data.check(validation, self.manifest, "the validation data")
        check_enough(batch_size, len(taken))
        order = BatchOrder(len(taken), batch_size, self.seed)
        total = total_steps(epochs, steps, order.steps_per_epoch)
        self._batch_size = batch_size
        result: dict[str, float] = {}
        log = None if log is None else check_destination(Path(log), artifact_paths(self._folder))
        with (
            self._claim,
            TrainingLog(log, self.step) as rows,
            Progress(total, self.step, progress) as bar,
        ):
            while self.step < total and not self._stopping:
                step = self.step
                rate = rates.rate(step)
                with rows_at_fault(taken.source, order.rows(step)):
                    result["loss"] = self._step(taken.of_step(order, step), rate)
                done = self.step == total
                if held_out is not None and (done or order.ends_epoch(step)):
                    validated = evaluate(self._session, self.manifest, held_out)
                    result.update({f"validation_{key}": value for key, value in validated.items()})
                    rows.write(self.step, order.epoch(step), rate, result, validated)
                elif self.step % log_every == 0:
                    rows.write(self.step, order.epoch(step), rate, result, {})
                bar.advance(result)
                if not done and checkpoint_every and self.step % checkpoint_every == 0:
                    self.save()
            self.save()
        self._stopping = False
        return result

    def stop(self) -> None:
        """Has `train` end after this step, with a checkpoint; for other threads and signal handlers."""
        self._stopping = True

    def evaluate(self, examples: Arrays) -> dict[str, float]:
        """The loss over all examples, and the accuracy where the loss is one of classification.

        The loss is the mean, or the sum, over all that counts, as if it were one batch.

        BatchNormalization uses its running statistics, Dropout does nothing.

        Args:
            examples: an array for each model input and the label, by name.

        Raises:
            UserError: the data does not fit the model.
        """
        return evaluate(self._session, self.manifest, data.check(examples, self.manifest))

    def gradient(self, parameter: str) -> np.ndarray:
        """The (virtual) gradient that the last step gave a trainable parameter; of its shape.

        Raises:
            UserError: it is none, or the artifacts are of the target onnx, which keeps none.
        """
        return self._session.gradient(parameter)

    def tensor(self, name: str) -> np.ndarray:
        """The value of a parameter, a running statistic or an r, as it is now; a copy.

        Raises:
            UserError: there is none of that name.
        """
        return np.array(self._session.tensor(name))

    def check_finite(self) -> None:
        """Refuses what has diverged, as `save` does, but writes nothing.

        Raises:
            UserError: a parameter, a running statistic or an r became NaN or infinite, where it was not
                before the first step of this trainer (as rows of -inf of an embedding may be).
        """
        if self._finite is not None:
            self._finite.check(self.step)

    def save(self) -> None:
        """Writes the checkpoint, all at once.

        Raises:
            UserError: it cannot be written, another process writes there or has replaced the checkpoint
                that was read, or a parameter or an r is NaN or infinite; the last stays.
        """
        self.check_finite()
        kept = (self.step, self.seed, self._batch_size, self.skipped)
        progress = TrainingProgress(*kept, self.manifest.conversion)
        with self._claim.saving():
            self._session.save(progress)
        self.saved_step = self.step

    def export(self, path: PathLike, *, requantize: bool = False) -> None:
        """Writes the model with its parameters as they are now, as plain ONNX.

        Args:
            path: the file to write.
            requantize: whether scales of quantized weights are found anew.

        Raises:
            UserError: no scale can be found anew, or the file cannot be written.
        """
        check_destination(Path(path), artifact_paths(self._folder))
        values = self._session.tensor
        write_model(self._folder, self.manifest, values, Path(path), requantize=requantize)

    def export_adapter(self, path: PathLike) -> None:
        """Writes adapters as they are now, without the model, as `training.adapter_file` says.

        Raises:
            UserError: the artifacts have none, or the file cannot be written.
        """
        write_adapter(self._folder, self.manifest, self._session.tensor, path)

    def _step(self, arrays: list[np.ndarray], learning_rate: float) -> float:
        if self._finite is None:
            self._finite = FiniteTensors(self._session, self.manifest)
        # a step of several batches has as many, however many were left out
        update = (self.step + 1 - self.skipped) % self.manifest.accumulation_steps == 0
        # one for each step: a resumed run draws what an uninterrupted one would have drawn
        state = int(np.random.SeedSequence([self.seed, self.step]).generate_state(1)[0])
        seed = state >> 1 if self.manifest.random else None
        unproven = not self.step and self.manifest.verified is None
        if unproven:
            self._session.eval_step(arrays)  # so that nothing is trained that cannot be evaluated
        loss = self._session.train_step(arrays, learning_rate, update=update, seed=seed)
        if not math.isfinite(loss):
            if self._non_finite == STOP:
                raise self._finite.refusal(loss, self.step + 1)
            self.skipped += 1
        self.step += 1
        if unproven:
            self.check_finite()
        return loss
