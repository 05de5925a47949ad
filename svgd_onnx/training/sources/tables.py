"""Tables with named columns: CSV, Parquet, and a data set of Hugging Face's on disk; read by pyarrow.

A column of texts counts as the classes that they are, in sorted order. What is not in memory as a whole
goes piece by piece into an unnamed temporary file, which is mapped: in memory is what is looked at.
"""

from __future__ import annotations

import codecs
import copy
import functools
import io
import json
import mmap
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from csv import writer as csv_writer
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, first_line, listed, option
from svgd_onnx.files import UnchangedFiles, require_file, temporary_place, temporary_room
from svgd_onnx.training.images.decoding import decode
from svgd_onnx.training.sources.source import Values

_HELD = 64 << 20  # bytes of a file that is read into memory at once


def _without_views(table: Any) -> Any:
    """A table whose texts and bytes are no views: rows of those cannot be taken."""
    arrow = pyarrow()
    plain = {"string_view": arrow.string(), "binary_view": arrow.binary()}
    types = [plain.get(str(each.type), each.type) for each in table.schema]
    fields = [each.with_type(kind) for each, kind in zip(table.schema, types)]
    schema = arrow.schema(fields, table.schema.metadata)
    return table if schema == table.schema else table.cast(schema)


def pyarrow() -> Any:
    """The module `pyarrow`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            "CSV, Parquet and data sets of Hugging Face need pyarrow, which is not installed: "
            "pip install 'svgd-onnx[tables]'."
        ) from error
    return pyarrow


class TableSource:
    """The rows of a table of pyarrow's.

    Args:
        table: of numbers, texts, lists of numbers of equal length, and pictures as files have them (bytes, or
            structures with `bytes`).
        title: see `Source`.
        classes: names of classes by column of numbers.
        chosen: the names of classes by their number, for columns of texts that have no others.
        files: that the table is mapped from.
        has_pictures: whether bytes are pictures, and no texts of another encoding than UTF-8.
        as_texts: reads a column once more, each cell as it is written; None where its type says what it is.

    Raises:
        UserError: there is no row, or two columns have one name.
    """

    own_names = False
    reads_columns = True

    def __init__(
        self,
        table: Any,
        title: str,
        classes: dict[str, tuple[str, ...]] | None = None,
        chosen: Sequence[str] = (),
        files: UnchangedFiles | None = None,
        *,
        has_pictures: bool = True,
        as_texts: Callable[[str], Any] | None = None,
    ) -> None:
        if not table.num_rows:
            raise UserError(f"There is no example in {title}: it is empty.")
        self.title = title
        self._set_table(_without_views(table))
        self.columns: Sequence[str] = tuple(table.column_names)
        repeated = {name for name in self.columns if self.columns.count(name) > 1}
        if repeated:
            raise UserError(
                f"{title} has several columns '{min(repeated)}': give each its own name."
            )
        self._stated = dict(classes or {})
        self._classes = dict(self._stated)
        self._told: set[str] = set()
        # of classes that are stated, where others were told
        self._numbers: dict[str, np.ndarray] = {}
        self._chosen = tuple(chosen)
        self._files = files or UnchangedFiles()
        self._has_pictures, self._as_texts = has_pictures, as_texts

    def _set_table(self, table: Any) -> None:
        self._table = table
        self._batches = table.to_batches()
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.texts = frozenset(each.name for each in table.schema if _is_text(each.type))

    def apart(self) -> TableSource:
        other = copy.copy(self)
        other._classes, other._numbers = dict(self._classes), dict(self._numbers)
        other._told = set(self._told)
        return other

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def take(self, columns: Sequence[str], rows: np.ndarray) -> dict[str, Values]:
        self._files.check()
        order = np.argsort(rows, kind="stable")
        back = np.argsort(order, kind="stable")
        taken = self._sorted(list(columns), rows[order])
        values = {name: self._values(name, taken.column(name), rows[order]) for name in columns}
        return {
            name: [each[at] for at in back] if isinstance(each, list) else each[back]
            for name, each in values.items()
        }

    def classes_of(self, column: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
        chosen = self._chosen if given is None else tuple(given)
        if column not in self._classes and (
            read_as_something_else(chosen) or self.has_dates(column)
        ):
            self._read_as_texts(column, chosen)
        self._tell(column, chosen)
        if column in self.texts and column not in self._classes:
            found = {each.as_py() for each in self._table.column(column).unique()} - {None}
            self._check_names(column, found)
            unknown = sorted(found - set(chosen))
            if chosen and unknown:
                raise UserError(
                    f"Column '{column}' of {self.title} has '{unknown[0]}', which is none of the classes "
                    f"{listed(chosen)}: {option('classes')} lists them."
                )
            self._classes[column] = chosen or tuple(sorted(found))
        return self._classes.get(column, ())

    def _tell(self, column: str, chosen: tuple[str, ...]) -> None:
        """Has classes whose numbers the data states have those of the names that are told, once."""
        stated = self._stated.get(column, ())
        fits = chosen != stated and set(stated) <= set(chosen)
        if stated and chosen and column not in self._told and fits:
            self._numbers[column] = np.array([chosen.index(name) for name in stated], np.int64)
            self._classes[column] = chosen
        self._told.add(column)

    def states(self, column: str) -> bool:
        """Whether the data itself says which name each number of a column has."""
        return column in self._stated

    def has_dates(self, column: str) -> bool:
        """Whether a column is of dates or times, which are no numbers, but may be classes."""
        return bool(pyarrow().types.is_temporal(self._table.schema.field(column).type))

    def _read_as_texts(self, column: str, names: Sequence[str]) -> None:
        """Has a column of numbers or dates be the texts that it is written in, where these are names."""
        kind, types = self._table.schema.field(column).type, pyarrow().types
        if self._as_texts is not None:
            texts = self._as_texts(column)
        elif (
            types.is_boolean(kind)
            or types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_temporal(kind)
        ):
            try:
                texts = self._table.column(column).cast("string")
            except (pyarrow().ArrowInvalid, NotImplementedError):
                return  # as of a time zone that is not known here
        else:
            return
        written = {each.as_py() for each in texts.unique()}
        if types.is_integer(kind) and written.isdisjoint(names):
            return  # then they are the numbers of classes
        place = self._table.column_names.index(column)
        self._set_table(self._table.set_column(place, column, texts))

    def _check_names(self, column: str, names: Iterable[str]) -> None:
        """Refuses what is no name of a class: nothing, or lines that a quote has made one cell."""
        for name in sorted(names):
            if name.strip() and not {"\n", "\r"} & set(name):
                continue
            cells = (each.as_py() for each in self._table.column(column))
            row = next(row for row, each in enumerate(cells) if each == name)
            if not name.strip():
                raise UserError(
                    f"Column '{column}' of {self.title} has nothing in row {row}: fill it in, or leave the "
                    "row out."
                )
            raise UserError(
                f"Column '{column}' of {self.title} has several lines in row {row}, which name no class: close "
                "the quote before them."
            )

    def name_of(self, row: int) -> str | None:
        return None

    def _sorted(self, columns: list[str], rows: np.ndarray) -> Any:
        """A table of rows in ascending order.

        Each is taken from its own piece: a take from the whole table would join its pieces, in memory.
        """
        arrow = pyarrow()
        pieces = np.searchsorted(self._starts, rows, side="right") - 1
        parts = [
            self._batches[piece]
            .select(columns)
            .take(arrow.array(rows[pieces == piece] - self._starts[piece]))
            for piece in np.unique(pieces)
        ]
        schema = arrow.schema([self._table.schema.field(name) for name in columns])
        return arrow.Table.from_batches(parts, schema)

    def _values(self, name: str, column: Any, rows: np.ndarray) -> Values:
        types = pyarrow().types
        if column.null_count:
            at = int(np.argmax(column.is_null().to_numpy()))
            raise UserError(
                f"Column '{name}' of {self.title} has nothing in row {rows[at]}, or a word for it as nan: "
                "fill it in, or leave the row out."
            )
        kind = column.type
        if types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = kind.value_type
        if types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind):
            if not self._has_pictures:
                raise self._of_other_encoding(name)
            return [self._decoded(name, each.as_py(), row) for each, row in zip(column, rows)]
        if _is_text(kind):
            numbers = {each: number for number, each in enumerate(self.classes_of(name))}
            return np.array([numbers[each.as_py()] for each in column], np.int64)
        if types.is_decimal(kind):
            column, kind = column.cast("float64"), pyarrow().float64()
        if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
            values = np.asarray(column.to_numpy())
            if name in self._numbers and np.issubdtype(values.dtype, np.integer):
                values = self._told_numbers(name, values, rows)
            return values.astype(np.int64) if values.dtype == bool else values
        return self._nested(name, column, rows)

    def _told_numbers(self, name: str, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Numbers of classes in the order that was told; those that are of none stay."""
        numbers = self._numbers[name]
        named = (values >= 0) & (values < len(numbers))
        taken = np.flatnonzero(~named & (values >= 0) & (values < len(self._classes[name])))
        if taken.size:  # as that of another class by now
            raise UserError(
                f"Column '{name}' of {self.title} has {values[taken[0]]} in row {rows[taken[0]]}, and names "
                f"{len(numbers)} classes."
            )
        return np.where(named, numbers[np.where(named, values, 0)], values)

    def _of_other_encoding(self, name: str) -> UserError:
        cells = (each.as_py() or b"" for each in self._table.column(name))
        row = next((row for row, each in enumerate(cells) if not _is_utf8(each)), 0)
        return UserError(
            f"Column '{name}' of {self.title} has text that is not UTF-8 in row {row}: save the file as UTF-8."
        )

    def _decoded(self, name: str, content: Any, row: int) -> np.ndarray:
        called = f"in column '{name}', row {row} of {self.title}"
        if isinstance(content, dict):
            if "bytes" not in content:
                raise UserError(
                    f"Column '{name}' of {self.title} is of structures without 'bytes', so that these are no "
                    f"images: say with {option('columns')} which columns are read, or spread its fields over "
                    "columns."
                )
            content = content["bytes"]
        if not isinstance(content, bytes):
            raise UserError(
                f"The image {called} is not in the data itself: embed images when saving it."
            )
        return decode(content, called)

    def _nested(self, name: str, column: Any, rows: np.ndarray) -> np.ndarray:
        """Lists of numbers, of any depth, which are of one shape."""
        arrow = pyarrow()
        from pyarrow import compute

        types, shape = arrow.types, [len(rows)]
        values = arrow.concat_arrays(column.chunks)
        while (
            types.is_list(values.type)
            or types.is_large_list(values.type)
            or (types.is_fixed_size_list(values.type))
        ):
            lengths = compute.fill_null(compute.list_value_length(values), -1).to_numpy()
            odd = np.flatnonzero(lengths != max(lengths[0], 0))
            if len(odd):
                row = rows[odd[0] * len(rows) // len(lengths)]
                raise UserError(
                    f"Column '{name}' of {self.title} has lists that differ in length, as in row {row}: make "
                    "them alike."
                )
            shape.append(int(lengths[0]))
            values = values.flatten()
        kind = values.type
        if not (types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)):
            raise UserError(
                f"Column '{name}' of {self.title} is of {column.type}, and not of numbers, texts or images."
            )
        if values.null_count:
            at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            raise UserError(
                f"Column '{name}' of {self.title} has a list with nothing in it in row "
                f"{rows[at * len(rows) // len(values)]}: fill it in."
            )
        return np.asarray(values.to_numpy(zero_copy_only=False).reshape(shape))


