"""Data in other forms than .npz: images, tables, files of MNIST and CIFAR, data sets of Hugging Face."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

import svgd_onnx
from tools.attack.fuzz.damage import damaged

_COUNT = 4
_TRANSFORMS = (
    "resize=8 center-crop=6 random-crop=4,pad=1 flip color=0.2 normalize=imagenet 0 x -1 =".split()
)


def sources(folder: Path) -> Callable[[int], None]:
    """Data sets of which one file is damaged; every row of every column is read, and texts of transforms."""
    whole = folder / "whole"
    files = _write(whole)
    damaged_copy = folder / "damaged"

    def attempt(seed: int) -> None:
        draw = Random(seed)
        file = draw.choice(files)
        shutil.rmtree(damaged_copy, ignore_errors=True)
        shutil.copytree(whole / file.parts[0], damaged_copy / file.parts[0])
        (damaged_copy / file).write_bytes(damaged((whole / file).read_bytes(), draw))
        texts = [draw.choice(_TRANSFORMS) for _ in range(draw.randrange(3))]
        path = damaged_copy / file.parts[0]
        alone = [each for each in path.iterdir() if each.suffix in (".csv", ".parquet")]
        data = svgd_onnx.load_data(alone[0] if alone else path, transform=texts)
        for name in data.source.columns:
            data.source.classes_of(name)
            data.source.take([name], np.arange(len(data)))

    return attempt


def _write(folder: Path) -> list[Path]:
    """Writes data of each form into a folder of its own; gives the files, from the folder around."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (_COUNT, 16, 16, 3), np.uint8)
    _images(folder / "images", pixels)
    _tables(folder, pixels)
    (folder / "idx").mkdir()
    (folder / "cifar").mkdir()
    header = b"".join(size.to_bytes(4, "big") for size in (_COUNT, 16, 16))
    content = b"\0\0\x08\3" + header + pixels[..., 0].tobytes()
    (folder / "idx" / "train-images-idx3-ubyte").write_bytes(content)
    records = random.integers(0, 10, (_COUNT, 1 + 3 * 32 * 32), np.uint8)
    (folder / "cifar" / "data_batch_1.bin").write_bytes(records.tobytes())
    return sorted(each.relative_to(folder) for each in folder.rglob("*") if each.is_file())


def _images(folder: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for suffix in ("bmp", "gif", "jpg", "png", "ppm", "tiff", "webp"):
        Image.fromarray(pixels[0]).save(folder / f"1.{suffix}")


def _tables(folder: Path, pixels: np.ndarray) -> None:
    import pyarrow
    from pyarrow import csv, ipc, parquet

    plain = {"a": [0.5, 1.5, 2.5, 3.5], "kind": ["x", "y", "x", "z"]}
    nested = {**plain, "row": pixels[:, 0, :, 0].tolist()}
    for name in ("csv", "parquet", "saved"):
        (folder / name).mkdir()
    csv.write_csv(pyarrow.table(plain), folder / "csv" / "table.csv")
    parquet.write_table(pyarrow.table(nested), folder / "parquet" / "table.parquet")
    table, saved = pyarrow.table(nested), folder / "saved"
    with ipc.new_stream(str(saved / "data.arrow"), table.schema) as writer:
        writer.write_table(table)
    (saved / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (saved / "dataset_info.json").write_text(json.dumps({"features": {}}))
