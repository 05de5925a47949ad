"""Where examples come from: files and folders as people have them, and objects of Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.argument_types import by_name, several_texts
from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.training import data
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.images.grammar import parse_transform
from svgd_onnx.training.sources import cifar, idx, image_folder, npy_folder, tables
from svgd_onnx.training.sources.python import SequenceSource, has_rows
from svgd_onnx.training.sources.source import ArraySource, Data, Source

__all__ = ["Data", "Source", "load_data"]


@dataclass(frozen=True)
class _Kind:
    """A form of data on disk.

    Attributes:
        name: what it is, for messages.
        matches: whether a path that is there is of it, by names alone.
        open: makes a source of a path and the classes that are given.
    """

    name: str
    matches: Callable[[Path], bool]
    open: Callable[[Path, Sequence[str]], Source]


def _ends(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.suffix.lower() in suffixes


def _has(pattern: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(path.glob(pattern))


# The first that matches.
_KINDS = (
    _Kind(
        "a folder of .npy files", _has("*.npy"), lambda path, _: npy_folder.open_npy_folder(path)
    ),
    _Kind(
        "a data set that Hugging Face's datasets saved",
        lambda path: path.is_dir() and tables.is_hugging_face(path),
        tables.open_hugging_face,
    ),
    _Kind("files of IDX (MNIST)", idx.is_idx, lambda path, _: idx.open_idx(path)),
    _Kind("CIFAR's binary files", cifar.is_cifar, lambda path, _: cifar.open_cifar(path)),
    _Kind("a .csv or .tsv file", _ends(".csv", ".tsv"), tables.open_csv),
    _Kind("a .parquet file", _ends(".parquet"), tables.open_parquet),
    _Kind("a folder of .parquet files", _has("*.parquet"), tables.open_parquet),
    _Kind(
        "a folder of images, or of folders of them by class",
        lambda path: path.is_dir() and image_folder.has_images(path),
        image_folder.ImageFolder,
    ),
    _Kind(
        "an .npz file",
        lambda path: path.is_file(),
        lambda path, _: ArraySource(_npz(path), f"'{path}'"),
    ),
)


def load_data(
    examples: Any,
    *,
    columns: Mapping[str, str | Sequence[str]] | None = None,
    transform: str | Sequence[str] = (),
    classes: Sequence[str] | Mapping[str, Sequence[str]] = (),
) -> Data:
    """Opens examples for `train`, `evaluate` and `predict`; what is large stays on disk.

    Args:
        examples: a path: of an `.npz` file, a folder of `.npy` files, images in folders by class, a `.csv` or
            `.parquet` file, files of MNIST (IDX) or of CIFAR's binary version, or a folder that Hugging Face's
            `save_to_disk` wrote. Or arrays by name, or an object with `__len__` and `__getitem__`, whose
            examples are dictionaries or tuples of arrays.
        columns: for an input of the model, or its label, the columns that it is made of: names or globs, whose
            columns stand next to each other. An input that is not among them has the column of its name.
        transform: what happens to images, as `"resize=256,random-crop=224,flip,normalize=imagenet"`.
        classes: names of the classes in the order of their numbers; of several labels those of the first, or
            those of each, by label. By default those that the data names, in sorted order.

    Returns:
        The examples; `len`, and `classes`, the names of classes where they are known.

    Raises:
        UserError: there is nothing of a known form, it is damaged, what reads it is not installed, or an
            option does not fit.

    Example:
        >>> data = svgd_onnx.load_data("train.npz", columns={"image": "image"})
        >>> len(data)
        64
    """
    by_label: dict[str, tuple[str, ...]] = {}
    chosen: tuple[str, ...] = ()
    if isinstance(classes, Mapping):
        for label, names in by_name("classes", classes).items():
            by_label[label] = tuple(several_texts("classes", names))
    else:
        chosen = tuple(several_texts("classes", classes))
    if any(len(set(each)) != len(each) for each in (chosen, *by_label.values())):
        raise UserError(f"{option('classes')} names a class twice.")
    only = next(iter(by_label.values())) if len(by_label) == 1 else ()
    source = _source(examples, chosen or only)
    made = {
        name: [of] if isinstance(of, str) else several_texts("columns", of)
        for name, of in by_name("columns", {} if columns is None else columns).items()
    }
    items = [transform] if isinstance(transform, str) else several_texts("transform", transform)
    return Data(source, made, parse_transform(items), chosen, by_label)


def _source(examples: Any, classes: Sequence[str]) -> Source:
    if isinstance(examples, str | os.PathLike):
        return _opened(Path(examples), classes)
    if isinstance(examples, Mapping):
        arrays = {
            str(name): given_array(array, f"Array '{name}' in the data")
            for name, array in examples.items()
        }
        return ArraySource(arrays, "the data")
    if has_rows(examples):
        return SequenceSource(examples)
    raise UserError(
        f"Data of {type(examples).__name__} is none that can be loaded: give a path, arrays by name, or an "
        "object with __len__ and __getitem__."
    )


def _npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that has no name of another form.

    Raises:
        UserError: it is none.
    """
    try:
        return data.load(path)
    except UserError as error:
        if path.suffix.lower() != ".bin":
            raise
        raise UserError(
            f"'{path}' is no .npz file, and CIFAR's binary files are known by their names: data_batch_1.bin, "
            "test_batch.bin, train.bin, test.bin."
        ) from error


def _opened(path: Path, classes: Sequence[str]) -> Source:
    try:
        if not path.exists():
            raise UserError(f"There is no file '{path}'.")
        kind = next((each for each in _KINDS if each.matches(path)), None)
        if kind is None:
            known = "; ".join(each.name for each in _KINDS)
            raise UserError(f"'{path}' is no data of a known form, which are: {known}.")
        return kind.open(path, classes)
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read ({first_line(error)}).") from error
