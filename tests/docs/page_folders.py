"""What the pages of docs/ say that their readers have: models and data, small."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
from PIL import Image

FIXTURES = Path(__file__).parents[1] / "fixtures"

SIZE = 64  # examples


def arrays() -> dict[str, np.ndarray]:
    """Rows of 64 pixels, one of ten classes each: what the README calls images, labels and so on."""
    random = np.random.default_rng(0)
    labels = np.arange(SIZE) % 10
    images = (random.normal(size=(10, 64))[labels] + random.normal(size=(SIZE, 64)) / 4).astype(
        np.float32
    )
    return {
        "images": images,
        "labels": labels,
        "test_images": images[:16],
        "test_labels": labels[:16],
    }


def digits() -> None:
    """model.onnx, train.npz and test.npz."""
    network = models.Network()
    weights = network.weight("fc1.weight", 64, 16), network.weight("fc1.bias", 16)
    hidden = network.node("Relu", network.node("Gemm", "image", *weights))
    head = network.weight("fc2.weight", 16, 10), network.weight("fc2.bias", 10)
    scores = network.node("Gemm", hidden, *head, output="scores")
    onnx.save(network.model({"image": ("batch", 64)}, {scores: ("batch", 10)}), "model.onnx")
    known = arrays()
    np.savez("train.npz", image=known["images"], labels=known["labels"])
    np.savez("test.npz", image=known["test_images"], labels=known["test_labels"])


def vision() -> None:
    """model.onnx, a small network of images, and photos in folders by class."""
    network = models.Network()
    value = "image"
    for name, channels, inputs in (("features.0", 8, 3), ("features.3", 8, 8)):
        weights = (
            network.weight(f"{name}.weight", channels, inputs, 3, 3),
            network.weight(f"{name}.bias", channels),
        )
        value = network.node("Relu", network.node("Conv", value, *weights, strides=[4, 4]))
    pooled = network.node("Flatten", network.node("GlobalAveragePool", value))
    head = network.weight("classifier.weight", 8, 5), network.weight("classifier.bias", 5)
    scores = network.node("Gemm", pooled, *head, output="scores")
    shapes = {"image": ("batch", 3, 224, 224)}, {scores: ("batch", 5)}
    onnx.save(network.model(*shapes), "model.onnx")
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = Path("photos", name)
        folder.mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 255, (64, 80, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")


def language() -> None:
    """gpt2.onnx, small, and tokens.npy."""
    shutil.copy(FIXTURES / "gpt2_transformers_dynamo.onnx", "gpt2.onnx")
    np.save("tokens.npy", np.random.default_rng(0).integers(0, 64, 16 * 16 + 1))


def int8() -> None:
    """float.onnx, train.npz and test.npz."""
    digits()
    Path("model.onnx").rename("float.onnx")


PREPARED: dict[str, Callable[[], None]] = {
    "vision-head": vision,
    "lora-language-model": language,
    "int8": int8,
    "browser": digits,
    "phone": digits,
    "cpp": digits,
    "optimizer": digits,
    "target": digits,
}
"""What a page needs, by its name."""
