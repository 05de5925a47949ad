"""Trains two networks on scikit-learn's handwritten digits: `python -m tools.demo`.

Every step is a command that could be typed by hand, and is printed before it runs: write a model,
convert it, train it, evaluate it, export it. The exported model is then run in a plain onnxruntime
session, which has to find the same accuracy. This shows the use of the program; it is no comparison
of optimizers, whose learning rates are not tuned one by one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from svgd_onnx.runtime import has_training

TEST_EXAMPLES = 360
LOWEST_ACCURACY = 0.97  # of SVGD
SHAPES = {"digits_mlp": (64,), "digits_cnn": (1, 8, 8)}  # of an image
OPTIMIZERS = ("svgd", "sgd")
SEED = "0"
# T's factor s: SVGD takes SGD's learning rate, and s times that is about RMSProp's.
SCALE = "0.003"
# 44 steps an epoch.
TRAINING = shlex.split("--epochs 20 --batch-size 32 --learning-rate 0.3 --schedule 580:0.03")


@dataclass(frozen=True)
class Result:
    """What training a network came to: accuracies on the test data, and seconds of training."""

    network: str
    optimizer: str
    accuracy: str
    exported: str
    seconds: float


def main() -> None:
    """Runs all, prints the table; exit code 1 if a result is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("demo"), help="a folder for all files (default demo)"
    )
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    target = "ort-training" if has_training() else "onnx"
    if target == "onnx":
        print("There is no onnxruntime-training here: the target ort-training is left out.")
    for network, shape in SHAPES.items():
        write_data(folder, network, shape)
        model = str(folder / f"{network}.onnx")
        command("python", "-m", "tools.networks", network, "--seed", SEED, "--output", model)
    results = [
        perform(network, optimizer, target, folder)
        for network in SHAPES
        for optimizer in OPTIMIZERS
    ]
    Console().print(table(results))
    faults = [fault for result in results for fault in faults_of(result)]
    if faults:
        sys.exit("\n".join(faults))


def write_data(folder: Path, network: str, shape: tuple[int, ...]) -> None:
    """Writes the training and the test data of a network: arrays `image` and `labels`."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32).reshape(-1, *shape)
    split = train_test_split(
        images,
        digits.target,
        test_size=TEST_EXAMPLES,
        stratify=digits.target,
        random_state=int(SEED),
    )
    for name, image, labels in zip(("train", "test"), split[:2], split[2:]):
        np.savez(folder / f"{network}_{name}.npz", image=image, labels=labels)


def perform(network: str, optimizer: str, target: str, folder: Path) -> Result:
    """Converts, trains, evaluates, exports, and runs what was exported."""
    model = str(folder / f"{network}.onnx")
    training, test = (str(folder / f"{network}_{split}.npz") for split in ("train", "test"))
    artifacts = str(folder / f"{network}_{optimizer}")
    trained = f"{artifacts}_trained.onnx"

    how = ["--optimizer", optimizer, *(["--scale", SCALE] if optimizer == "svgd" else [])]
    how += ["--target", target, "--l1", "1e-4", "--force"]
    command("svgd-onnx", "convert", model, "--output", artifacts, *how)
    start = time.perf_counter()
    command("svgd-onnx", "train", artifacts, "--data", training, *TRAINING, "--seed", SEED)
    seconds = time.perf_counter() - start
    printed = output_of("svgd-onnx", "evaluate", artifacts, "--data", test)
    command("svgd-onnx", "export", artifacts, "--output", trained)

    accuracy = dict(line.split() for line in printed.splitlines())["accuracy"]
    return Result(network, optimizer, accuracy, infer(trained, test), seconds)


def command(*words: str) -> None:
    """Prints a command and runs it."""
    print(f"$ {shlex.join(words)}", flush=True)
    finished = subprocess.run(executable(words))
    if finished.returncode:
        sys.exit(finished.returncode)


def output_of(*words: str) -> str:
    """Prints a command, runs it, prints and returns its output."""
    print(f"$ {shlex.join(words)}", flush=True)
    finished = subprocess.run(executable(words), stdout=subprocess.PIPE, text=True)
    print(finished.stdout, end="", flush=True)
    if finished.returncode:
        sys.exit(finished.returncode)
    return finished.stdout


def executable(words: Sequence[str]) -> list[str]:
    """The command with the program found in this Python's environment, activated or not."""
    program, *arguments = words
    if program == "python":
        return [sys.executable, *arguments]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(program, path=path)
    if found is None:
        sys.exit(f"{program} is not installed: run pip install '.[cpu,demo]'.")
    return [found, *arguments]


def infer(model: str, data: str) -> str:
    """The accuracy of an ONNX file, as `svgd-onnx evaluate` prints it."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with np.load(data) as arrays:
        (probabilities,) = session.run(None, {"image": arrays["image"]})
        return f"{np.mean(probabilities.argmax(axis=1) == arrays['labels']):.6f}"


def table(results: Sequence[Result]) -> Table:
    """One row for each run."""
    made = Table(title="Handwritten digits")
    made.add_column("model")
    made.add_column("optimizer")
    for column in ("test accuracy", "exported model's", "seconds"):
        made.add_column(column, justify="right")
    for result in results:
        made.add_row(
            result.network,
            result.optimizer,
            f"{float(result.accuracy):.2%}",
            f"{float(result.exported):.2%}",
            f"{result.seconds:.1f}",
        )
    return made


def faults_of(result: Result) -> list[str]:
    """Sentences on what is wrong with a result."""
    name = f"{result.network} with {result.optimizer}"
    faults = []
    if result.exported != result.accuracy:
        faults.append(
            f"{name}: the exported model has accuracy {result.exported}, not {result.accuracy}."
        )
    if result.optimizer == "svgd" and float(result.accuracy) < LOWEST_ACCURACY:
        faults.append(f"{name}: accuracy {result.accuracy} is below {LOWEST_ACCURACY}.")
    return faults


main()