def read_as_something_else(names: Sequence[str]) -> bool:
    """Whether some of these, alone in a column of CSV, would be read as numbers, dates or nothing.

    Not where they are the numbers of the classes that they name.
    """
    if tuple(names) == tuple(str(number) for number in range(len(names))):
        return False
    return any(map(_reads_as_something_else, names))


@functools.cache
def _reads_as_something_else(name: str) -> bool:
    from pyarrow import csv

    text = io.StringIO()
    written = csv_writer(text)
    written.writerows([["name"], [name]])
    return not _is_text(csv.read_csv(io.BytesIO(text.getvalue().encode())).schema.field(0).type)


def _is_text(kind: Any) -> bool:
    types = pyarrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def open_csv(path: Path, classes: Sequence[str]) -> TableSource:
    """A file of comma-separated values (or of tabs, `.tsv`), whose first line names the columns.

    Raises:
        UserError: it cannot be read, or pyarrow is missing.
    """
    pyarrow()
    file = UnchangedFiles([path])

    def as_texts(column: str) -> Any:
        texts = _csv(path, column).column(0)
        file.check()
        return texts

    return TableSource(
        _csv(path), f"'{path}'", chosen=classes, has_pictures=False, as_texts=as_texts
    )


def _csv(path: Path, texts: str | None = None) -> Any:
    """A table; or of one column alone, whose cells are texts.

    Raises:
        UserError: it cannot be read.
    """
    from pyarrow import csv

    _refuse_utf16(path)
    parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    types, columns = ({}, []) if texts is None else ({texts: "string"}, [texts])
    try:
        if path.stat().st_size > _HELD:
            return _csv_piece_by_piece(path, parse, types, columns)
        convert = csv.ConvertOptions(column_types=types, include_columns=columns)
        return csv.read_csv(path, parse_options=parse, convert_options=convert)
    except Exception as error:  # pyarrow raises several kinds
        raise _unreadable(path, "CSV", error) from error


