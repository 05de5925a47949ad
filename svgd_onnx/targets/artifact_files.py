"""Which files make a folder of training artifacts: what may be replaced with it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from svgd_onnx.errors import UserError, listed
from svgd_onnx.files import FOLDER_FILES, check_destination, followed
from svgd_onnx.manifest import FILE_NAME, is_manifest
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.checkpoint_names import kept_files, step_of
from svgd_onnx.targets.target import (
    EVAL_MODEL,
    MERGED_MODEL_WITHOUT_WEIGHTS,
    MODEL_WITHOUT_WEIGHTS,
)

PIECES = "training_step*.piece-[1-9]*.onnx"
"""Those of a step that may run on several ranks."""
RUN_FILE = "run.toml"
"""What made the artifacts, as the commands write it; nothing that reads artifacts needs it."""


def artifact_paths(folder: Path) -> list[Path]:
    """The files of a folder of artifacts, of whichever target, whether they are there or not.

    Of checkpoints that it keeps beside its own those that are there.
    """
    models = (EVAL_MODEL, MODEL_WITHOUT_WEIGHTS, MERGED_MODEL_WITHOUT_WEIGHTS)
    names = {FILE_NAME, *models, RUN_FILE, *FOLDER_FILES}
    for target in TARGETS.values():
        names.update(target.files)
    pieces = sorted(folder.glob(PIECES))
    return [*(folder / name for name in sorted(names)), *pieces, *kept_files(folder)]


def check_not_of_artifacts(path: Path, folder: Path) -> Path:
    """Refuses to write over a file of a folder of artifacts, or what may become one, a kept checkpoint.

    Returns:
        As `check_destination`, which it is beside that.

    Raises:
        UserError: it is one of them, or nothing may be written there.
    """
    final = check_destination(path, artifact_paths(folder))
    if final.parent == followed(folder) and step_of(final.name) is not None:
        raise UserError(
            f"'{path}' has the name of a checkpoint that '{folder}' may keep: give another name to write to."
        )
    return final


def foreign(folder: Path) -> str | None:
    """Why a folder is none of artifacts, or what else it holds; None if it is one and holds nothing else."""
    if not _is_manifest(folder / FILE_NAME):
        return (
            f"'{folder}' is no folder of training artifacts (there is no {FILE_NAME} of ours in it)"
        )
    known = set(artifact_paths(folder))
    others = [path for path in sorted(folder.iterdir()) if not _is_known(path, known)]
    if others:
        return f"'{folder}' holds {listed(repr(each.name) for each in others)} beside training artifacts"
    return None


def _is_known(path: Path, known: set[Path]) -> bool:
    left = path.name.startswith(".") and path.name.endswith(".svgd-tmp")  # of a killed process
    return left or (path in known and not path.is_dir())


def _is_manifest(path: Path) -> bool:
    try:
        return path.is_file() and is_manifest(json.loads(path.read_text()))
    except (OSError, ValueError, RecursionError):
        return False
