"""Small data in the forms in which people have it, and models that take images, for tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import onnx
import pytest
from models import Network

SIDE = 8
CLASSES = ("ape", "bee", "cat")


def image_model(channels: int = 3, side: int = SIDE, *, last: bool = False) -> onnx.ModelProto:
    """A linear classifier: pixels (batch, channels, side, side), or channels last, -> logits (batch, 3)."""
    net = Network()
    net.node(
        "Gemm",
        net.node("Flatten", "pixels"),
        net.weight("weight", channels * side * side, len(CLASSES), scale=0.01),
        net.weight("bias", len(CLASSES)),
        output="logits",
    )
    shape = (side, side, channels) if last else (channels, side, side)
    return net.model({"pixels": ("batch", *shape)}, {"logits": ("batch", len(CLASSES))})


def images(count: int, height: int = SIDE, width: int = SIDE, seed: int = 0) -> np.ndarray:
    """Random pictures, (count, height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def save_image(path: Path, image: np.ndarray) -> Path:
    """A PNG, whose pixels are those of the picture."""
    pillow = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow.fromarray(image).save(path)
    return path


def image_folder(path: Path, count: int = 4) -> np.ndarray:
    """Folders by class with as many pictures each, which are given back, in order."""
    pictures = images(count * len(CLASSES))
    for number, picture in enumerate(pictures):
        save_image(path / CLASSES[number // count] / f"{number:02}.png", picture)
    return pictures


def write_idx(path: Path, array: np.ndarray) -> Path:
    """A file of IDX of bytes, compressed if its name says so."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
