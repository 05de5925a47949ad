"""Images in folders, one for each class: `DIR/cat/1.jpg`; or without classes: `DIR/1.jpg`."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from svgd_onnx.errors import Advice, UserError, counted, listed, option
from svgd_onnx.training.images.decoding import SUFFIXES, decode, pillow
from svgd_onnx.training.sources.source import LABELS, Values

IMAGE = "image"


class ImageFolder:
    """Images in files, decoded when they are taken.

    Args:
        path: a folder of folders, whose names are the classes, and in which images lie at any depth; or a
            folder of images, which have no labels.
        classes: in the order of their numbers; none takes the folders' names in sorted order.

    Raises:
        UserError: there is no image, a class has none, or a folder is no class of those given.
    """

    own_names = True
    reads_columns = True
    texts = frozenset({LABELS})

    def __init__(self, path: Path, classes: Sequence[str] = ()) -> None:
        pillow()
        self.title = f"'{path}'"
        self._path = path
        folders = sorted(each.name for each in os.scandir(path) if _is_folder(each))
        self._classes = tuple(classes or folders) if folders else ()
        unknown = [name for name in folders if name not in self._classes]
        if unknown:
            raise UserError(
                f"The folder '{unknown[0]}' in '{path}' is none of the classes {listed(self._classes)}: "
                f"validation and training data have the same, and {option('classes')} lists them."
            )
        beside = [each.name for each in os.scandir(path) if folders and _is_image(each.name)]
        if beside:
            raise UserError(
                f"The image '{min(beside)}' in '{path}' lies beside the folders of classes: put it into one."
            )
        self._files: list[str] = []
        numbers: list[int] = []
        others: list[str] = []
        for folder in folders or ["."]:
            found = list(_files(path / folder))
            files = [file for file in found if _ends_as_image(file)]
            others += [file for file in found if not _ends_as_image(file)]
            if folders and not files:
                raise UserError(f"The folder '{path / folder}' has no image, though it is a class.")
            self._files += [file.removeprefix(f"{path}{os.sep}") for file in files]
            if folders:
                numbers += [folders.index(folder)] * len(files)
        if not self._files:
            raise UserError(f"There is no image in '{path}'.")
        if others:
            warnings.warn(
                Advice(
                    f"{counted(len(others), 'file')} in '{path}' left out, whose names do not end as those of "
                    f"images: '{others[0].removeprefix(f'{path}{os.sep}')}' for one."
                ),
                stacklevel=4,
            )
        self._folders = tuple(folders)
        self._of_folder = np.array(numbers, np.int64)
        self._told = bool(classes)
        self._labels = self._numbered()
        self.columns: Sequence[str] = (IMAGE, LABELS) if folders else (IMAGE,)

    def apart(self) -> ImageFolder:
        return copy.copy(self)

    def __len__(self) -> int:
        return len(self._files)

    def take(self, columns: Sequence[str], rows: np.ndarray) -> dict[str, Values]:
        taken: dict[str, Values] = {}
        if IMAGE in columns:
            taken[IMAGE] = [self._decoded(int(row)) for row in rows]
        if LABELS in columns:
            taken[LABELS] = self._labels[rows]
        return taken

    def classes_of(self, column: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
        if column != LABELS or not self._folders:
            return ()
        if given and not self._told and set(self._folders) <= set(given):
            self._classes = tuple(given)
            self._labels = self._numbered()
        self._told = True
        return self._classes

    def name_of(self, row: int) -> str | None:
        return self._files[row]

    def _numbered(self) -> np.ndarray:
        """The number of each image's class."""
        numbers = np.array([self._classes.index(name) for name in self._folders], np.int64)
        return numbers[self._of_folder]

    def _decoded(self, row: int) -> np.ndarray:
        file = self._path / self._files[row]
        return decode(file, f"'{file}'")


def has_images(path: Path) -> bool:
    """Whether images lie in a folder, or in one in it."""
    return any(map(_ends_as_image, _files(path)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _files(path: Path) -> Iterator[str]:
    """Files at any depth, in sorted order; hidden ones are none."""
    for folder, inner, names in os.walk(path, onerror=_refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield f"{folder}{os.sep}{name}"


def _refuse(error: OSError) -> NoReturn:
    raise UserError(
        f"The folder '{error.filename}' cannot be read ({error.strerror}): nothing is left out of data in "
        "silence, so make it readable, or move it away."
    ) from error


def _is_image(name: str) -> bool:
    return _ends_as_image(name) and not name.startswith(".")


def _ends_as_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
