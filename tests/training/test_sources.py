"""Data in the forms in which people have it, read back; and what is wrong with it, in one sentence."""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import data_sets
import numpy as np
import pytest
from data_sets import CLASSES

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training.images import decoding
from svgd_onnx.training.sources import Data, tables

PIXELS = data_sets.images(6)


def column(data: Data, name: str) -> list[Any]:
    values = data.source.take([name], np.arange(len(data)))[name]
    return [np.asarray(each).tolist() for each in values]


def test_a_folder_of_npy_files_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    np.save(tmp_path / "labels.npy", np.arange(6))
    data = svgd_onnx.load_data(tmp_path)
    assert isinstance(data.source.arrays["x"].base, np.memmap)
    assert column(data, "labels") == [0, 1, 2, 3, 4, 5]


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"x.npy' is not a readable .npy file of numbers"):
        svgd_onnx.load_data(tmp_path)


def test_images_are_of_the_classes_of_their_folders(tmp_path: Path) -> None:
    pictures = data_sets.image_folder(tmp_path, count=2)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = svgd_onnx.load_data(tmp_path)
    assert column(data, "image") == pictures.tolist()
    assert column(data, "labels") == [0, 0, 1, 1, 2, 2]
    assert data.source.classes_of("labels") == CLASSES
    assert data.source.name_of(3) == str(Path("bee", "03.png"))
    turned = svgd_onnx.load_data(tmp_path, classes=["dog", "cat", "bee", "ape"])
    assert column(turned, "labels") == [3, 3, 2, 2, 1, 1]


def test_images_without_classes_have_no_labels(tmp_path: Path) -> None:
    for number, picture in enumerate(PIXELS):
        data_sets.save_image(tmp_path / f"{number}.png", picture)
    data = svgd_onnx.load_data(tmp_path)
    assert tuple(data.source.columns) == ("image",) and len(data) == 6


def test_a_class_that_is_not_known_is_refused(tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path, count=1)
    with pytest.raises(UserError, match="folder 'cat' in .* is none of the classes ape, bee"):
        svgd_onnx.load_data(tmp_path, classes=["ape", "bee"])
    (tmp_path / "dog").mkdir()
    with pytest.raises(UserError, match="dog' has no image"):
        svgd_onnx.load_data(tmp_path)
    data_sets.save_image(tmp_path / "1.png", PIXELS[0])
    with pytest.raises(UserError, match="image '1.png' in .* beside the folders of classes"):
        svgd_onnx.load_data(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no image", b"%!PS-Adobe-3.0\n"])
def test_a_broken_image_is_named(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    (tmp_path / "1.jpg").write_bytes(content)
    data = svgd_onnx.load_data(tmp_path)
    with pytest.raises(UserError, match=r"image '.*1\.jpg' cannot be read"):
        column(data, "image")


def test_a_picture_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 50)
    file = data_sets.save_image(tmp_path / "1.png", PIXELS[0])
    with pytest.raises(UserError, match="has 8 x 8 pixels, and 50 are the most"):
        decoding.decode(file, f"'{file}'")


def test_a_header_that_states_a_giant_picture_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    file = tmp_path / "1.pgm"
    file.write_bytes(b"P5 100000 100000 255\n")
    with pytest.raises(UserError, match=r"1.pgm' has .* pixels, and 89,478,485 are the most"):
        decoding.decode(file, f"'{file}'")


def test_pictures_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    deep = np.full((4, 4), 40_000, np.uint16)
    file = data_sets.save_image(tmp_path / "1.png", deep)
    with pytest.raises(UserError, match="is of mode I;16, and not of 8 bits"):
        decoding.decode(file, "'1.png'")


def png_of_16_bits(color_type: int, channels: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + np.full(4 * channels, 40_000, ">u2").tobytes() for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, color_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (png_of_16_bits(2, 3), "RGB;16B"),
        (png_of_16_bits(6, 4), "RGBA;16B"),
        (png_of_16_bits(4, 2), "LA;16B"),
        (b"P6 2 2 65535\n" + bytes(24), "RGB up to 65,535"),
    ],
)
def test_colors_of_sixteen_bits_are_refused(content: bytes, mode: str) -> None:
    pytest.importorskip("PIL")
    with pytest.raises(UserError, match=f"is of mode {mode}, and not of 8 bits"):
        decoding.decode(content, "'1.png'")


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    exif = pillow.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    pillow.fromarray(PIXELS[0, :4]).save(tmp_path / "1.png", exif=exif)
    made = decoding.decode(tmp_path / "1.png", "'1.png'")
    np.testing.assert_array_equal(made, np.rot90(PIXELS[0, :4], -1))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_from_its_files(suffix: str, tmp_path: Path) -> None:
    for part, count in (("train", 5), ("t10k", 3)):
        pixels, labels = PIXELS[:count, :, :, 0], np.arange(count)
        data_sets.write_idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", pixels)
        data_sets.write_idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", labels)
    data = svgd_onnx.load_data(tmp_path)
    assert column(data, "image") == PIXELS[:5, :, :, 0].tolist()
    assert column(data, "labels") == [0, 1, 2, 3, 4]
    test = svgd_onnx.load_data(tmp_path / f"t10k-images-idx3-ubyte{suffix}")
    assert column(test, "labels") == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "does not begin as a file of IDX does"),
        (b"\0\0\x08\x01\0\0\0\x05ab", r"states an array of shape \(5,\), and has not as many"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "states an array of shape"),
        (b"\0\0\x08\x00", "states an array of shape"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"a", "states an array of shape"),
    ],
)
def test_a_damaged_file_of_idx_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        svgd_onnx.load_data(tmp_path)


