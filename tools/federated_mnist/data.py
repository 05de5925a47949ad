"""What is trained on: MNIST, where its files are given, or scikit-learn's smaller digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tools.networks import NETWORKS
from tools.paper import mnist

TEST_DIGITS = 360


@dataclass(frozen=True)
class Files:
    """Paths of a model and of its data, as `.npz` files."""

    model: Path
    train: Path
    test: Path


def write(folder: Path, mnist_folder: Path | None, seed: int) -> Files:
    """Writes a network with random weights, and data for it.

    Args:
        folder: where to.
        mnist_folder: with the four files of MNIST; None for the digits of scikit-learn.
        seed: of the weights, and of the split of the digits.

    Raises:
        DataError: a file of MNIST is missing or damaged.
    """
    files = Files(*(folder / name for name in ("model.onnx", "train.npz", "test.npz")))
    network, (train, test) = "digits_mlp", (_digits(seed) if mnist_folder is None else (None, None))
    if mnist_folder is not None:
        network, whole = "paper_mlp", mnist.load(mnist_folder)
        train = {"image": mnist.pixels(whole.images), "labels": whole.labels}
        test = whole.test
    onnx.save(NETWORKS[network](seed), files.model)
    np.savez(files.train, **train)
    np.savez(files.test, **test)
    return files


def _digits(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    arrays = {"image": (images / 16).astype(np.float32), "labels": labels.astype(np.int64)}
    return tuple(
        {name: array[rows] for name, array in arrays.items()}
        for rows in (order[TEST_DIGITS:], order[:TEST_DIGITS])
    )
