"""What the tests of one's own model and data are given, and the numbers that Python has for it.

Writes into build/web/own: `cnn.zip` and `photos.zip`, `regressor.zip` and `table.csv`, the losses of
`svgd-onnx train` on both, numbers of NumPy's and Pillow's, and zip files that mean harm.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import svgd_onnx
from svgd_onnx.training.batches import shuffled_rows

ROOT = Path(__file__).resolve().parents[3]
MADE = ROOT / "build" / "web" / "own"
FIXTURES = ROOT / "tests" / "fixtures"
SETTINGS = ["--validation", 0.2, "--seed", 3, "--batch-size", 16, "--learning-rate", 0.05]
CLASSES = ("ape", "bee", "cat", "<img src=x onerror=hacked=1>", "zebu")


def main() -> None:
    """Writes all of it."""
    MADE.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    write_photos(MADE / "photos", random)
    write_table(MADE / "table.csv", random)
    resize = ["--transform", "resize=8x8"]
    train("cnn_torch_dynamo", "cnn", [], MADE / "photos", [*resize, "--epochs", 4])
    columns = ["--columns", "X=f*", "--columns", "target=price"]
    loss = ["--loss", "mse"]
    table = [*columns, "--epochs", 5]
    train("mlp_regressor_skl2onnx", "regressor", loss, MADE / "table.csv", table)
    zipped("photos")
    write_any(MADE / "any", random)
    write_numbers(MADE / "numbers.json", random)
    write_hostile(MADE / "hostile")


def write_photos(folder: Path, random: np.random.Generator) -> None:
    """Coloured images in five folders, each with a pattern of its own, in another size than the input's."""
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for image in range(20):
            pixels = random.integers(0, 90, (20, 16, 3))
            pixels[3 * number : 3 * number + 5] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{image}.png")


def write_table(path: Path, random: np.random.Generator) -> None:
    """Twelve numbers a row, and what follows from them."""
    features = random.normal(size=(150, 12)).round(4)
    price = (features @ random.normal(size=12) / 3 + 0.1 * features[:, 0] ** 2).round(4)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{number}" for number in range(12)), "price"])
        writer.writerows(np.column_stack([features, price]))


