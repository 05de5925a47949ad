"""MNIST from its four IDX files, each as it is published (.gz) or unpacked; nothing is guessed."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tools.paper.experiment import Data, DataError

TRAIN_EXAMPLES, TEST_EXAMPLES = 60_000, 10_000
SIDE, CLASSES = 28, 10
SET_ASIDE = 5_000  # the first of those for training
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Examples(NamedTuple):
    """Images, (examples, 28, 28) uint8, and labels, (examples,) uint8 from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


def load(folder: Path) -> Data:
    """55,000 of the 60,000 images for training, and the 10,000 for testing: rows of uint8, and pixels.

    Raises:
        DataError: a file is missing or damaged.
    """
    train = _examples(folder, TRAIN_IMAGES, TRAIN_LABELS, TRAIN_EXAMPLES)
    test = _examples(folder, TEST_IMAGES, TEST_LABELS, TEST_EXAMPLES)
    return Data(
        train.images[SET_ASIDE:].reshape(-1, SIDE**2),
        train.labels[SET_ASIDE:].astype(np.int64),
        {
            "image": pixels(test.images.reshape(-1, SIDE**2)),
            "labels": test.labels.astype(np.int64),
        },
    )


def pixels(images: np.ndarray) -> np.ndarray:
    """Pixels from uint8 to float32 in [0, 1]."""
    return images.astype(np.float32) / 255


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An IDX file of unsigned bytes, unpacked if its name ends in .gz.

    The header is big-endian: magic number 0x08 (unsigned bytes) and the number of axes, then the
    size of each axis as 4 bytes.

    Args:
        path: the file.
        shape: what it has to hold.

    Raises:
        DataError: it is unreadable, or holds something else.
    """
    header = b"".join(n.to_bytes(4, "big") for n in (0x0800 + len(shape), *shape))
    length = len(header) + int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read ({error}): download it again.") from error
    found = content[: len(header)]
    if not header.startswith(found[:4]):
        raise DataError(
            f"'{path}' starts with the bytes '{found[:4].hex()}' and not '{header[:4].hex()}': "
            f"it is not an IDX file of {len(shape)} axes of unsigned bytes."
        )
    if not header.startswith(found):
        sizes = tuple(int.from_bytes(found[i : i + 4], "big") for i in range(4, len(found), 4))
        raise DataError(f"'{path}' holds an array of shape {sizes}, not {shape}.")
    if len(content) != length:
        raise DataError(
            f"'{path}' is {'cut short' if len(content) < length else 'too long'}: it should be "
            f"{length:,} bytes when unpacked."
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _examples(folder: Path, images: str, labels: str, count: int) -> Examples:
    examples = Examples(
        read_idx(_find(folder, images), (count, SIDE, SIDE)),
        read_idx(_find(folder, labels), (count,)),
    )
    highest = int(examples.labels.max())
    if highest >= CLASSES:
        raise DataError(f"'{folder / labels}' has a label {highest}, but digits end at 9.")
    return examples


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"'{folder}' has no {name} or {name}.gz: put the four files of MNIST there, "
        f"{', '.join(FILES[:-1])} and {FILES[-1]}, with or without .gz."
    )
