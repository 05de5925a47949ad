"""Which form of a training step a session opens: that of fast operators of ours, or that of any onnxruntime."""

from __future__ import annotations

import re
from pathlib import Path

from svgd_onnx.errors import UserError, check_choice, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import custom_op_library, has_custom_op_library, inference_runtime

AUTO, FAST, STANDARD = "auto", "fast", "standard"
KERNELS = (AUTO, FAST, STANDARD)

# The first onnxruntime that runs operators as they are built.
_FIRST = (1, 19)


def choose_kernels(
    wanted: str, folder: Path, manifest: Manifest, fast_step: str, device: str
) -> str:
    """Whose kernels train, `FAST` or `STANDARD`.

    Args:
        wanted: one of `KERNELS`; `AUTO` takes the fast ones where that is possible.
        folder: artifacts.
        manifest: theirs.
        fast_step: the file of theirs that has them.
        device: where they are trained.

    Raises:
        UserError: it is no choice, or the fast ones are asked for and the folder has none, or they do not
            run here.
    """
    check_choice("kernels", wanted, KERNELS)
    if wanted == STANDARD:
        return STANDARD
    # what was not made with them is none of these artifacts; what is not there may have been left out
    there = fast_step in manifest.files and (folder / fast_step).is_file()
    if wanted == AUTO:
        able = there and device == "cpu" and has_custom_op_library() and _runs_operators()
        return FAST if able else STANDARD
    if not there:
        raise UserError(
            f"'{folder}' has no step of fast kernels: {_why_none(manifest, fast_step)}, or leave "
            f"{option('kernels')} out."
        )
    if device != "cpu":
        raise UserError(
            f"{option('kernels', FAST)} is of the processor: leave it out, or train with "
            f"{option('device', 'cpu')}."
        )
    custom_op_library()  # refuses where there is none
    if not _runs_operators():
        raise UserError(
            f"onnxruntime {inference_runtime().__version__} does not run fast kernels: update it, or leave "
            f"{option('kernels')} out."
        )
    return FAST


def _why_none(manifest: Manifest, fast_step: str) -> str:
    """Why a folder lacks the fast step, as far as its manifest tells, and what to do about it."""
    if fast_step in manifest.files:
        return f"{fast_step}, which was made with it, is not there: copy it too"
    if not manifest.files:
        return "it is of a version of svgd-onnx that made none: convert again"
    left_out = "conversion left it out, with a warning"
    if manifest.needs_library:
        standard = option("kernels", STANDARD)
        return f"the model has nothing that these are for, or {left_out}: take {standard}"
    library = "the operator library was not installed at conversion"
    if any(operation.state is not None for operation in manifest.operations):
        portable = option("t_kernel", "portable")
        return (
            f"{portable} was asked for, {library}, or {left_out}: convert again without {portable}, where the "
            "library is installed"
        )
    return (
        f"{library}, the model has nothing that these are for, or {left_out}: convert again where the library "
        "is installed"
    )


def _runs_operators() -> bool:
    found = re.match(r"(\d+)\.(\d+)", inference_runtime().__version__)
    return found is not None and tuple(map(int, found.groups())) >= _FIRST
