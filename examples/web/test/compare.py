"""Compares losses of the same training elsewhere with those of `svgd-onnx train`.

compare.py                 those that the other tests left in build/web, and what the browser saved
compare.py FILE.json...    others, a list of losses each
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

PUBLIC = Path(__file__).resolve().parents[1] / "public"
MADE = Path(__file__).resolve().parents[3] / "build" / "web"
STEPS = 100  # rounding grows from step to step, so that later ones may not be compared
TOLERANCE = 1e-4


def main() -> None:
    """Compares loss curves, and of the browser the checkpoint and the model that it exported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", type=Path, nargs="*")
    curves = parser.parse_args().curves
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        artifacts = work / "artifacts"
        shutil.copytree(PUBLIC / "artifacts", artifacts)
        train = ["--data", PUBLIC / "train", "--batch-size", "32", "--learning-rate", "0.3"]
        svgd("train", artifacts, *train, "--steps", STEPS, "--seed", 0, "--log", work / "log.csv")
        with (work / "log.csv").open() as file:
            expected = np.array([float(row["loss"]) for row in csv.DictReader(file)])
        for curve in curves or [MADE / "node_losses.json", MADE / "browser_losses.json"]:
            compare(curve, expected)
        if curves:
            return

        shutil.copy(MADE / "checkpoint.safetensors", artifacts)
        svgd("export", artifacts, "--output", work / "trained.onnx")
        for ours, theirs in zip(weights(work / "trained.onnx"), weights(MADE / "trained.onnx")):
            np.testing.assert_array_equal(ours, theirs)
        onnx.checker.check_model(onnx.load(MADE / "trained.onnx"), full_check=True)
        svgd("evaluate", artifacts, "--data", PUBLIC / "test")
        svgd("train", artifacts, *train, "--epochs", 21, "--resume")


def compare(curve: Path, expected: np.ndarray) -> None:
    """Asserts that a file of losses begins with those expected."""
    losses = np.array(json.loads(curve.read_text()))[: len(expected)]
    difference = float(np.abs(losses / expected - 1).max())
    name = curve.stem.replace("_losses", "")
    print(f"{name}: {len(losses)} losses differ from Python's by at most {difference:.1e} of them")
    assert len(losses) == len(expected)
    assert difference < TOLERANCE


def svgd(*arguments: object) -> None:
    """Runs a command of svgd-onnx."""
    subprocess.run([sys.executable, "-m", "svgd_onnx", *map(str, arguments)], check=True)


def weights(path: Path) -> list[np.ndarray]:
    """The weights of a model, in the order of their names."""
    initializers = sorted(onnx.load(path).graph.initializer, key=lambda tensor: tensor.name)
    return [onnx.numpy_helper.to_array(tensor) for tensor in initializers]


main()
