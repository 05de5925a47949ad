"""A folder in training: its session, how far it has come, and what of that is saved."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from svgd_onnx import signals
from svgd_onnx.distributed import ALONE, Communicator
from svgd_onnx.errors import UserError, option
from svgd_onnx.files import has_room
from svgd_onnx.manifest import Manifest
from svgd_onnx.records import ACCUMULATED
from svgd_onnx.targets import target_named
from svgd_onnx.targets.training_progress import Origin, TrainingProgress, Validation, has_place
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.beginning import Beginning, Buffered, Records, Written
from svgd_onnx.training.checkpoint_claim import CheckpointClaim
from svgd_onnx.training.finite import STOP, FiniteTensors, never_negative
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.kept_checkpoints import KeptCheckpoints, find
from svgd_onnx.training.points import NOTHING, is_record
from svgd_onnx.training.ranks import NoClaim, check_alike, open_rank


class TrainingState:
    """What a trainer changes.

    Args:
        folder: of artifacts.
        manifest: theirs.
        seed: as of `Trainer`.
        checkpoint: the name of the one to begin from.
        non_finite: as of `Trainer`.
        opening: threads, device, kernels and options of the device, as `Target.open` takes them.
        communicator: as of `Trainer`.
        compress: as of `Trainer`.

    Attributes:
        manifest: of the artifacts.
        session: where steps run.
        progress: how far it has come.
        claim: on the folder's checkpoint.
        is_saved: whether nothing changed since it was opened or saved.

    Raises:
        UserError: as `Trainer`.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        seed: int | None,
        checkpoint: str,
        non_finite: str,
        opening: tuple[int | None, str | None, str, Mapping[str, str]],
        communicator: Communicator | None = None,
        compress: str | None = None,
    ) -> None:
        self._folder, self.manifest, self.non_finite = folder, manifest, non_finite
        self.communicator = communicator or ALONE
        target = target_named(manifest.target)
        self._writes = self.communicator.rank == 0
        self.claim: CheckpointClaim | NoClaim = NoClaim()
        if self._writes:
            self.claim = CheckpointClaim(folder, target.checkpoint_files)
        self._kept = KeptCheckpoints(folder, target.checkpoint_files)
        self._keep_last: int | None = None
        kept_step = find(folder, manifest, checkpoint)
        if communicator is None:
            self.session = target.open(folder, manifest, *opening, step=kept_step)
        else:
            self.session = open_rank(communicator, folder, manifest, opening, kept_step, compress)
        self.progress = saved = with_known_records(self.session.progress)
        if saved.step and seed is not None and seed != saved.seed:
            raise UserError(
                f"'{folder}' was trained with seed {saved.seed}, not {seed}: leave {option('seed')} out, "
                f"or begin anew with {option('checkpoint', 'initial')}."
            )
        if not saved.step:
            self.progress = replace(
                saved, seed=seed or 0, rows_record=NOTHING, events_record=NOTHING
            )
        self._saving: int | None = None
        self._rows: Written | None = None
        self._board: Buffered | None = None
        self._unsaved: list[Written] = []
        self.is_saved = True
        # what the folder's own checkpoint is, if training goes on from it
        self._followed: int | None = saved.step
        self._given_up = False
        self._own = (
            saved if kept_step is None else replace(saved, rows_record=None, events_record=None)
        )
        if kept_step is not None:
            with contextlib.suppress(UserError):  # its place is to be taken, whatever it is
                self._own = with_known_records(target.progress(folder, manifest))
            self._followed, self._given_up = None, True
        self._opened_step = saved.step
        self._finite: FiniteTensors | None = None

    @property
    def beginning(self) -> Beginning:
        """Where steps that are made from now on begin."""
        last, own = self.progress, self._own
        return Beginning(
            last.step,
            self._followed is None,
            not self.is_saved,
            Records(last.rows_record, own.rows_record),
            Records(last.events_record, own.events_record),
        )

    def step(self, arrays: Sequence[np.ndarray], learning_rate: float) -> float:
        """One step; the loss of the batch before it.

        Raises:
            UserError: the loss or a gradient is NaN or infinite, and that is not to be passed over.
        """
        if self._finite is None:
            self._finite = FiniteTensors(self.session, self.manifest)
        manifest, progress = self.manifest, self.progress
        # a step of several batches has as many, however many were left out
        update = (progress.step + 1 - progress.skipped) % manifest.accumulation_steps == 0
        seed = self._seed_of_step() if manifest.random else None
        unproven = not progress.step and manifest.verified is None
        if unproven:
            self.session.eval_step(arrays)  # so that nothing is trained that cannot be evaluated
        with self.held():
            loss = self.session.train_step(arrays, learning_rate, update=update, seed=seed)
            skipped = progress.skipped
            if not math.isfinite(loss):
                if self.non_finite == STOP:
                    raise self._finite.refusal(loss, progress.step + 1)
                skipped += 1
            self.progress = replace(progress, step=progress.step + 1, skipped=skipped)
            self.is_saved = False
        if unproven:
            self.check_finite()
        return loss

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Around a step: Ctrl-C comes before or after it. Where ranks wait for each other it must not wait."""
        holds = self.session.holds_signals and self.communicator.size == 1
        return signals.held() if holds else contextlib.nullcontext()

    def take(self, tensors: Mapping[str, np.ndarray], steps: int) -> None:
        """As `Trainer.set_tensors`."""
        batches = self.manifest.accumulation_steps
        if steps < 0 or steps % batches or not has_place(self.progress.step + steps):
            wanted = f"0 or a multiple of {batches}" if batches > 1 else "0 or more"
            raise UserError(
                f"{option('steps')} is {steps}, but must be {wanted}, and with the {self.progress.step:,} "
                "steps so far fit 63 bits."
            )
        checked = {name: self._checked(name, array) for name, array in tensors.items()}
        for name, array in checked.items():
            self.session.set_tensor(name, array)
        self.progress = replace(self.progress, step=self.progress.step + steps)
        self.is_saved = False

    def _checked(self, name: str, given: np.ndarray) -> np.ndarray:
        shape, array = self.session.tensor(name).shape, given_array(given, f"'{name}'")
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise UserError(
                f"'{name}' is to become {array.dtype} of shape {array.shape}, but is float32 of shape {shape} "
                f"in '{self._folder}': give one of the same model."
            )
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise UserError(
                f"'{name}' is to become NaN or infinite: what was trained elsewhere has diverged."
            )
        if (array < 0).any() and name in never_negative(self.manifest):
            raise UserError(
                f"'{name}' is to become negative, which no mean of squares is, and no count: look at where it "
                "comes from."
            )
        return array

    def begin_epoch(self) -> None:
        """As `Trainer.begin_epoch`."""
        progress = self.progress
        origin, step = progress.origin, progress.step
        if origin.examples and progress.batch_size:
            origin = BatchOrder(
                origin.examples, progress.batch_size, progress.seed, origin
            ).changed(step)
        if origin.position or origin.first_step != step:
            origin = Origin(step, origin.epoch + 1, 0, progress.origin.examples)
            self.progress = replace(progress, origin=origin)
        left_out = (step - progress.skipped) % self.manifest.accumulation_steps
        if left_out:
            for each in self.manifest.states:
                if each.state == ACCUMULATED:
                    self.session.set_tensor(each.name, np.zeros(each.shape, np.float32))
            self.progress = replace(self.progress, skipped=progress.skipped + left_out)
            self.is_saved = False

    def _seed_of_step(self) -> int:
        """31 bits, others for each step: a resumed run draws what an uninterrupted one would have drawn."""
        progress = self.progress
        rank = [self.communicator.rank] if self.communicator.rank else []
        state = np.random.SeedSequence([progress.seed, progress.step, *rank]).generate_state(1)
        return int(state[0]) >> 1

    def note(
        self,
        values: dict[str, float],
        is_best: Callable[[Sequence[Validation], int | None], bool],
    ) -> None:
        """Notes a validation after the last step, which ended an epoch, and whether that step is the best.

        At once: whatever comes before the step's checkpoint is saved, another may be saved in its place.

        Args:
            values: the metrics.
            is_best: says so of the last of all validations, given the step of the best checkpoint so far.
        """
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        step, best_step = self.progress.step, self.progress.best_step
        validations = (*self.progress.validations, Validation(step, finite))
        best_step = step if is_best(validations, best_step) else best_step
        self.progress = replace(self.progress, validations=validations, best_step=best_step)

    @contextlib.contextmanager
    def written(self, rows: Written, board: Buffered | None) -> Iterator[None]:
        """Around a run: a checkpoint, whoever saves it, knows what was written up to it, and that knows of it.

        Args:
            rows: of the log.
            board: of event files, if there are any.
        """
        around = self._rows, self._board
        self._rows, self._board = rows, board
        self._unsaved += [rows] if board is None else [rows, board]
        try:
            yield
        finally:
            self._note_points()
            self._rows, self._board = around
            if self.is_saved and self._rows is None:
                self._unsaved.clear()

    def _note_points(self) -> None:
        rows, board = self._rows, self._board
        if rows is not None:
            self.progress = replace(self.progress, rows_record=rows.record)
        if board is not None:
            self.progress = replace(self.progress, events_record=board.record)

    def keep(self, last: int | None, *, best: bool) -> None:
        """Says what is kept from now on: the last so many checkpoints, with the folder's own; and the best.

        Raises:
            UserError: the disk has no room for them.
        """
        self._keep_last = last or (1 if best else None)
        if self._keep_last is None or not self._writes:
            return
        kept = self._kept.steps() - {0}
        more = self._keep_last - 1 + best - len(kept)
        size = self.claim.size()
        if more > 0 and not has_room(self._folder, (more + 1) * size):
            raise UserError(
                f"There is no room for {more} more checkpoints of {size:,} bytes in '{self._folder}': keep "
                f"fewer by {option('checkpoint_keep')}, or make room."
            )

    def tidy(self) -> None:
        """Removes what a training that was interrupted would have removed next.

        Raises:
            UserError: it cannot be removed.
        """
        if not self._given_up:
            self._forget()

    def check_finite(self) -> None:
        """As `Trainer.check_finite`."""
        if self._finite is not None:
            self._finite.check(self.progress.step)

    @property
    def saved_step(self) -> int:
        """The step that the folder's checkpoint is of, at any moment: a signal may come while it is saved."""
        if self._saving is not None and self.claim.is_replaced:
            return self._saving
        return self._own.step

    def save(self) -> None:
        """As `Trainer.save`."""
        self.check_finite()
        refused = None
        if self._board is not None:
            try:
                self._board.flush()  # before a checkpoint tells of it
            except UserError as error:  # which loses no step
                refused = error
        self._note_points()
        step = self.progress.step
        self.session.settle()
        check_alike(
            self.communicator, self.session, self.manifest, f"What was trained by step {step}"
        )
        conversion = self.manifest.conversion
        progress = replace(self.progress, conversion=conversion, recorded=step)
        if not self._writes:
            self._own, self.is_saved = progress, True
            return
        with self.claim.saving():
            if self._followed is not None and self._followed != progress.step:
                self._keep_before_it_is_replaced(self._followed)
            self._saving = progress.step
            try:
                self.session.save(progress)
                self._own, self._followed = progress, progress.step
            finally:
                self._saving = None
            self._forget()
        self.is_saved = True
        for each in self._unsaved:
            each.saved()
        if self._rows is None:
            self._unsaved.clear()
        if refused is not None:
            raise UserError(f"{refused} The checkpoint has the {step:,} steps so far.") from refused

    def _keep_before_it_is_replaced(self, step: int) -> None:
        if step == 0:
            self._kept.keep_initial()
        elif step == self.progress.best_step or (self._keep_last or 1) > 1:
            self._kept.keep(step)

    def _forget(self) -> None:
        """Removes what is no longer to be kept."""
        if not self._writes:
            return
        if self._given_up:  # those of the training that was given up go
            self._kept.forget({step for step in self._kept.steps() if step > self._opened_step})
            self._given_up = False
        if self._keep_last is not None:
            # later ones are of no training that this goes on with
            kept = {step for step in self._kept.steps() if 0 < step <= self.progress.step}
            newest = sorted(kept - {self.progress.step}, reverse=True)[: self._keep_last - 1]
            self._kept.forget(kept - {*newest, self.progress.best_step})


def with_known_records(progress: TrainingProgress) -> TrainingProgress:
    """Without records that a program kept as they were while it trained on."""
    known = progress.recorded == progress.step
    rows, events = (
        each if known and each is not None and is_record(each) else None
        for each in (progress.rows_record, progress.events_record)
    )
    return replace(progress, rows_record=rows, events_record=events)
