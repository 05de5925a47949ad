"""What has to hold before a training begins, or goes on."""

from __future__ import annotations

import os
from pathlib import Path

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import UserError, counted, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.length import check_positive

_MOST_SEED = 2**64 - 1
# Of threads: more than the cores is slower, and far more is more than a system gives.
_MANY = 64


def check_batch_size(manifest: Manifest, batch_size: int) -> None:
    """Refuses a batch size that the model does not take.

    Raises:
        UserError: says which to give.
    """
    check_positive(batch_size=batch_size)
    fixed = manifest.batch_size
    if manifest.takes_one_example and batch_size != 1:
        raise UserError(
            f"{option('batch_size')} is {batch_size}, but the model takes one example, without a "
            "batch axis: use 1."
        )
    if fixed is not None and batch_size != fixed:
        raise UserError(
            f"{option('batch_size')} is {batch_size}, but the model's batch axis is fixed at {fixed}: use "
            f"that, or {of_any_size(manifest)}."
        )


def of_any_size(manifest: Manifest) -> str:
    """How to come to artifacts of batches of any size, where theirs is fixed: the end of a sentence."""
    export = "export it with a batch axis of any size"
    if manifest.fixed_batch is None:  # nobody tried to open it
        return f"convert it without {option('fixed_batch')}, or {export}"
    return export


def check_enough(batch_size: int, count: int) -> None:
    """Refuses a batch of more examples than there are.

    Raises:
        UserError: says how many there are.
    """
    if batch_size > count:
        raise UserError(
            f"{option('batch_size')} is {batch_size}, but the training data has only "
            f"{counted(count, 'example')}."
        )


def check_resume(folder: Path, step: int, resume: bool) -> None:
    """Refuses to go on, where that was asked for, from a checkpoint that was not trained.

    Raises:
        UserError: says what to do instead.
    """
    if resume and not step:
        raise UserError(
            f"Training of '{folder}' begins from its initial parameters, so there is nothing to resume: leave "
            f"{option('resume')} out."
        )


def check_seed(given: int | None) -> int | None:
    """A seed as int; refuses one that is negative or does not fit 64 bits.

    Raises:
        UserError: names the range.
    """
    if given is None:
        return None
    seed = whole_number("seed", given)
    if not 0 <= seed <= _MOST_SEED:
        raise UserError(f"{option('seed')} is {seed}, but must be from 0 to {_MOST_SEED}.")
    return seed


def check_threads(given: int | None) -> int | None:
    """A number of threads as int; refuses one below 1, or far beyond what the machine runs at once.

    Raises:
        UserError: says how many cores there are.
    """
    if given is None:
        return None
    threads = whole_number("threads", given)
    check_positive(threads=threads)
    cores = os.cpu_count() or 1
    most = max(_MANY, 4 * cores)
    if threads > most:
        raise UserError(
            f"{option('threads')} is {threads}, but this machine has {cores} cores: give at most {most}, or "
            "leave it out for one a core."
        )
    return threads
