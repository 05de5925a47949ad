"""CIFAR-10 from the files of its binary version; nothing is guessed.

A file is 10,000 records of 3,073 bytes: a label, then the red, green and blue plane of a 32x32 image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.paper.experiment import Data, DataError
from tools.paper.pictures import standardize

TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
RECORDS, CLASSES = 10_000, 10
SHAPE = (3, 32, 32)
RECORD_SIZE = 1 + 3 * 32 * 32


def load(folder: Path) -> Data:
    """The 50,000 images for training, uint8, and the 10,000 for testing, standardized.

    Raises:
        DataError: a file is missing or damaged.
    """
    train = [read_batch(folder / name) for name in TRAIN_FILES]
    images, labels = read_batch(folder / TEST_FILE)
    return Data(
        np.concatenate([part[0] for part in train]),
        np.concatenate([part[1] for part in train]),
        {"image": standardize(images), "labels": labels},
    )


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images, (10000, 3, 32, 32) uint8, and labels, (10000,) int64 from 0 to 9, of a file.

    Raises:
        DataError: it is missing, unreadable or damaged.
    """
    if not path.is_file():
        raise DataError(
            f"'{path.parent}' has no {path.name}: put the six files of CIFAR-10's binary version "
            f"there, {', '.join(TRAIN_FILES)} and {TEST_FILE}, which are in "
            "cifar-10-binary.tar.gz."
        )
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error}): unpack it again.") from error
    if content.size != RECORDS * RECORD_SIZE:
        raise DataError(
            f"'{path}' is {content.size:,} bytes, but {RECORDS:,} records of {RECORD_SIZE:,} bytes "
            f"are {RECORDS * RECORD_SIZE:,}: unpack it again."
        )
    records = content.reshape(RECORDS, RECORD_SIZE)
    labels = records[:, 0]
    if (wrong := np.flatnonzero(labels >= CLASSES)).size:
        raise DataError(
            f"Record {wrong[0]} of '{path}' has a label {labels[wrong[0]]}, but classes end at 9: it "
            "is not CIFAR-10's binary version."
        )
    return records[:, 1:].reshape(RECORDS, *SHAPE), labels.astype(np.int64)
