"""Files beside models: data, checkpoints, svgd.json and logs, and the schedule of the command line."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import svgd_onnx
from svgd_onnx.manifest import DIGEST, digest_of
from svgd_onnx.training import data
from svgd_onnx.training.schedules import SCHEDULES, Rates, as_schedule
from tools.attack.fuzz.damage import NAMES, NUMBERS, REALS, damaged

_SETTINGS = sorted(
    {field.name.replace("_", "-") for each in SCHEDULES.values() for field in fields(each)}
)
_COUNT, _FEATURES, _CLASSES = 6, 3, 2
_HALF = "\ud800"  # of a character: JSON can say it, and no other encoding


def npz(folder: Path) -> Callable[[int], None]:
    """Data sets: other arrays, and archives that are damaged."""
    trainer = svgd_onnx.Trainer(_artifacts(folder), threads=1)
    path = folder / "data.npz"

    def attempt(seed: int) -> None:
        draw = Random(seed)
        arrays: dict[str, Any] = dict(small_data())
        for _ in range(draw.randrange(3)):
            _other_array(arrays, draw)
        file = io.BytesIO()
        (np.savez if draw.random() < 0.7 else np.savez_compressed)(file, **arrays)
        content = file.getvalue()
        if draw.random() < 0.2:
            content = _rewritten(content, draw)
        if draw.random() < 0.5:
            content = damaged(content, draw)
        path.write_bytes(content)
        examples = data.load(path)
        trainer.evaluate(examples)
        trainer.train_step(examples, 0.01)

    return attempt


def safetensors(folder: Path) -> Callable[[int], None]:
    """Checkpoints of the target onnx."""
    artifacts = _artifacts(folder)
    path = artifacts / "checkpoint.safetensors"
    whole = path.read_bytes()

    def attempt(seed: int) -> None:
        draw = Random(seed)
        if draw.random() < 0.5:
            path.write_bytes(damaged(whole, draw))
        else:
            length = int.from_bytes(whole[:8], "little")
            header = json.loads(whole[8 : 8 + length])
            other_value(header, draw)
            text = json.dumps(header).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
        _use(artifacts, folder)

    return attempt


def checkpoints(folder: Path) -> Callable[[int], None]:
    """Checkpoints of the target ort-training, which onnxruntime reads."""
    artifacts = _artifacts(folder, "ort-training")
    trainer = svgd_onnx.Trainer(artifacts, threads=1)
    trainer.train_step(small_data(), 0.01)
    trainer.save()
    path = artifacts / "checkpoint"
    whole = path.read_bytes()

    def attempt(seed: int) -> None:
        draw = Random(seed)
        content = bytearray(damaged(whole, draw) if draw.random() < 0.3 else whole)
        for _ in range(draw.randrange(4) if content else 0):  # all else stays where it was
            content[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(content)
        _use(artifacts, folder)

    return attempt


def svgd_json(folder: Path) -> Callable[[int], None]:
    """The account of a conversion."""
    artifacts = _artifacts(folder)
    path = artifacts / "svgd.json"
    whole = path.read_bytes()

    def attempt(seed: int) -> None:
        draw = Random(seed)
        if draw.random() < 0.3:
            path.write_bytes(damaged(whole, draw))
        else:
            content = json.loads(whole)
            for _ in range(draw.randint(1, 2)):
                other_value(content, draw)
            if draw.random() < 0.9 and DIGEST in content:  # else no edit gets past it
                del content[DIGEST]
                content[DIGEST] = digest_of(content)
            path.write_text(json.dumps(content))
        svgd_onnx.inspect(artifacts)
        _use(artifacts, folder)

    return attempt


def logs(folder: Path) -> Callable[[int], None]:
    """The log of a training that is resumed."""
    artifacts = _artifacts(folder)
    path, settings = (
        folder / "log.csv",
        {"batch_size": 2, "learning_rate": 0.1, "log": folder / "log.csv"},
    )
    examples = small_data()
    svgd_onnx.Trainer(artifacts, threads=1).train(examples, steps=4, **settings)
    whole = path.read_bytes()
    saved = folder / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    shutil.copytree(artifacts, saved)

    def attempt(seed: int) -> None:
        draw = Random(seed)
        rows = list(csv.reader(io.StringIO(whole.decode(), newline="")))
        for _ in range(draw.randrange(3)):
            row = draw.choice(rows)
            if row:
                row[draw.randrange(len(row))] = draw.choice(
                    (*NAMES, *map(str, (*NUMBERS, *REALS)), '"', ",")
                )
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        content = text.getvalue().encode(errors="replace")
        path.write_bytes(damaged(content, draw) if draw.random() < 0.6 else content)
        shutil.copy(saved / "checkpoint.safetensors", artifacts)
        svgd_onnx.Trainer(artifacts, threads=1).train(examples, steps=5, resume=True, **settings)

    return attempt


def schedules(folder: Path) -> Callable[[int], None]:
    """The text of --schedule."""

    def attempt(seed: int) -> None:
        draw = Random(seed)
        numbers = (*REALS, *NUMBERS, *NAMES)
        items = [
            draw.choice(
                (
                    f"{draw.choice((*NUMBERS, *NAMES))}:{draw.choice(numbers)}",
                    f"{draw.choice((*_SETTINGS, *NAMES))}={draw.choice(numbers)}",
                    draw.choice((*SCHEDULES, *NAMES)),
                )
            )
            for _ in range(draw.randrange(4))
        ]
        text = ",".join(items)
        if draw.random() < 0.5:
            text = damaged(text.encode(errors="replace"), draw).decode(errors="surrogateescape")
        rates = Rates(as_schedule(text), 0.1, 2**63 + 1)
        for values in ([], [1.0, 1.0, float("nan"), 0.5]):
            rates.follow(values)
            for step in (0, 1, 2**31, 2**63):
                assert rates.rate(step) >= 0

    return attempt


def _artifacts(folder: Path, target: str = "onnx") -> Path:
    svgd_onnx.convert(small_model(), folder / "artifacts", target=target, force=True)
    return folder / "artifacts"


def small_model() -> onnx.ModelProto:
    """x (batch, 3) -> a dense layer -> logits (batch, 2)."""
    random = np.random.default_rng(0)
    weights = {"w": (_FEATURES, _CLASSES), "b": (_CLASSES,)}
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["logits"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", _FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", _CLASSES])],
        [
            onnx.numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def small_data() -> dict[str, np.ndarray]:
    """Data that fit it."""
    random = np.random.default_rng(1)
    return {
        "x": random.normal(size=(_COUNT, _FEATURES)).astype(np.float32),
        "labels": random.integers(0, _CLASSES, _COUNT),
    }


def _other_array(arrays: dict[str, Any], draw: Random) -> None:
    """Another type, shape, name or number."""
    name = draw.choice(list(arrays) or ["x"])
    how = draw.randrange(6)
    array = arrays.get(name, np.zeros(2))
    if how == 0:
        types = "? i1 u1 i8 u8 f2 f4 f8 c16 S3 U3 M8[s] m8[s] V4 f4,i4".split()
        arrays[name] = np.zeros(array.shape, draw.choice(types))
    elif how == 1:
        shape = [draw.choice((0, 1, 2, 3, 6)) for _ in range(draw.randrange(4))]
        arrays[name] = np.resize(array, shape)
    elif how == 2:
        arrays[draw.choice(NAMES).replace("\0", "") or "file_"] = arrays.pop(name, array)
    elif how == 3 and array.size and array.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            numbers = np.array(array, dtype=np.float64 if array.dtype.kind == "f" else np.int64)
            numbers.flat[draw.randrange(array.size)] = draw.choice(
                REALS if array.dtype.kind == "f" else NUMBERS
            )
            arrays[name] = numbers
    elif how == 4:
        arrays[name] = np.array([{}, "pickled"], dtype=object)
    else:
        arrays.pop(name, None)


def _rewritten(content: bytes, draw: Random) -> bytes:
    """The archive, whose members are others."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if draw.random() < 0.5:
                member = damaged(member[:128], draw) + member[128:]
            if draw.random() < 0.2:
                member = member.replace(b"(6,", b"(99999999999,")
            new.writestr(draw.choice((name, name, "../" + name, name[:-4], "labels.npy")), member)
    return file.getvalue()


def other_value(content: Any, draw: Random) -> None:
    """Sets, takes out or doubles something in what JSON holds."""
    while True:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        if not keys:
            return
        key = draw.choice(keys)
        value = content[key]
        if isinstance(value, dict | list) and value and draw.random() < 0.8:
            content = value
            continue
        how = draw.randrange(4)
        if how == 0:
            del content[key]
        elif how == 1 and isinstance(content, dict):
            content[draw.choice((*NAMES, _HALF))] = value
        else:
            content[key] = draw.choice(
                (
                    *NUMBERS,
                    *REALS,
                    *NAMES,
                    _HALF,
                    None,
                    True,
                    [],
                    {},
                    [[]],
                    {"a": 1},
                    value,
                    [value, value],
                )
            )
        return


def _use(artifacts: Path, folder: Path) -> None:
    """A step, an evaluation and an export."""
    trainer = svgd_onnx.Trainer(artifacts, threads=1)
    examples = small_data()
    trainer.train_step(examples, 0.01)
    trainer.evaluate(examples)
    trainer.export(folder / "trained.onnx")