def train(model: str, name: str, convert: list, data: Path, options: list) -> None:
    """Artifacts of a fixture as a zip file, and the losses of each step by Python."""
    artifacts = MADE / name
    svgd(
        "convert",
        FIXTURES / f"{model}.onnx",
        "--target",
        "onnx",
        "--output",
        artifacts,
        "--force",
        *convert,
    )
    zipped(name)
    svgd("train", artifacts, "--data", data, *SETTINGS, *options, "--log", MADE / f"{name}.csv")
    with (MADE / f"{name}.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    (MADE / f"{name}.json").write_text(json.dumps(losses))


def zipped(name: str) -> None:
    """A folder as a zip file, which begins with the folder's name."""
    with zipfile.ZipFile(MADE / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((MADE / name).rglob("*")):
            file.write(path, path.relative_to(MADE))


def write_any(folder: Path, random: np.random.Generator) -> None:
    """Artifacts with integers, two inputs, two open axes, two losses, and names as those of a step."""
    onnx.save(model_of_any(random), MADE / "any.onnx")
    losses = ["--loss", "kind=cross-entropy", "--loss", "box=l1:0.5"]
    svgd("convert", MADE / "any.onnx", "--target", "onnx", "--output", folder, "--force", *losses)
    batch = {
        "ids": random.integers(10, size=(6, 7)),
        "svgd.learning_rate": random.normal(size=(6, 3)).astype(np.float32),
        "kind_labels": random.integers(5, size=6),
        "box_target": random.normal(size=(6, 2)).astype(np.float32),
    }
    trainer = svgd_onnx.Trainer(folder)
    expected = [trainer.train_step(batch, 0.1) for _ in range(5)]
    del trainer
    (MADE / "any_losses.json").write_text(json.dumps(expected))
    content = {
        name: {"dtype": str(array.dtype), "dims": array.shape, "data": array.ravel().tolist()}
        for name, array in batch.items()
    }
    (MADE / "any_batch.json").write_text(json.dumps(content))
    (MADE / "any_data").mkdir(exist_ok=True)
    for name, array in batch.items():
        np.save(MADE / "any_data" / f"{name}.npy", array)


def model_of_any(random: np.random.Generator) -> onnx.ModelProto:
    """The mean of embeddings of a sequence of any length, beside three numbers: a class and a box."""
    shapes = {"table": (10, 4), "w": (7, 5), "w.new": (7, 2)}
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Concat", ["mean", "svgd.learning_rate"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "w"], ["kind"]),
        helper.make_node("MatMul", ["all", "w.new"], ["box"]),
    ]
    value = helper.make_tensor_value_info
    inputs = [
        value("ids", TensorProto.INT64, ["batch", "time"]),
        value("svgd.learning_rate", TensorProto.FLOAT, ["batch", 3]),
    ]
    outputs = [
        value("kind", TensorProto.FLOAT, ["batch", 5]),
        value("box", TensorProto.FLOAT, ["batch", 2]),
    ]
    graph = helper.make_graph(nodes, "any", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_numbers(path: Path, random: np.random.Generator) -> None:
    """Orders of NumPy's, a picture of Pillow's in other sizes, and arrays of every kind."""
    picture = random.integers(0, 256, (11, 7, 3)).astype(np.uint8)
    image, sizes = Image.fromarray(picture), [(8, 8), (5, 20), (33, 3)]
    resized = [
        np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).ravel().tolist()
        for height, width in sizes
    ]
    orders = [
        [seed, epoch, shuffled_rows(99, seed, epoch).tolist()]
        for seed, epoch in ((0, 0), (3, 7), (2**40, 1))
    ]
    content = {
        "picture": picture.ravel().tolist(),
        "sizes": sizes,
        "resized": resized,
        "orders": orders,
    }
    path.write_text(json.dumps(content))
    array = np.arange(24).reshape(2, 3, 4)
    kinds = {
        "big": array.astype(">i4"),
        "half": array.astype("f2"),
        "columns": np.asfortranarray(array),
    }
    np.savez(path.with_name("kinds.npz"), **kinds)


def write_hostile(folder: Path) -> None:
    """Zip files that mean harm."""
    folder.mkdir(exist_ok=True)
    warnings.filterwarnings("ignore", "Duplicate name")
    ours = {path.name: path.read_bytes() for path in (MADE / "cnn").iterdir()}
    files = {
        "up": [("../svgd.json", b"{}")],
        "inner_up": [("a/../../svgd.json", b"{}")],
        "absolute": [("/etc/svgd.json", b"{}")],
        "drive": [("C:/svgd.json", b"{}")],
        "backslash": [("..\\svgd.json", b"{}")],
        "twice": [("svgd.json", b"{}"), ("svgd.json", b"[]")],
        "many": [(f"{number}.png", b"") for number in range(100_001)],
        "markup": [("<img src=x onerror=hacked=1>.exe", b"")],
        "direction": [("a\u202egnp.exe", b"")],
        "empty": [],
        "other_model": [(name, b"x" if name == "eval_model.onnx" else ours[name]) for name in ours],
        "incomplete": [(name, ours[name]) for name in ours if name != "checkpoint.safetensors"],
        "newer": [(name, ours[name]) for name in ours if name != "svgd.json"]
        + [manifest(ours, format=99)],
        "other_target": [manifest(ours, target="ort-training")],
        "other_json": [("svgd.json", b'{"name": "mine"}')],
        "no_json": [("svgd.json", b"\xff\xfe")],
        "huge_image": [("a/1.png", png_that_states(100_000, 100_000)), ("b/2.png", b"")],
        "not_an_image": [("a/1.png", b"<svg onload=hacked=1>"), ("b/2.png", b"")],
    }
    for name, entries in files.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as file:
            for path, content in entries:
                entry = zipfile.ZipInfo("x")
                entry.filename = path  # as it is: the constructor changes some
                file.writestr(entry, content)
    (folder / "no_zip.zip").write_bytes(b"PK\x03\x04 and nothing else")
    whole = (MADE / "photos.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "bomb.zip").write_bytes(bomb(states=3 << 30))
    (folder / "bomb_that_lies.zip").write_bytes(bomb(states=100))


def png_that_states(width: int, height: int) -> bytes:
    """The beginning of a PNG file."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content = b"IHDR" + size + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + content + zlib.crc32(content).to_bytes(4, "big")


def manifest(ours: dict[str, bytes], **changes: object) -> tuple[str, bytes]:
    """The artifacts' svgd.json, with changes."""
    return "svgd.json", json.dumps({**json.loads(ours["svgd.json"]), **changes}).encode()


def bomb(states: int) -> bytes:
    """A zip file of 3 MB with one entry, svgd.json, of 3 GiB of zeros, whatever size it states."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    stream = block * (3 << 10) + compressor.flush()
    name, size = b"svgd.json", (0, len(stream), states, 9)
    sizes = b"".join(number.to_bytes(4, "little") for number in size[:3])
    common = b"\x14\0\0\0\x08\0\0\0\0\0" + sizes + size[3].to_bytes(2, "little") + b"\0\0"
    local = b"PK\x03\x04" + common + name + stream
    central = b"PK\x01\x02\x14\0" + common + b"\0" * 14 + name
    end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0" + len(central).to_bytes(4, "little")
    return local + central + end + len(local).to_bytes(4, "little") + b"\0\0"


def svgd(*arguments: object) -> None:
    """Runs a command of svgd-onnx."""
    command = [sys.executable, "-m", "svgd_onnx", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True)


main()
