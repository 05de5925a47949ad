"""What a rank of several does otherwise than a trainer that is alone."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.distributed import Communicator
from svgd_onnx.distributed.job import threads_of
from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.session import Session
from svgd_onnx.training.batches import BatchOrder, Examples
from svgd_onnx.training.examples import Taken
from svgd_onnx.training.streams import StreamExamples, StreamOrder

# Examples in memory, over all of them, by which ranks see whether they have the same.
_COMPARED = 64


def open_rank(
    communicator: Communicator,
    folder: Path,
    manifest: Manifest,
    opening: tuple[int | None, str | None, str, Mapping[str, str]],
    kept_step: int | None,
    compress: str | None,
) -> Session:
    """The session of this rank, which is at the same checkpoint as those of all others.

    Raises:
        UserError: the artifacts have no step for several ranks, or ranks see different folders.
    """
    target = target_named(manifest.target)
    if target.open_parallel is None:
        raise UserError(
            f"'{folder}' is of the target {manifest.target}, which trains in one process: convert with "
            f"{option('data_parallel')} and {option('target', 'onnx')} to train on several ranks."
        )
    threads, device, kernels, options = opening
    if threads is None:
        threads = threads_of(communicator)
    opened = target.open_parallel(communicator, compress)
    session = opened(folder, manifest, threads, device, kernels, options, step=kept_step)
    check_alike(communicator, session, manifest, f"The folder '{folder}'")
    return session


def check_alike(
    communicator: Communicator, session: Session, manifest: Manifest, what: str
) -> None:
    """Refuses to go on where parameters or states differ from rank to rank.

    Raises:
        UserError: they do.
    """
    if communicator.size == 1:
        return
    digests = communicator.gathered(_digest(session, manifest))
    if len(set(digests)) > 1:
        others = [rank for rank, each in enumerate(digests) if each != digests[0]]
        raise UserError(
            f"{what} is not the same on all ranks (it is another on rank {others[0]}): let all read the folder "
            "of one file system, and run on processors of one kind."
        )


def check_told_alike(
    communicator: Communicator,
    told: Mapping[str, object],
    examples: Taken | StreamExamples,
    held_out: Taken | StreamExamples | None,
) -> None:
    """Refuses ranks that were told different things: they would wait for each other, or train something else.

    Args:
        communicator: of the ranks.
        told: the options that steps follow from, by name.
        examples: what is trained on; of what is not in memory the number of examples is compared.
        held_out: the validation's.

    Raises:
        UserError: names what differs, and a rank.
    """
    if communicator.size == 1:
        return
    data = {"data": _digest_of(examples), "validation": _digest_of(held_out)}
    everyone = communicator.gathered(
        {**{name: repr(value) for name, value in told.items()}, **data}
    )
    first = everyone[0]
    for name, value in first.items():
        rank = next((rank for rank, each in enumerate(everyone) if each[name] != value), None)
        if rank is None:
            continue
        what = "" if name in data else f" ({value} on rank 0, {everyone[rank][name]} there)"
        raise UserError(
            f"{option(name)} is not the same on all ranks, another on rank {rank}{what}: start all by one "
            "command, over the same files."
        )


def _digest_of(examples: Taken | StreamExamples | None) -> tuple[int, int]:
    """The number of examples, and of those in memory a CRC-32 of some."""
    if examples is None or isinstance(examples, StreamExamples):
        return 0, 0
    digest, count = 0, len(examples)
    if isinstance(examples, Examples):
        for array in examples.take(np.unique(np.linspace(0, count - 1, _COMPARED, dtype=int))):
            digest = zlib.crc32(np.ascontiguousarray(array).tobytes(), digest)
    return count, digest


def _digest(session: Session, manifest: Manifest) -> tuple[int, int]:
    """The step, and a CRC-32 of all that training changes."""
    names = [each.name for each in manifest.parameters]
    names += manifest.r
    names += [each.name for each in manifest.states]
    digest = 0
    for name in dict.fromkeys(names):
        digest = zlib.crc32(session.tensor(name).tobytes(), digest)
    return session.progress.step, digest


class ShareOfOrder:
    """The order of one rank: of each batch the part that is its own, one rank's behind the other's.

    Args:
        order: of whole batches, which is that of a trainer alone.
        communicator: of the ranks.
    """

    def __init__(self, order: BatchOrder | StreamOrder, communicator: Communicator) -> None:
        self._order, self._communicator = order, communicator

    def epoch(self, step: int) -> int:
        """See `BatchOrder`."""
        return self._order.epoch(step)

    def ends_epoch(self, step: int) -> bool:
        """See `BatchOrder`."""
        return self._order.ends_epoch(step)

    def rows(self, step: int) -> np.ndarray:
        """The examples of this rank at a step; (batch_size / ranks,) int64."""
        rows = self._order.rows(step)
        count = len(rows) // self._communicator.size
        return rows[self._communicator.rank * count :][:count]

    def generator(self, step: int) -> np.random.Generator:
        """See `BatchOrder`; each rank draws other numbers, and the first those of a trainer alone."""
        generator = self._order.generator(step)
        rank = self._communicator.rank
        bits: Any = generator.bit_generator
        return np.random.Generator(bits.jumped(rank)) if rank else generator


def share_of_batch(communicator: Communicator, batch_size: int) -> int:
    """How many examples of a batch a rank takes.

    Raises:
        UserError: it does not fall into equal parts.
    """
    size = communicator.size
    if batch_size % size:
        raise UserError(
            f"{option('batch_size')} is {batch_size}, which is of all ranks together and has to fall into "
            f"{size} equal parts: give a multiple of {size}."
        )
    return batch_size // size


class NoClaim:
    """In place of a `CheckpointClaim`, for ranks that write nothing."""

    is_replaced = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def take(self) -> None:
        """Nothing is to be held."""

    def size(self) -> int:
        """Of what is written: nothing."""
        return 0

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Around what the first rank saves."""
        yield
