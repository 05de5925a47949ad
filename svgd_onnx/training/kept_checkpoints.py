"""The checkpoints that a folder keeps beside its own: the initial one, the best, and the last few."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

from svgd_onnx.errors import Advice, UserError, listed, option
from svgd_onnx.files import explained, followed, has_room, name_again, whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.checkpoint_names import kept_files, name_of_step, step_of

LAST, BEST, INITIAL = "last", "best", "initial"
_STEP = "step-"


class KeptCheckpoints:
    """Kept checkpoints of a folder, which were its own until the next was saved.

    The folder's own becomes a kept one by a second name for the same file, before another takes its place.
    So it is whole at any moment, and nothing is written twice.

    Args:
        folder: of artifacts.
        names: the files of its checkpoint.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names

    def steps(self) -> set[int]:
        """Those of the checkpoints that are there.

        Raises:
            UserError: the system does not say.
        """
        with explained(self._folder):
            found = [step_of(path.name) for path in kept_files(self._folder)]
        return {step for step in found if step is not None}

    def keep(self, step: int) -> None:
        """Keeps the folder's own checkpoint, which is of a step.

        Raises:
            UserError: the folder cannot be written.
        """
        for name in reversed(self._names):  # the last is the one by which it is known to be there
            source = followed(self._folder / name)
            if source.is_file():
                place = self._folder / name_of_step(name, step)
                with whole_file(place, of_ours=True, like=source) as temporary:
                    name_again(source, temporary)

    def keep_initial(self) -> None:
        """Keeps the checkpoint of no step, where the disk has room for one more than training needs anyway.

        Raises:
            UserError: the folder cannot be written.
        """
        files = [path for name in self._names if (path := self._folder / name).is_file()]
        with explained(self._folder):
            there_is_room = has_room(self._folder, 2 * sum(path.stat().st_size for path in files))
        if there_is_room:
            self.keep(0)
            return
        warnings.warn(
            Advice(
                f"There is no room to keep the initial checkpoint of '{self._folder}': to begin anew the "
                "model will have to be converted again."
            ),
            stacklevel=4,
        )

    def forget(self, steps: Collection[int]) -> None:
        """Removes the kept checkpoints of some steps.

        Raises:
            UserError: one cannot be removed.
        """
        with explained(self._folder):
            for path in kept_files(self._folder):
                if step_of(path.name) in steps:
                    path.unlink(missing_ok=True)


def find(folder: Path, manifest: Manifest, name: str) -> int | None:
    """The kept checkpoint of a name.

    Args:
        folder: of artifacts.
        manifest: theirs.
        name: "last", the folder's own; "best"; "initial"; or "step-1600".

    Returns:
        Its step; None for the folder's own.

    Raises:
        UserError: there is none of that name; the message lists those that are there.
    """
    if name == LAST:
        return None
    target = target_named(manifest.target)
    kept = KeptCheckpoints(folder, target.checkpoint_files).steps()
    step: int | None = None
    if name == INITIAL:
        step = 0
    elif name.startswith(_STEP) and name.removeprefix(_STEP).isdecimal():
        step = int(name.removeprefix(_STEP))
    try:
        progress = target.progress(folder, manifest)
    except UserError:
        if step in kept:  # whatever has become of the folder's own
            return step
        raise
    if name == BEST:
        step = progress.best_step
        if step is None:
            raise UserError(
                f"'{folder}' keeps no best checkpoint: train with {option('checkpoint_best')} for that."
            )
    if step == progress.step:
        return None
    if step is None or step not in kept:
        raise UserError(_missing(folder, name, {*kept, progress.step}))
    return step


def _missing(folder: Path, name: str, steps: set[int]) -> str:
    if name == INITIAL:
        return (
            f"'{folder}' has not kept the checkpoint that training began from (an older version or another "
            "program trained it, or there was no room): convert the model again to begin anew."
        )
    names = listed([LAST, *(f"{_STEP}{step}" for step in sorted(steps, reverse=True))])
    return f"'{folder}' has no {option('checkpoint')} '{name}': choose from {names}."