@pytest.mark.parametrize(
    ("labels", "names"), [(1, ("data_batch_1.bin", "data_batch_2.bin")), (2, ("train.bin",))]
)
def test_cifar_is_read_from_its_binary_files(
    labels: int, names: tuple[str, ...], tmp_path: Path
) -> None:
    planes = np.random.default_rng(1).integers(0, 256, (4, 3 * 32 * 32), np.uint8)
    numbers = np.arange(4, dtype=np.uint8)[:, None]
    records = np.concatenate([numbers + 7] * (labels - 1) + [numbers, planes], axis=1)
    for name, part in zip(names, np.split(records, len(names))):
        (tmp_path / name).write_bytes(part.tobytes())
    data = svgd_onnx.load_data(tmp_path)
    assert column(data, "labels") == [0, 1, 2, 3]
    assert column(data, "image") == planes.reshape(4, 3, 32, 32).tolist()
    (tmp_path / names[0]).write_bytes(b"short")
    with pytest.raises(UserError, match="no whole records of 3,07"):
        svgd_onnx.load_data(tmp_path)


TABLE = {
    "width": [1.5, 2.5, 3.5],
    "count": [1, 2, 3],
    "kind": ["bee", "ape", "bee"],
    "is_new": [True, False, True],
}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_tables_have_named_columns(suffix: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    path, table = tmp_path / f"table.{suffix}", arrow.table(TABLE)
    if suffix == "parquet":
        parquet.write_table(table, path, row_group_size=2)
    else:
        delimiter = "\t" if suffix == "tsv" else ","
        csv.write_csv(table, path, csv.WriteOptions(delimiter=delimiter))
    data = svgd_onnx.load_data(path)
    assert column(data, "width") == TABLE["width"] and column(data, "count") == TABLE["count"]
    assert column(data, "kind") == [1, 0, 1] and data.source.classes_of("kind") == ("ape", "bee")
    assert column(data, "is_new") == [1, 0, 1]
    some = data.source.take(["kind", "width"], np.array([2, 0, 1, 2]))
    assert [each.tolist() for each in some.values()] == [[1, 1, 0, 1], [3.5, 1.5, 2.5, 3.5]]
    given = svgd_onnx.load_data(path, classes=["bee", "cow", "ape"])
    assert column(given, "kind") == [0, 2, 0]
    with pytest.raises(UserError, match="'kind' of .* has 'bee', which is none of the classes ape"):
        column(svgd_onnx.load_data(path, classes=["ape"]), "kind")


def test_a_large_table_is_not_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    from svgd_onnx.training.sources import tables

    monkeypatch.setattr(tables, "_HELD", 0)
    rows = "\n".join(f"{number},{number / 2}" for number in range(1000))
    (tmp_path / "table.csv").write_text(f"a,b\n{rows}\n")
    data = svgd_onnx.load_data(tmp_path / "table.csv")
    assert data.source.take(["b"], np.array([999, 3]))["b"].tolist() == [499.5, 1.5]


def test_a_cell_that_names_no_class_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.csv"
    path.write_text("x,kind\n1,ant\n2,\n3,bee\n")
    with pytest.raises(UserError, match="Column 'kind' of .* has nothing in row 1: fill it in"):
        svgd_onnx.load_data(path).source.classes_of("kind")
    path.write_text('x,kind\n1,ant\n2,"bee\n3,cow\n')
    with pytest.raises(UserError, match="has several lines in row 1, .*: close the quote"):
        svgd_onnx.load_data(path).source.classes_of("kind")


def test_what_is_missing_in_a_table_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,\n")
    data = svgd_onnx.load_data(tmp_path / "table.csv")
    with pytest.raises(UserError, match="Column 'b' of .* has nothing in row 1"):
        column(data, "b")
    (tmp_path / "table.csv").write_bytes(b"a,b\n1,\xc3\xa9\n2,\xe9\n")
    data = svgd_onnx.load_data(tmp_path / "table.csv")
    assert column(data, "a") == [1, 2]
    with pytest.raises(UserError, match="Column 'b' of .* has text that is not UTF-8 in row 1"):
        column(data, "b")
    (tmp_path / "table.csv").write_text("a,a\n1,2\n")
    with pytest.raises(UserError, match="several columns 'a'"):
        svgd_onnx.load_data(tmp_path / "table.csv")


def test_lists_in_a_table_are_arrays(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    nested = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]] * 3
    columns = {
        "grid": nested,
        "uneven": [[1], [1, 2], [3]],
        "uneven within": [[[1], [1]], [[1], [2]], [[3], [4, 5]]],
        "words": [["a"]] * 3,
        "gap": [[1, 2], [1, None], [1, 2]],
        "no list": [[[1]], [[1]], [None]],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "table.parquet")
    data = svgd_onnx.load_data(tmp_path / "table.parquet")
    assert column(data, "grid") == nested
    for name, sentence in (
        ("uneven", "differ in length, as in row 1"),
        ("uneven within", "differ in length, as in row 2"),
        ("words", "not of numbers, texts or images"),
        ("gap", "has a list with nothing in it in row 1"),
        ("no list", "differ in length, as in row 2"),
    ):
        with pytest.raises(UserError, match=f"Column '{name}' .*{sentence}"):
            column(data, name)


