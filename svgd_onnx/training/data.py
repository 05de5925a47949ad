"""Training data: one array for each model input, and the labels; checked once, before any step."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.files import PathLike, require_there
from svgd_onnx.manifest import LOOKS_AT_LABELS, LossTerm, Manifest, Tensor
from svgd_onnx.training.batches import Examples
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.mapped import MappedFiles
from svgd_onnx.training.values import check_values
from svgd_onnx.transforms.losses import loss_named

Arrays = Mapping[str, np.ndarray]


def load(path: PathLike) -> dict[str, np.ndarray]:
    """Reads an `.npz` file.

    Raises:
        UserError: there is no such file, it is no `.npz`, it holds Python objects, or two arrays of a name.
    """
    require_there(Path(path))
    twice: list[str] = []
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.ndarray):
            with content:
                twice = [name for name, count in Counter(content.files).items() if count > 1]
                if not twice:
                    return {name: content[name] for name in content.files}
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise UserError(
            f"'{path}' is not a readable .npz file of numbers: write it with numpy.savez."
        ) from error
    if twice:
        raise UserError(
            f"'{path}' holds two arrays called '{twice[0]}': write each by a name of its own."
        )
    raise UserError(f"'{path}' holds a single array: save named arrays with numpy.savez.")


def load_vector(path: PathLike) -> np.ndarray:
    """Reads a vector of numbers from an `.npy` file.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    require_there(Path(path))
    try:
        vector = np.load(path, allow_pickle=False)
        return np.asarray(vector, np.float64).reshape(-1)
    except Exception as error:  # NumPy raises several kinds
        raise UserError(
            f"'{path}' is not a readable .npy file of numbers ({error}): write it with numpy.save."
        ) from error


def check(
    arrays: Arrays,
    manifest: Manifest,
    source: str = "the data",
    rows: Sequence[int] | np.ndarray | None = None,
) -> Examples:
    """Checks arrays against what a model wants.

    Floating-point arrays may be of any width, and integer arrays too: a batch of them has the model's type.

    Args:
        arrays: by name; the manifest names the inputs and the labels.
        manifest: of the artifacts.
        source: what to call the data in a message.
        rows: the numbers of the examples in the source; None if they count from 0.

    Raises:
        UserError: a name, a type, a shape, a length or a class does not fit; or there are no
            examples.
    """
    _check_mapping(arrays, source)
    wanted, ignored, hints = list(manifest.inputs), {}, {}
    for term in manifest.terms:
        label, loss = term.label, loss_named(term.loss)
        if label is None:
            continue
        if label.name in arrays:
            axes = len(label.shape) + manifest.takes_one_example
            loss.check_form(
                _array(arrays[label.name], label.name, source),
                axes,
                f"Array '{label.name}' in {source}",
            )
        lowest, highest = loss.target_range(term.logits_shape, term.settings)
        if manifest.format < LOOKS_AT_LABELS and lowest is not None and highest is None:
            raise UserError(
                "These artifacts are of an older svgd-onnx, and read memory by labels that are no classes, "
                "as the number of classes is open: convert the model again, and put the checkpoint in its "
                "place to go on."
            )
        wanted.append(label if lowest is None else replace(label, lowest=lowest, highest=highest))
        if term.settings.ignore_index is not None:
            ignored[label.name] = term.settings.ignore_index
        hints[label.name] = _about_classes(term)
    examples = check_arrays(arrays, wanted, source, ignored=ignored, rows=rows, hints=hints)
    given = {tensor.name: array for tensor, array in zip(wanted, examples.arrays)}
    for term in manifest.terms:
        # a batch of data that is read as it goes may well have no label that counts
        if term.label is not None and rows is None:
            name = term.label.name
            array = f"array '{name}' of {source}"
            loss_named(term.loss).check_counting(given[name], term.settings, array)
    return examples


def check_batch(
    arrays: Arrays,
    manifest: Manifest,
    source: str,
    rows: Sequence[int] | np.ndarray | None = None,
) -> list[np.ndarray]:
    """As `check`, of what one step takes.

    Raises:
        UserError: as `check`; or a step takes one example, and there are more.
    """
    examples = check(arrays, manifest, source, rows)
    if examples.one_by_one and len(examples) > 1:
        raise UserError(
            f"There are {len(examples)} examples in {source}, but the model takes one: give one a step."
        )
    return examples.all()


