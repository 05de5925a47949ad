"""The values of arrays, each looked at once before any step, however large the array is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Tensor
from svgd_onnx.targets.index_at_fault import OutOfRangeError, place_of
from svgd_onnx.training.mapped import MappedFiles, release, taken

# Elements that are looked at together: few enough for a processor's cache.
_LENGTH = 1 << 18
_PIECES_HELD = 32
# Where it begins, and its numbers.
_Piece = tuple[int, np.ndarray]


def check_values(
    array: np.ndarray,
    tensor: Tensor,
    source: str,
    ignored: int | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
    files: MappedFiles | None = None,
) -> None:
    """Refuses numbers that are not finite, or out of the range that a tensor has.

    Of an array in a mapped file no more is held in memory than is looked at.

    Args:
        array: integers for integers, or floating-point numbers for floating-point numbers; of any width.
        tensor: what it is for. As an index, a number is at least its `lowest` and at most its `highest`; of
            floating-point numbers only the first is looked at.
        source: what to call the data in a message.
        ignored: a number that is in range whatever the range is.
        rows: the numbers of the examples in the source; None if they count from 0.
        files: that are looked at before numbers are read; those of the array by default.

    Raises:
        UserError: names the array, the row and the number; or a mapped file is not as it was.
    """
    dtype = np.dtype(tensor.dtype)
    pieces = _pieces(array, MappedFiles([array]) if files is None else files)
    if dtype.kind == "f":
        _check_finite(array, pieces, tensor, dtype, source, rows)
    elif dtype.kind in "iu":
        _check_range(array, pieces, tensor, dtype, source, ignored, rows)


def _check_finite(
    array: np.ndarray,
    pieces: Iterable[_Piece],
    tensor: Tensor,
    dtype: np.dtype,
    source: str,
    rows: Sequence[int] | np.ndarray | None,
) -> None:
    for start, piece in pieces:
        with np.errstate(over="ignore"):
            finite = np.isfinite(piece.astype(dtype, copy=False))
        if tensor.lowest is not None and (piece < tensor.lowest).any():
            flat = int(np.argmax(piece < tensor.lowest))
            place = place_of(_index(array, start + flat), tensor, rows)
            raise UserError(
                f"Array '{tensor.name}' in {source} has {piece[flat]} in {place}, where only numbers of "
                f"{tensor.lowest} or more are in range."
            )
        if not finite.all():
            flat = int(np.argmin(finite))
            place = place_of(_index(array, start + flat), tensor, rows)
            raise UserError(
                f"Array '{tensor.name}' in {source} contains NaN or infinity ({piece[flat]} in {place}, as "
                f"{dtype})."
            )


def _check_range(
    array: np.ndarray,
    pieces: Iterable[_Piece],
    tensor: Tensor,
    dtype: np.dtype,
    source: str,
    ignored: int | None,
    rows: Sequence[int] | np.ndarray | None,
) -> None:
    given, limits = np.iinfo(array.dtype), np.iinfo(dtype)
    lowest = limits.min if tensor.lowest is None else max(limits.min, tensor.lowest)
    highest = limits.max if tensor.highest is None else min(limits.max, tensor.highest)
    if lowest <= given.min and given.max <= highest:
        return
    for start, piece in pieces:
        if lowest <= int(piece.min()) and int(piece.max()) <= highest:
            continue
        # Python's integers, for no type of NumPy's holds the limits of all others
        low = np.zeros(piece.shape, bool) if lowest <= given.min else piece < lowest
        wrong = low if highest >= given.max else low | (piece > highest)
        if ignored is not None and given.min <= ignored <= given.max:
            wrong &= piece != ignored
        if wrong.any():
            flat = int(np.argmax(wrong))
            place = place_of(_index(array, start + flat), tensor, rows)
            raise OutOfRangeError(tensor.name, source, int(piece[flat]), place, (lowest, highest))


def _pieces(array: np.ndarray, files: MappedFiles) -> Iterator[_Piece]:
    """An array in vectors, in the order in which it lies in memory, and where each begins there."""
    if not array.size:
        return
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        rows = max(1, _LENGTH // max(1, array[0].size))
        for first in range(0, len(array), rows):
            files.check()
            yield first * array[0].size, np.ravel(taken(array, slice(first, first + rows)))
        return
    flat = np.ravel(array, order="K")
    for start in range(0, flat.size, _LENGTH):
        files.check()
        yield start, taken(flat, slice(start, start + _LENGTH))
        if not (start // _LENGTH + 1) % _PIECES_HELD:
            release(array)
    release(array)


def _index(array: np.ndarray, flat: int) -> tuple[int, ...]:
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return tuple(int(axis) for axis in np.unravel_index(flat, array.shape, order=order))  # type: ignore[call-overload]
