"""Training, evaluation and export of a folder of artifacts."""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from svgd_onnx import argument_types
from svgd_onnx.argument_types import whole_number
from svgd_onnx.distributed import Communicator
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.files import PathLike
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.targets.kernels import AUTO
from svgd_onnx.training import data
from svgd_onnx.training.augmentation import Augment
from svgd_onnx.training.callbacks import Callback
from svgd_onnx.training.data import Arrays
from svgd_onnx.training.evaluation import evaluate
from svgd_onnx.training.examples import Given, taken_from
from svgd_onnx.training.feed import (
    check_class_names,
    check_labels_have_names,
    check_workers,
    same_classes,
    same_label_classes,
)
from svgd_onnx.training.finite import STOP
from svgd_onnx.training.kept_checkpoints import LAST
from svgd_onnx.training.metrics import LOSS, metrics_for
from svgd_onnx.training.opened_folder import OpenedFolder
from svgd_onnx.training.prediction import BATCH_SIZE, joined, open_artifacts
from svgd_onnx.training.preparation import Options, prepare
from svgd_onnx.training.schedules import Schedule, check_rate
from svgd_onnx.training.tensorboard import TensorBoard


class Trainer(OpenedFolder):
    """A training session over a folder that `convert` made.

    Parameters, r, running statistics and optimizer state are in memory; `save` writes them to the
    folder's checkpoint. From a first step to the next save, and throughout `train`, no other process may
    write there.

    Args:
        folder: the folder of artifacts.
        seed: of the order of the examples and of Dropout; None is 0, or that of the run to resume.
        threads: threads within an operator; None for one a core, of those that this process is bound to.
        device: for artifacts of the target onnx what runs the steps: "cpu", or any execution provider that
            onnxruntime has ("cuda", "openvino", ...); None takes CUDA if it is there.
        device_options: of that provider, by their names there.
        kernels: "fast", "standard", or "auto" for the fast ones where the folder has them and they run here.
        non_finite: what to do where a batch's loss or a gradient is NaN or infinite: "stop", or "skip", by
            which all stays as it was before that step, and training goes on with the next.
        checkpoint: which to begin from: "last", the folder's own; or, of those that training kept, "best",
            "initial", of before the first step, or "step-1600". What is trained replaces the folder's own.
        communicator: the ranks that train together, as `svgd_onnx.distributed.join` gives them; None for one
            process alone. All do the same: the first writes the checkpoint and the log, and calls callbacks.
        compress: "float16" to send gradients so to other ranks, what is rounded off with the next ones; None
            as they are.

    Attributes:
        manifest: what the folder says of itself.
        kernels: whose kernels train, "fast" or "standard".
        device: what runs the steps.
        nodes: of a step, how many of each operator, by the execution provider that runs them; empty where one
            does, and before a step where onnxruntime does not tell before.
        waiting: the share of the time of the last training's steps that they waited for data; 0 to 1.
        stopped_early: whether the last `train` ended, or did not begin, by `early_stopping`.
        why_stopped: why it did, as a clause; None where it did not.
        best_validation: after how many steps what the last `train` monitored was the best; None
            where nothing was.

    Raises:
        UserError: the folder is not one, is damaged, or this environment cannot train.

    Example:
        >>> trainer = svgd_onnx.Trainer("artifacts")
        >>> result = trainer.train(examples, epochs=2, batch_size=16, learning_rate=0.1)
        >>> trainer.evaluate(examples)["accuracy"], trainer.predict({"image": images})["scores"].shape
        (..., (64, 10))
        >>> trainer.export("trained.onnx")
    """

    def __init__(
        self,
        folder: PathLike,
        *,
        seed: int | None = None,
        threads: int | None = None,
        device: str | None = None,
        device_options: Mapping[str, str] | None = None,
        kernels: str = AUTO,
        non_finite: str = STOP,
        checkpoint: str = LAST,
        communicator: Communicator | None = None,
        compress: str | None = None,
    ) -> None:
        super().__init__(
            folder,
            seed=seed,
            threads=threads,
            device=device,
            device_options=device_options,
            kernels=kernels,
            non_finite=non_finite,
            checkpoint=checkpoint,
            communicator=communicator,
            compress=compress,
        )
        self._at_once = threading.Lock()
        self._thread: int | None = None  # which holds it
        self._stopping = self.stopped_early = False
        self.why_stopped: str | None = None
        self.best_validation: int | None = None
        self.waiting = 0.0

    def train_step(self, batch: Arrays, learning_rate: float) -> float:
        """One step: gradients, T, update.

        Args:
            batch: an array for each model input and the label, by name, as the model takes it: examples
                along the batch axis; of several ranks this one's share, as large as any other's.
            learning_rate: alpha.

        Returns:
            The loss of the batch before the update, without any L1 penalty.

        Raises:
            UserError: the batch does not fit the model, the learning rate is not finite or negative, another
                process writes into the folder, another thread trains with this trainer, or the loss or a
                gradient is NaN or infinite; everything is as before the step then.

        Example:
            >>> batch = {"image": images[:8], "labels": labels[:8]}
            >>> losses = [trainer.train_step(batch, learning_rate=0.1) for _ in range(20)]
            >>> losses[-1] < losses[0]
            True
            >>> trainer.save()
        """
        learning_rate = check_rate(learning_rate)
        arrays = data.check_batch(batch, self.manifest, "the batch")
        with self._alone():
            self._state.claim.take()
            return self._state.step(arrays, learning_rate)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Around steps: of two trainings at once each would count from where it began."""
        if not self._at_once.acquire(blocking=False):
            if self._thread == threading.get_ident():
                raise UserError(
                    "This trainer is training, and a callback of that asks for other steps: let it end first, "
                    "or give the callback a trainer of its own."
                )
            raise UserError(
                "Another thread trains with this trainer: let it end, or give each thread a trainer of its own."
            )
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
            self._at_once.release()

    def train(
        self,
        examples: Given,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int,
        learning_rate: float,
        schedule: Schedule | Mapping[int, float] | str | None = None,
        validation: Given | float | None = None,
        metrics: Iterable[str] = (),
        augment: Augment | None = None,
        workers: int = 1,
        shuffle: bool = True,
        early_stopping: int | None = None,
        monitor: str | None = None,
        min_delta: float | None = None,
        checkpoint_every: int | None = None,
        checkpoint_best: bool = False,
        checkpoint_keep: int | None = None,
        log: PathLike | None = None,
        log_every: int = 1,
        tensorboard: PathLike | None = None,
        callbacks: Iterable[Callback] = (),
        resume: bool = False,
        progress: bool = False,
    ) -> dict[str, float]:
        """Trains from where the checkpoint is, and saves it at the end.

        Each epoch goes through the examples in an order of its own, a function of the seed. Examples
        that do not fill a last batch are left out of that epoch. With another batch size than before, the
        epoch goes on with the examples that are left of it.

        Args:
            examples: an array for each model input and the label, by name, with all examples along the
                batch axis. What has none is taken whole at every step; where nothing has one, examples
                are stacked along a new first axis. Or what `load_data` gives; an object with `__len__` and
                `__getitem__`; or an iterable (or a function that gives an iterator) of examples or
                batches, taken in its order, with `steps`: what a row or an item is, `load_data` says.
            epochs: how many epochs in all; or
            steps: how many steps in all.
            batch_size: examples a step, of all ranks together.
            learning_rate: alpha.
            schedule: of the learning rate: a `Schedule`; its text, as "warmup=500,cosine"; or the rate from
                a step on, by step (steps count from 0).
            validation: data to evaluate on after each epoch, and at the end; or the share of the examples
                that is set aside for it, by the seed, and of each class where labels are such.
            metrics: names of metrics of the validation, beside the loss, and the accuracy where it has one.
            augment: makes a batch of the examples, by name, into what the model takes; it draws from
                the generator that it is given, a function of seed and step. With it the examples may
                be of any type and shape; what it returns is checked at every step. With workers it is
                called in their threads, a few batches ahead.
            workers: threads that prepare batches while a step runs, where examples are read from a disk or
                changed; 0 for none. The batches are the same for any number.
            shuffle: whether the order is random; else it is that of the examples.
            early_stopping: end where the monitored metric has not improved for so many epochs.
            monitor: "loss" or a metric, of the validation: for early stopping and the best checkpoint.
            min_delta: by how much it has to be better than the best, for early stopping; None is 0.
            checkpoint_every: save after each so many steps as well.
            checkpoint_best: keep the checkpoint of the best validation too.
            checkpoint_keep: keep the last so many checkpoints, the folder's own among them.
            log: a CSV file with a row for each logged step.
            log_every: log each step whose number (from 1) is a multiple of this.
            tensorboard: a folder for TensorBoard's event files of this training alone: of each logged step, and
                every 50 steps or so of each operation (T's factors, and norms of gradients by a step that
                gives them).
            callbacks: told of steps, epochs and checkpoints.
            resume: refuse to train where nothing was trained yet.
            progress: show a progress bar.

        Returns:
            The last step's loss as `loss`, and the last validation metrics as `validation_...`.

        Raises:
            UserError: an option or the data does not fit, another process writes into the folder, it has no
                room for a checkpoint, or the loss or a gradient becomes NaN or infinite; the last checkpoint
                is kept then.

        Example:
            >>> result = trainer.train(
            ...     examples, validation=0.25, epochs=3, batch_size=16, learning_rate=0.1, schedule="cosine"
            ... )
            >>> sorted(result)
            ['loss', 'validation_accuracy', 'validation_loss']
        """
        options = Options(
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=schedule,
            metrics=metrics,
            shuffle=shuffle,
            early_stopping=early_stopping,
            monitor=monitor,
            min_delta=min_delta,
            checkpoint_every=checkpoint_every,
            checkpoint_best=checkpoint_best,
            checkpoint_keep=checkpoint_keep,
            log_every=log_every,
            workers=workers,
            callbacks=callbacks,
            resume=resume,
        )
        with self._alone():
            if self._stopping:
                text = "stop() was called before this training began, which so ends before its first step."
                warnings.warn(Advice(text), stacklevel=2)
            loop = prepare(self._folder, self._state, options, examples, validation, augment)
            loop.save, loop.is_stopping = self.save, lambda: self._stopping
            first = self._state.communicator.rank == 0
            if tensorboard is not None and first:
                board = TensorBoard(
                    argument_types.path("tensorboard", tensorboard), self, options.log_every
                )
                loop.board, loop.callbacks = board, [board, *loop.callbacks]
            path = None
            if log is not None:
                path = check_not_of_artifacts(argument_types.path("log", log), self._folder)
            self._trains = True
            try:
                result = loop.run(path if first else None, progress and first)
                self._state.communicator.finish()
                return result
            finally:
                self._trains = self._stopping = False
                self.stopped_early = loop.stopped_early
                self.why_stopped, self.best_validation = loop.why_stopped, loop.best_step
                self.waiting = loop.waiting

    def fit(
        self, examples: Given, validation: Given | float | None = None, **options: Any
    ) -> dict[str, float]:
        """`train`, with the validation data second.

        Args:
            examples: as of `train`.
            validation: as of `train`.
            **options: the other keywords of `train`.

        Returns:
            What `train` returns.
        """
        return self.train(examples, validation=validation, **options)

    def stop(self) -> None:
        """Has `train` end after this step, with a checkpoint; for other threads and signal handlers.

        Where nothing trains, the next `train` ends before its first step, and warns of that.
        """
        self._stopping = True

    def evaluate(
        self,
        examples: Given,
        *,
        metrics: Iterable[str] = (),
        trained: bool = False,
        workers: int = 1,
    ) -> dict[str, Any]:
        """The loss over all examples, the accuracy where a loss has one, and other metrics, by name.

        The loss is the mean, or the sum, over all that counts, as if it were one batch; of several losses their
        weighted sum, beside each: `box_loss`, ... BatchNormalization uses its running statistics, Dropout does
        nothing.

        Args:
            examples: as `train` takes them; what is random about images is left out.
            metrics: names of metrics. Each is a number, but for "confusion-matrix": (classes, classes) int64,
                a row for each class that was wanted. Of several losses each is of those that it fits.
            trained: whether of the parameters as they are where there are averages (`convert(ema=...)`).
            workers: see `train`.

        Returns:
            `loss`, `accuracy`, and each metric that was asked for.

        Raises:
            UserError: the data does not fit the model, or a metric not the loss.

        Warns:
            where the loss is NaN or infinite.
        """
        wanted = metrics_for(self.manifest, metrics, tables=True)
        check_workers(workers)
        taken = taken_from(examples, self.manifest, known=self.classes_by_label)
        by_label = same_label_classes(self.label_classes, taken) if self.label_classes else {}
        classes = same_classes(self.classes, taken)
        check_class_names(self.manifest, classes, by_label)
        check_labels_have_names(self.manifest, classes, taken)
        given = (self._session, self.manifest, taken, wanted)
        scores = evaluate(*given, trained=trained, workers=workers)
        if not math.isfinite(scores[LOSS]):
            text = (
                f"The loss is no finite number ({scores[LOSS]}) on {taken.source}: look for numbers that are "
                "far too large, and at running statistics, if these came from elsewhere."
            )
            warnings.warn(Advice(text), stacklevel=2)
        return scores

    def predict(
        self, examples: Given, *, batch_size: int = BATCH_SIZE, workers: int = 1
    ) -> dict[str, np.ndarray]:
        """The model's outputs by name, with the parameters as they are now, examples along the first axis.

        Args:
            examples: as `train` takes them; labels need not be there.
            batch_size: how many examples are computed at once, where the model leaves a choice.
            workers: see `train`.

        Returns:
            An array for each output.

        Raises:
            UserError: the data does not fit the model, or onnxruntime cannot run it.
        """
        check_workers(workers)
        whole_number("batch_size", batch_size)
        with open_artifacts(self._folder, self.manifest, self.export) as predictor:
            return joined(predictor.predict(examples, batch_size=batch_size, workers=workers))