def _refuse_utf16(path: Path) -> None:
    """Refuses what spreadsheets call Unicode: pyarrow would find it torn.

    Raises:
        UserError: says what to do.
    """
    with require_file(path).open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise UserError(f"'{path}' is text in UTF-16: save the file as UTF-8.")


# The type that pyarrow found at the start of a column, and what it may be if another value comes later.
_WIDER = {"null": "int64", "int64": "float64", "string": "binary"}
_MISFIT = re.compile(r"CSV column #(\d+):(?: Row #\d+:)? CSV conversion error to (\w+)")


def _csv_piece_by_piece(
    path: Path, parse: Any, given: Mapping[str, str], columns: Sequence[str]
) -> Any:
    """A table of a large file; a column has the type that all of its values have, not the first ones alone."""
    arrow = pyarrow()
    from pyarrow import csv

    types = dict(given)
    while True:
        convert = csv.ConvertOptions(column_types=types, include_columns=columns)
        reader = csv.open_csv(path, parse_options=parse, convert_options=convert)
        try:
            return _mapped(reader.schema, reader)
        except arrow.ArrowInvalid as error:
            misfit = _MISFIT.search(str(error))
            if misfit is None:
                raise
            name = reader.schema.names[int(misfit[1])]
            wider = _WIDER.get(misfit[2], "string")
            if types.get(name) == wider:
                raise
            types[name] = wider


