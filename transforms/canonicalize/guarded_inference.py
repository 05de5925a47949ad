"""onnx's shape inference, of which the process does not die.

From onnx 1.21 on its wheels of Linux are built with the assertions of libstdc++, and the inference of Slice
asserts that no axis has a negative size (onnx issue 8481): the checker lets such sizes through, and they
follow from numbers that one cannot see beforehand.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from typing import NoReturn

import onnx

from svgd_onnx.errors import UserError

_ASSERTS = b"Slice"
_FAULTS = (signal.SIGABRT, signal.SIGSEGV)


def infer_shapes(model: onnx.ModelProto, *, follow: bool) -> onnx.ModelProto:
    """A model with the shapes that onnx's inference finds; not strict, so that a node withholds its own alone.

    A model with a Slice is read by a child process first, where the inference may end the process.

    Args:
        follow: whether sizes are followed through what computes them.

    Raises:
        UserError: the inference ends the process.
        Exception: what onnx raises, of a class for each of its errors.
    """
    content = model.SerializeToString()
    if sys.platform == "linux" and _ASSERTS in content:
        _refuse_deadly(content, follow=follow)
    return onnx.shape_inference.infer_shapes(
        model, check_type=False, strict_mode=False, data_prop=follow
    )


def _refuse_deadly(content: bytes, *, follow: bool) -> None:
    with warnings.catch_warnings():
        # of threads: the child does nothing that another thread may hold
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError:  # no memory for it: the inference mostly ends well
            return
    if child == 0:
        _try(content, follow=follow)
    status = 0
    with contextlib.suppress(ChildProcessError):  # where the process does not wait for its children
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _FAULTS:
        raise UserError(
            "onnx's shape inference dies of the model, as it does where a Slice reads an axis of negative "
            "size: look for a negative number among those that sizes follow from (of Expand, Pad, Tile or "
            "an input), and export the model with the right one."
        )


def _try(content: bytes, *, follow: bool) -> NoReturn:
    """What the child does: nothing of the parent's is ended, flushed or freed in it."""
    gc.disable()
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        onnx.shape_inference.infer_shapes(
            content, check_type=False, strict_mode=False, data_prop=follow
        )
    finally:
        os._exit(0)
