"""What is wrong with a checkpoint, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import FILE_NAME, TELLS_OF_STATES, Manifest
from svgd_onnx.targets.checkpoint_names import kept_files, step_of

# Of what differs in a message.
_SHOWN = 64


def checkpoint_missing(path: Path) -> UserError:
    """What to raise where there is no checkpoint."""
    kept = _kept_beside(path)
    otherwise = f"begin from one that was kept ({kept}), or " if kept else ""
    return UserError(f"There is no checkpoint '{path}': {otherwise}convert the model again.")


def checkpoint_damaged(path: Path) -> UserError:
    """What to raise where a checkpoint cannot be read."""
    kept = _kept_beside(path)
    lost = "" if kept else ", and with it what was trained"
    otherwise = f"begin from one that was kept ({kept})" if kept else "convert the model again"
    return UserError(
        f"The checkpoint '{path}' is damaged{lost}: restore it from a copy, or {otherwise}."
    )


def _kept_beside(path: Path) -> str:
    """The option by which to begin from the last other checkpoint of a folder; empty if none is kept."""
    try:
        steps = {step_of(each.name) for each in kept_files(path.parent)} - {
            None,
            step_of(path.name),
        }
    except OSError:
        return ""
    return option("checkpoint", f"step-{max(filter(None, steps), default=0)}") if steps else ""


def check_step(path: Path, step: int) -> None:
    """Refuses a kept checkpoint that is of another step than its name says.

    Raises:
        UserError: says of which.
    """
    by_name = step_of(path.name)
    if by_name is not None and by_name != step:
        raise UserError(
            f"'{path}' is a checkpoint of step {step}, and not of the step in its name: put back the one that "
            "belongs there, or remove it."
        )


def check_checkpoint(
    folder: Path,
    manifest: Manifest,
    names: Iterable[str],
    found: Callable[[str], tuple[str, Sequence[int]] | None],
) -> None:
    """Refuses a checkpoint whose tensors are not those of the manifest, by their names, types and shapes.

    Args:
        folder: of artifacts.
        manifest: theirs.
        names: of the checkpoint's tensors.
        found: the type and shape of a tensor of the checkpoint, None if there is none.

    Raises:
        UserError: says what differs.
    """
    wanted: list[tuple[str, Sequence[int]]] = [
        *((each.name, each.shape) for each in manifest.parameters),
        *((each.state, each.state_shape) for each in manifest.operations if each.state is not None),
        *((each.name, each.shape) for each in manifest.states),
    ]
    for name, shape in wanted:
        check_tensor(folder, name, found(name), shape)
    known = {name for name, _ in wanted}
    more = sorted(name for name in names if name not in known)
    if more and manifest.format >= TELLS_OF_STATES:
        raise UserError(
            f"The checkpoint of '{folder}' has a tensor '{more[0]}', of which {FILE_NAME} says nothing: put "
            "the one of both back that is not what was made, or convert the model again."
        )


def check_conversion(folder: Path, manifest: Manifest, trained_as: Mapping[str, str]) -> None:
    """Refuses a checkpoint that was trained by other artifacts, of whichever shapes.

    Args:
        folder: of artifacts.
        manifest: theirs.
        trained_as: `TrainingProgress.conversion`.

    Raises:
        UserError: says what differs.
    """
    here = manifest.conversion
    for name in sorted(here.keys() & trained_as.keys()):
        was, is_ = _short(trained_as[name]), _short(here[name])
        if trained_as[name] != here[name]:
            raise UserError(
                f"The checkpoint of '{folder}' was trained by another conversion: {name} was {was}, and is "
                f"{is_} by {FILE_NAME}; put the one back that belongs here, or convert the model again."
            )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_tensor(
    folder: Path, name: str, found: tuple[str, Sequence[int]] | None, shape: Sequence[int]
) -> None:
    """As `check_checkpoint`, of one tensor, which is to be float32."""
    if found == ("float32", tuple(shape)):
        return
    has = "is not in it"
    if found is not None:
        dtype, given = found
        has = f"is {dtype} of shape {tuple(given)} in it, and float32 of shape {tuple(shape)} by {FILE_NAME}"
    raise UserError(
        f"The checkpoint of '{folder}' is that of another model: '{name}' {has}; put the one back that belongs "
        "here, or convert the model again."
    )
