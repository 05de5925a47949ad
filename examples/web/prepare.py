"""Makes what the examples train: `.venv/bin/python examples/web/prepare.py [--network digits_cnn]`.

Writes into `public/` beside this file: the artifacts of a demo network, and scikit-learn's handwritten
digits with the orders in which `svgd-onnx train --seed 0` goes through them, so that both can be compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from svgd_onnx.training.batches import shuffled_rows

HERE = Path(__file__).resolve().parent
SEED = 0
TEST_EXAMPLES = 360
EPOCHS = 20  # of orders


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
    (folder / "digits.json").write_text(json.dumps(digits(), separators=(",", ":")))
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def run(module: str, *arguments: str) -> None:
    """Runs a Python module from the root of the repository."""
    command = [sys.executable, "-m", module, *arguments]
    if code := subprocess.run(command, cwd=HERE.parents[1]).returncode:
        sys.exit(code)


def digits() -> dict[str, object]:
    """The training and the test split, those of `make demo`; pixels are 0 to 16."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        images.astype(int), labels, test_size=TEST_EXAMPLES, stratify=labels, random_state=SEED
    )
    train_images, test_images, train_labels, test_labels = (part.tolist() for part in split)
    return {
        "train": {"images": train_images, "labels": train_labels},
        "test": {"images": test_images, "labels": test_labels},
        "orders": [
            shuffled_rows(len(train_labels), SEED, epoch).tolist() for epoch in range(EPOCHS)
        ],
    }


main()