def hugging_face(path: Path, table: Any, features: dict[str, Any]) -> None:
    """What `Dataset.save_to_disk` writes."""
    arrow = pytest.importorskip("pyarrow")
    path.mkdir()
    file = arrow.OSFile(str(path / "data-00000-of-00001.arrow"), "wb")
    with file, arrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (path / "dataset_info.json").write_text(json.dumps({"features": features}))
    files = [{"filename": "data-00000-of-00001.arrow"}]
    (path / "state.json").write_text(json.dumps({"_data_files": files}))


def test_a_saved_data_set_of_hugging_face_is_read(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    files = [
        data_sets.save_image(tmp_path / f"{number}.png", PIXELS[number]) for number in range(2)
    ]
    pictures = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    table = arrow.table({"photo": pictures, "kind": [1, 0], "tokens": [[1, 2], [3, 4]]})
    classes = {"kind": {"names": ["cat", "ape"], "_type": "ClassLabel"}}
    hugging_face(tmp_path / "train", table, classes)
    data = svgd_onnx.load_data(tmp_path / "train")
    assert column(data, "photo") == PIXELS[:2].tolist()
    assert column(data, "kind") == [1, 0] and data.source.classes_of("kind") == ("cat", "ape")
    assert column(data, "tokens") == [[1, 2], [3, 4]]
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(UserError, match="has the parts train: give one"):
        svgd_onnx.load_data(tmp_path)


def test_classes_that_a_data_set_numbers_may_have_other_numbers(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    classes = {"kind": {"names": ["cat", "ape"], "_type": "ClassLabel"}}
    hugging_face(tmp_path / "saved", arrow.table({"kind": [1, 0, -1]}), classes)
    hugging_face(tmp_path / "ignoring", arrow.table({"kind": [1, 255]}), classes)
    ignoring = svgd_onnx.load_data(tmp_path / "ignoring")
    assert ignoring.source.classes_of("kind", ["ape", "cat"]) == ("ape", "cat")
    assert column(ignoring, "kind") == [0, 255]
    for told, wanted in ((["ape", "bee", "cat"], [0, 2, -1]), (["cat", "ape"], [1, 0, -1])):
        data = svgd_onnx.load_data(tmp_path / "saved")
        assert data.source.classes_of("kind", told) == tuple(told)
        assert column(data, "kind") == wanted


def test_a_damaged_file_of_arrow_is_not_read_beyond_its_end(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    offsets = arrow.py_buffer(np.array([0, 2**30, 4], np.int32))
    buffers = [None, offsets, arrow.py_buffer(b"abcd")]
    texts = arrow.Array.from_buffers(arrow.string(), 2, buffers)
    hugging_face(tmp_path / "saved", arrow.table({"kind": texts}), {})
    with pytest.raises(UserError, match="cannot be read as a data set of Hugging Face"):
        svgd_onnx.load_data(tmp_path / "saved")


def test_rows_of_python_are_dictionaries_or_tuples() -> None:
    rows = [{"x": np.ones(2) * number, "labels": number} for number in range(3)]
    assert column(svgd_onnx.load_data(rows), "x") == [[0, 0], [1, 1], [2, 2]]
    assert column(svgd_onnx.load_data([tuple(row.values()) for row in rows]), "1") == [0, 1, 2]
    with pytest.raises(UserError, match="An example is of int"):
        svgd_onnx.load_data([1, 2])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "There is no file"),
        (lambda path: path.mkdir(), "no data of a known form"),
        (lambda path: path.write_text("x"), r"not a readable \.npz file"),
    ],
)
def test_what_is_no_data_is_refused(make: Any, sentence: str, tmp_path: Path) -> None:
    make(tmp_path / "data")
    with pytest.raises(UserError, match=sentence):
        svgd_onnx.load_data(tmp_path / "data")


