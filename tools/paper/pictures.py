"""Augmentation and standardization of small pictures, (examples, channels, height, width) uint8."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PADDING = 2


def augment(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Pads each picture with 2 black pixels, crops its size anywhere, and mirrors every other one."""
    count, _, height, width = images.shape
    around = (PADDING, PADDING)
    padded = np.pad(images, ((0, 0), (0, 0), around, around))
    crops = sliding_window_view(padded, (height, width), axis=(2, 3))
    down, right = random.integers(0, 2 * PADDING + 1, (2, count))
    cropped = crops[np.arange(count), :, down, right]
    mirrored = random.random(count) < 0.5
    cropped[mirrored] = cropped[mirrored, :, :, ::-1]
    return cropped


def standardize(images: np.ndarray) -> np.ndarray:
    """Each picture minus its mean, over its standard deviation or 1/sqrt(its size) if that is more.

    The pixels are taken in [0, 255], as the authors' framework does; float32.
    """
    values = images.reshape(len(images), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.square(values).mean(axis=1, keepdims=True))
    values /= np.maximum(deviation, values.shape[1] ** -0.5)
    return values.reshape(images.shape)


def augment_and_standardize(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What a training step on CIFAR-10 takes."""
    return standardize(augment(images, random))