def open_parquet(path: Path, classes: Sequence[str]) -> TableSource:
    """A file of Parquet, or those of a folder in the order of their names.

    Raises:
        UserError: it cannot be read, or pyarrow is missing.
    """
    pyarrow()
    from pyarrow import parquet

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    try:
        opened = [parquet.ParquetFile(require_file(file)) for file in files]
        schema = _without_dictionaries(opened[0].schema_arrow)
        for each, file in zip(opened, files):
            if sorted(each.schema_arrow.names) != sorted(schema.names):
                raise UserError(
                    f"'{file}' has the columns {listed(each.schema_arrow.names)}, and '{files[0]}' beside it "
                    f"{listed(schema.names)}: files of one folder have the same."
                )
        batches = (batch for each in opened for batch in each.iter_batches())
        table = _mapped(schema, (_in_form(batch, schema) for batch in batches))
    except Exception as error:
        raise _unreadable(path, "Parquet", error) from error
    return TableSource(table, f"'{path}'", chosen=classes)


def _without_dictionaries(schema: Any) -> Any:
    """A schema whose columns hold values themselves: each part of a file may number them another way."""
    types = pyarrow().types
    fields = [
        field.with_type(field.type.value_type) if types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pyarrow().schema(fields, schema.metadata)


def _in_form(batch: Any, schema: Any) -> Any:
    """A batch with the columns of a schema in its order and of its types."""
    if batch.schema.names != schema.names:
        batch = batch.select(schema.names)
    return batch.cast(schema)


_FEATURES, _STATE, _SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"


def is_hugging_face(path: Path) -> bool:
    """Whether a folder is what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` writes."""
    return (path / _STATE).is_file() or (path / _SPLITS).is_file()


def open_hugging_face(path: Path, classes: Sequence[str]) -> TableSource:
    """A data set of Hugging Face's `datasets`, as `save_to_disk` writes it: its files of Arrow, mapped.

    Raises:
        UserError: it is several data sets, cannot be read, or pyarrow is missing.
    """
    arrow = pyarrow()
    from pyarrow import ipc

    if not (path / _STATE).is_file():
        parts = sorted(each.name for each in path.iterdir() if (each / _STATE).is_file())
        shown = parts[0] if parts else "train"
        raise UserError(f"'{path}' has the parts {listed(parts)}: give one, as '{path / shown}'.")
    try:
        state = json.loads((path / _STATE).read_text())
        features = json.loads(require_file(path / _FEATURES).read_text()).get("features") or {}
        if state.get("_indices_data_files"):
            raise ValueError("it is a selection of rows of another: save it with a newer version")
        names = [Path(each["filename"]).name for each in state["_data_files"]]
        files = [str(require_file(path / name)) for name in names]
        mapped = UnchangedFiles(files)
        tables = [ipc.open_stream(arrow.memory_map(file)).read_all() for file in files]
        table = arrow.concat_tables(tables)
        table.validate(full=True)  # else what a damaged file states would be read beyond its end
        named = {
            name: tuple(map(str, each["names"]))
            for name, each in features.items()
            if isinstance(each, dict) and each.get("_type") == "ClassLabel" and each.get("names")
        }
    except Exception as error:
        raise _unreadable(path, "a data set of Hugging Face", error) from error
    return TableSource(table, f"'{path}'", named, classes, mapped)


def _mapped(schema: Any, batches: Iterable[Any]) -> Any:
    """A table whose columns are in an unnamed temporary file."""
    arrow = pyarrow()
    with temporary_room(), tempfile.TemporaryFile(dir=temporary_place()) as file:
        with arrow.ipc.new_file(file, schema) as writer:
            for batch in batches:
                batch.validate(full=True)
                writer.write_batch(batch)
        file.flush()
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return arrow.ipc.open_file(arrow.py_buffer(content)).read_all()


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    return UserError(f"'{path}' cannot be read as {kind} ({first_line(error)}).")
