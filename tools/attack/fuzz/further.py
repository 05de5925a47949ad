"""Further files that come with artifacts: those of adapters, options of a run, and TensorBoard's events."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import svgd_onnx
from svgd_onnx import run_config
from svgd_onnx.cli import train
from svgd_onnx.command import Application
from tools.attack.fuzz.damage import NAMES, NUMBERS, REALS, damaged
from tools.attack.fuzz.files import other_value, small_data, small_model


def adapters(folder: Path) -> Callable[[int], None]:
    """Files of adapters, put on the model that they were trained over."""
    model = small_model()
    svgd_onnx.convert(
        model, folder / "adapted", target="onnx", lora=1, lora_targets=["w"], force=True
    )
    path = folder / "adapter.safetensors"
    svgd_onnx.Trainer(folder / "adapted").export_adapter(path)
    whole = path.read_bytes()

    def attempt(seed: int) -> None:
        draw = Random(seed)
        length = int.from_bytes(whole[:8], "little")
        if draw.random() < 0.3:
            path.write_bytes(damaged(whole, draw))
        else:
            header = json.loads(whole[8 : 8 + length])
            metadata = header["__metadata__"]
            content = json.loads(metadata["svgd.adapter"])
            other_value(content, draw)
            metadata["svgd.adapter"] = json.dumps(content)
            if draw.random() < 0.2:
                other_value(header, draw)
            text = json.dumps(header).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
        svgd_onnx.apply_adapter(model, path, folder / "applied.onnx")

    return attempt


def configs(folder: Path) -> Callable[[int], None]:
    """Options of a training in TOML, as far as they are read and compared with those that there are."""
    path = folder / "run.toml"
    app = Application()
    app.command()(train)
    import typer

    command = typer.main.get_command(app)
    options = sorted(run_config.parameters_by_key(command))
    values = (*map(repr, NUMBERS), *map(str, REALS), *map(json.dumps, NAMES))
    values = (
        *values,
        "true",
        "[]",
        "{}",
        "[[1]]",
        "{a=1}",
        "1979-05-27",
        "0x" + "f" * 5000,
        "9" * 400,
    )

    def attempt(seed: int) -> None:
        draw = Random(seed)
        lines = [
            f"{draw.choice(options)} = {draw.choice(values)}" for _ in range(draw.randrange(5))
        ]
        table = draw.choice(("train", "train", "train", "record.train.sha256", "convert"))
        text = f"[{table}]\n" + "\n".join(lines)
        content = text.encode()
        path.write_bytes(damaged(content, draw) if draw.random() < 0.4 else content)
        given = run_config.values_of(run_config.load(path), path, command, set())
        command.make_context("train", [], default_map=given, resilient_parsing=True)

    return attempt


def events(folder: Path) -> Callable[[int], None]:
    """TensorBoard's files of a training that is resumed."""
    svgd_onnx.convert(small_model(), folder / "watched", target="onnx", force=True)
    settings = {"batch_size": 2, "learning_rate": 0.1, "tensorboard": folder / "events"}
    data = small_data()
    svgd_onnx.Trainer(folder / "watched", threads=1).fit(data, steps=4, **settings)
    (file,) = (folder / "events").iterdir()
    whole = file.read_bytes()
    saved = (folder / "watched" / "checkpoint.safetensors").read_bytes()

    def attempt(seed: int) -> None:
        draw = Random(seed)
        shutil.rmtree(folder / "events")
        (folder / "events").mkdir()
        file.write_bytes(damaged(whole, draw))
        (folder / "watched" / "checkpoint.safetensors").write_bytes(saved)
        svgd_onnx.Trainer(folder / "watched", threads=1).fit(data, steps=5, **settings)

    return attempt
