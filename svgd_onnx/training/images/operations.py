"""What changes a picture, one class each: (height, width, channels) uint8 to the same.

What is random draws from a generator, or does without it what evaluation does: a crop is in the centre then, a
picture is not flipped, colours stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.training.images.decoding import MOST_PIXELS, resized

Generator = np.random.Generator


class Operation(Protocol):
    """A change of a picture."""

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        """The picture changed; without a generator as evaluation has it.

        Raises:
            UserError: it is too small, or would become too large.
        """
        ...


@dataclass(frozen=True)
class Resize:
    """To a height and width; or the shorter side to a length, where both sides keep their ratio."""

    height: int
    width: int | None

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        height, width = self.height, self.width
        if width is None:
            old_height, old_width = image.shape[:2]
            shorter = min(old_height, old_width)
            width = int(self.height * old_width / shorter)
            height = int(self.height * old_height / shorter)
        _check_size(height, width, "resize")
        return resized(image, height, width)


@dataclass(frozen=True)
class CenterCrop:
    """The middle of a picture."""

    height: int
    width: int

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        top, left = (image.shape[0] - self.height) // 2, (image.shape[1] - self.width) // 2
        return _cropped(image, top, left, self.height, self.width)


@dataclass(frozen=True)
class RandomCrop:
    """A part of a picture that has got `pad` black pixels on each side; without a generator its middle."""

    height: int
    width: int
    pad: int = 0

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        padded = _padded(image, self.pad)
        if random is None:
            return CenterCrop(self.height, self.width)(padded, None)
        top, left = (
            int(random.integers(max(have - want, 0) + 1))
            for have, want in zip(padded.shape, (self.height, self.width))
        )
        return _cropped(padded, top, left, self.height, self.width)


@dataclass(frozen=True)
class Flip:
    """Left to right, in half of all cases."""

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        return image if random is None or random.random() < 0.5 else image[:, ::-1]


@dataclass(frozen=True)
class Color:
    """Brightness, then contrast, then saturation, each times a number from 1 - s to 1 + s.

    As PyTorch's ColorJitter: a blend with black, with the mean shade of gray, and with the picture in
    shades of gray.
    """

    strength: float

    def __call__(self, image: np.ndarray, random: Generator | None) -> np.ndarray:
        if random is None:
            return image
        factors = random.uniform(1 - self.strength, 1 + self.strength, 3).astype(np.float32)
        values = np.clip(image * factors[0], 0, 255)
        gray = luminance(values).mean()
        values = np.clip(gray + (values - gray) * factors[1], 0, 255)
        if values.shape[2] == 3:
            shades = luminance(values)
            values = np.clip(shades + (values - shades) * factors[2], 0, 255)
        return np.asarray(np.rint(values), np.uint8)


def luminance(image: np.ndarray) -> np.ndarray:
    """Shades of gray, (height, width, 1), of a picture in floating-point numbers: ITU-R 601-2."""
    if image.shape[2] == 1:
        return image
    return np.asarray(image @ np.array([[0.299], [0.587], [0.114]], image.dtype))


def _padded(image: np.ndarray, pad: int) -> np.ndarray:
    if not pad:
        return image
    height, width, channels = image.shape
    shape = (height + 2 * pad, width + 2 * pad, channels)
    _check_size(*shape[:2], "pad")
    padded = np.zeros(shape, image.dtype)  # np.pad is slow
    padded[pad:-pad, pad:-pad] = image
    return padded


def _check_size(height: int, width: int, after: str) -> None:
    if height * width > MOST_PIXELS:
        raise UserError(f"it would have {height} x {width} pixels after {after}")


def _cropped(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    if image.shape[0] < height or image.shape[1] < width:
        raise UserError(
            f"it has {image.shape[0]} x {image.shape[1]} pixels, too few to cut {height} x {width} out"
        )
    return image[top : top + height, left : left + width]


@dataclass(frozen=True)
class Normalize:
    """(pixels / 255 - mean) / std of each channel; one number is of all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# mean and standard deviation of red, green and blue over the images of ImageNet, as everyone gives them
_STATISTICS = {"imagenet": Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


class NotUnderstoodError(Exception):
    """A value that an operation does not take; its message says what it takes."""


def _count(text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) and len(text) <= 9):
        raise NotUnderstoodError(f"a whole number, {least} or more")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, by, width = text.partition("x")
    try:
        return _count(height), _count(width if by else height)
    except NotUnderstoodError:
        raise NotUnderstoodError("a side such as 224, or height and width as 224x320") from None


def _resize(value: str) -> Resize:
    height, width = _size(value)
    return Resize(height, width if "x" in value else None)


def _random_crop(value: str, pad: str = "0") -> RandomCrop:
    return RandomCrop(*_size(value), _count(pad, 0))


def _flip(value: str) -> Flip:
    if value:
        raise NotUnderstoodError("nothing")
    return Flip()


def _color(value: str) -> Color:
    strength = _numbers(value)
    if len(strength) != 1 or not 0 <= strength[0] <= 1:
        raise NotUnderstoodError("a number from 0 to 1")
    return Color(strength[0])


def _normalize(value: str) -> Normalize:
    if value in _STATISTICS:
        return _STATISTICS[value]
    wanted = NotUnderstoodError(
        f"{' or '.join(_STATISTICS)}, or numbers as mean:0.5/0.4/0.4;std:0.2/0.2/0.2"
    )
    parts = dict(part.partition(":")[::2] for part in value.split(";"))
    if parts.keys() != {"mean", "std"}:
        raise wanted
    mean, std = _numbers(parts["mean"]), _numbers(parts["std"])
    if not mean or len(mean) != len(std) or min(std, default=0) <= 0:
        raise wanted
    return Normalize(mean, std)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(each) for each in text.split("/"))
    except ValueError:
        return ()
    return numbers if np.isfinite(numbers).all() else ()


MAKERS: Mapping[str, tuple[Callable[..., Operation | Normalize], frozenset[str]]] = {
    "resize": (_resize, frozenset()),
    "center-crop": (lambda value: CenterCrop(*_size(value)), frozenset()),
    "random-crop": (_random_crop, frozenset({"pad"})),
    "flip": (_flip, frozenset()),
    "color": (_color, frozenset()),
    "normalize": (_normalize, frozenset()),
}
"""By name: from the value that is written, and settings by name, to an operation; and which settings."""