def check_arrays(
    arrays: Arrays,
    wanted: Sequence[Tensor],
    source: str,
    ignored: Mapping[str, int] | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
    hints: Mapping[str, str] | None = None,
) -> Examples:
    """Checks arrays against inputs.

    Where no input has an axis of examples, the model takes one. Arrays then have examples along a new first
    axis; or they have no axis more than the input, and are the same for all.

    Args:
        arrays: by name.
        wanted: the inputs.
        source: what to call the data in a message.
        ignored: of some of them, by name, a number that they may hold whatever their range is.
        rows: the numbers of the examples in the source; None if they count from 0.
        hints: of some of them, by name, what may be meant where a shape does not fit: the end of a sentence.

    Returns:
        An array for each input, in their order.

    Raises:
        UserError: a name, a type, a shape, a length or a number does not fit; or there are no examples.
    """
    _check_mapping(arrays, source)
    names = [tensor.name for tensor in wanted]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UserError(
            f"There is no array '{missing[0]}' in {source}: the model wants {_list(names)}, but there "
            f"is {_list(arrays)}."
        )
    unknown = [name for name in arrays if name not in names]
    if unknown:
        raise UserError(
            f"Array '{unknown[0]}' in {source} is no input of the model: leave it out, it wants "
            f"{_list(names)}."
        )
    one_by_one = all(tensor.batch_axis is None for tensor in wanted)
    given = [_array(arrays[tensor.name], tensor.name, source) for tensor in wanted]
    files = MappedFiles(given)
    checked, axes = [], []
    for tensor, array in zip(wanted, given):
        stacked = one_by_one and array.ndim == len(tensor.shape) + 1
        if stacked:
            tensor = replace(tensor, shape=["examples", *tensor.shape], batch_axis=0)
        _check_form(array, tensor, source, (hints or {}).get(tensor.name, ""))
        check_values(array, tensor, source, (ignored or {}).get(tensor.name), rows, files)
        checked.append(array)
        axes.append(tensor.batch_axis)
    lengths = {
        tensor.name: array.shape[axis]
        for tensor, array, axis in zip(wanted, checked, axes)
        if axis is not None
    }
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise UserError(f"The arrays in {source} differ in length ({listed}).")
    if not all(lengths.values()):
        raise UserError(f"There is no example in {source}: it is empty.")
    types = tuple(np.dtype(tensor.dtype) for tensor in wanted)
    return Examples(tuple(checked), tuple(axes), one_by_one, types, source, files=files)


def _check_mapping(arrays: object, source: str) -> None:
    if isinstance(arrays, str | os.PathLike):
        raise UserError(
            f"{source[0].upper()}{source[1:]} is '{arrays}': give arrays by name, or what load_data reads."
        )
    if not hasattr(arrays, "keys"):  # what a table of pandas has too
        raise UserError(
            f"{source[0].upper()}{source[1:]} is of the type {type(arrays).__name__}: give arrays by name."
        )


def _array(given: object, name: str, source: str) -> np.ndarray:
    try:
        return given_array(given, f"Array '{name}' in {source}")
    except ValueError as error:
        raise UserError(
            f"Array '{name}' in {source} is no array of numbers ({first_line(error)}): give rows of one length."
        ) from error


def _about_classes(term: LossTerm) -> str:
    """Which axis of the logits was taken for that of classes, where it could be another."""
    if term.settings.class_axis is None or len(term.logits_shape) < 3:
        return ""
    shape = ", ".join(map(str, term.logits_shape))
    return (
        f", as classes were taken for axis {term.settings.class_axis} of '{term.logits}' ({shape}): if they "
        f"lie along another, convert with {option('class_axis')}"
    )


def _check_form(array: np.ndarray, tensor: Tensor, source: str, hint: str) -> None:
    dtype = np.dtype(tensor.dtype)
    if array.dtype.kind != dtype.kind and not (array.dtype.kind in "iu" and dtype.kind in "iu"):
        numbers = array.dtype.kind in "biuf"
        advice = f"convert it to {dtype}" if numbers else "give numbers"
        raise UserError(
            f"Array '{tensor.name}' in {source} is {array.dtype}, but the model wants {dtype}: {advice}."
        )
    wanted = [
        "examples" if axis == tensor.batch_axis else size for axis, size in enumerate(tensor.shape)
    ]
    fits = array.ndim == len(wanted) and all(
        not isinstance(size, int) or size == given for size, given in zip(wanted, array.shape)
    )
    if not fits:
        shape = ", ".join(map(str, wanted))
        raise UserError(
            f"Array '{tensor.name}' in {source} has shape {array.shape}, but the model wants "
            f"({shape}){hint}."
        )


def _list(names: Mapping[str, object] | list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"