@pytest.mark.parametrize(
    ("module", "file", "extra"), [("PIL", "1.png", "images"), ("pyarrow", "1.csv", "tables")]
)
def test_what_is_not_installed_is_named_with_its_extra(
    module: str, file: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).write_text("a\n1\n")
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path if extra == "images" else tmp_path / file
    with pytest.raises(UserError, match=rf"pip install 'svgd-onnx\[{extra}\]'"):
        svgd_onnx.load_data(path)


def test_a_full_folder_for_temporary_files_is_no_fault_of_the_data(tmp_path: Path) -> None:
    """Files that cannot grow beyond 1,000 bytes stand for it."""
    resource = pytest.importorskip("resource")
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"x": np.arange(1_000.0)}), tmp_path / "t.parquet")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(UserError, match="There is no space left in .*: make room, or name"):
            svgd_onnx.load_data(tmp_path / "t.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def parquet_files(folder: Path, *tables: dict[str, list[Any]]) -> Path:
    """A folder of files whose texts are numbered, in each by itself."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for number, columns in enumerate(tables):
        made = {
            name: arrow.array(values).dictionary_encode()
            if isinstance(values[0], str)
            else arrow.array(values)
            for name, values in columns.items()
        }
        parquet.write_table(arrow.table(made), folder / f"{number}.parquet")
    return folder


def test_files_of_parquet_may_number_texts_and_order_columns_each_in_its_way(
    tmp_path: Path,
) -> None:
    first = {"x": [1.0, 2.0], "name": ["cat", "dog"]}
    data = svgd_onnx.load_data(
        parquet_files(tmp_path, first, {"name": ["dog", "ape"], "x": [3.0, 4.0]})
    )
    assert data.source.classes_of("name") == ("ape", "cat", "dog")
    assert column(data, "name") == [1, 2, 2, 0] and column(data, "x") == [1, 2, 3, 4]


def test_files_of_parquet_with_other_columns_are_refused(tmp_path: Path) -> None:
    folder = parquet_files(tmp_path, {"x": [1.0], "y": [2.0]}, {"x": [1.0], "z": [2.0]})
    with pytest.raises(UserError, match=r"1.parquet' has the columns x, z, and .* beside it x, y"):
        svgd_onnx.load_data(folder)


def test_decimals_are_numbers(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    prices = arrow.array(["1.25", "-3.50"]).cast(arrow.decimal128(5, 2))
    parquet.write_table(arrow.table({"x": prices}), tmp_path / "t.parquet")
    assert column(svgd_onnx.load_data(tmp_path / "t.parquet"), "x") == [1.25, -3.5]


def test_a_table_in_utf_16_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text("x,y\n1,2\n", encoding="utf-16")
    with pytest.raises(UserError, match="t.csv' is text in UTF-16: save the file as UTF-8"):
        svgd_onnx.load_data(tmp_path / "t.csv")


def test_structures_that_are_no_images_are_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"x": [{"a": 1, "b": 2}]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="'x' of .* is of structures without 'bytes'"):
        column(svgd_onnx.load_data(tmp_path / "t.parquet"), "x")


def test_files_that_are_no_images_are_left_out_with_a_warning(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    for name in ("ape", "bee"):
        path = data_sets.save_image(tmp_path / name / "0.png", PIXELS[0])
        for ending, kind in (("jfif", "JPEG"), ("jpe", "JPEG"), ("pbm", "PPM")):
            picture = pillow.open(path).convert("1" if ending == "pbm" else "RGB")
            picture.save(path.with_suffix(f".{ending}"), kind)
    (tmp_path / "bee" / "0.avif").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 file in .* left out, .*: 'bee.0.avif' for one"):
        assert len(svgd_onnx.load_data(tmp_path)) == 8


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_may_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    inner = tmp_path / "ape" / "inner"
    for folder in (tmp_path / "ape", inner):
        data_sets.save_image(folder / "0.png", PIXELS[0])
    inner.chmod(0)
    try:
        with pytest.raises(UserError, match=r"inner' cannot be read"):
            svgd_onnx.load_data(tmp_path)
    finally:
        inner.chmod(0o700)


def test_views_of_texts_are_texts(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = arrow.array(["ape", "bee", "ape"], arrow.string_view())
    parquet.write_table(arrow.table({"x": [1.0, 2.0, 3.0], "name": names}), tmp_path / "t.parquet")
    assert column(svgd_onnx.load_data(tmp_path / "t.parquet"), "name") == [0, 1, 0]


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        ("1", "2.5", 2.5),
        ("", "3", 3),
        ("1", str(2**70), 2.0**70),
        ("1", "bee", "bee"),
        ("1.5", "bee", "bee"),
    ],
)
def test_a_column_of_a_large_csv_has_the_type_of_all_its_values(
    first: str, last: str, wanted: float | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyarrow tells it from the first megabyte."""
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(tables, "_HELD", 0)
    rows = [f"7,{first}"] * 300_000
    (tmp_path / "table.csv").write_text("\n".join(["x,y", *rows, f"8,{last}"]))
    data = svgd_onnx.load_data(tmp_path / "table.csv")
    assert len(data) == 300_001
    if isinstance(wanted, str):
        assert data.source.classes_of("y") == (first, wanted)
    else:
        (value,) = data.source.take(["y"], np.array([300_000]))["y"]
        assert value == wanted


def test_a_file_of_cifar_under_another_name_is_no_npz_file(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(bytes(3073))
    with pytest.raises(UserError, match=r"no \.npz file, and CIFAR's binary files are known by"):
        svgd_onnx.load_data(tmp_path / "mine.bin")
