"""Makes what the examples train: `.venv/bin/python examples/web/prepare.py [--network digits_cnn]`.

Writes into `public/` beside this file: the artifacts of a demo network, and scikit-learn's handwritten
digits, `train` and `test`, as folders of `.npy` files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from svgd_onnx.manifest import Manifest

HERE = Path(__file__).resolve().parent
SEED = 0
TEST_EXAMPLES = 360
WHITE = 16  # pixels are 0 to 16


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--network", default="digits_mlp", help="one of tools/networks that takes 8x8 digits"
    )
    network = parser.parse_args().network
    folder = HERE / "public"
    folder.mkdir(exist_ok=True)
    model, artifacts = str(folder / "model.onnx"), str(folder / "artifacts")
    run("tools.networks", network, "--seed", str(SEED), "--output", model)
    run("svgd_onnx", "convert", model, "--target", "onnx", "--output", artifacts,
        "--scale", "0.003", "--l1", "1e-4", "--force")  # fmt: skip
    write_digits(folder, Manifest.load(Path(artifacts)))
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def run(module: str, *arguments: str) -> None:
    """Runs a Python module from the root of the repository."""
    command = [sys.executable, "-m", module, *arguments]
    if code := subprocess.run(command, cwd=HERE.parents[1]).returncode:
        sys.exit(code)


def write_digits(folder: Path, manifest: Manifest) -> None:
    """Writes the training and the test split, those of `make demo`, as a model takes them."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        (images / WHITE).astype(np.float32),
        labels,
        test_size=TEST_EXAMPLES,
        stratify=labels,
        random_state=SEED,
    )
    (image,) = manifest.inputs
    for split, pixels, numbers in zip(("train", "test"), parts[:2], parts[2:]):
        (folder / split).mkdir(exist_ok=True)
        np.save(folder / split / f"{image.name}.npy", pixels.reshape(-1, *image.shape[1:]))
        np.save(folder / split / f"{manifest.labels[0].name}.npy", numbers)


main()
