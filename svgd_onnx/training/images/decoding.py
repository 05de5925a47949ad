"""Pictures from files, by Pillow: uint8, (height, width, channels)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, first_line

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff .pbm .pgm .pnm .ppm".split()
)
MOST_PIXELS = 89_478_485
"""Of one picture, from where on Pillow itself warns of decompression bombs: 256 MB in three bytes each."""

# No others, some of which start programs (EPS).
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
# By Pillow's mode, the one to decode to; it has 8 bits a channel. Others would be clipped to that.
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "L",
    "P": "RGB",
    "PA": "RGB",
    "RGB": "RGB",
    "RGBA": "RGB",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}


def pillow() -> Any:
    """The module `PIL.Image`.

    Raises:
        UserError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise UserError(
            "Images need Pillow, which is not installed: pip install 'svgd-onnx[images]'."
        ) from error
    return Image


def decode(content: Path | bytes, called: str) -> np.ndarray:
    """A picture as people see it, turned as its EXIF says; transparency is left out.

    Args:
        content: a file, or what is in it.
        called: what to call it in a message.

    Returns:
        (height, width, 1) of a picture in shades of gray, else (height, width, 3); uint8.

    Raises:
        UserError: it cannot be read, is none of a known format, has more than `MOST_PIXELS`, or more than 8
            bits a channel.
    """
    image_module = pillow()
    from PIL import ImageOps

    if isinstance(content, Path) and not content.is_file():
        raise UserError(f"The image {called} is no file any more: put it back.")
    try:
        source = content if isinstance(content, Path) else io.BytesIO(content)
        with image_module.open(source, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise _too_large(called, f"{width} x {height}")
            mode = _MODES.get(image.mode)
            other = image.mode if mode is None else _deep_mode(image)
            if other is not None:
                raise UserError(
                    f"The image {called} is of mode {other}, and not of 8 bits a channel: convert it."
                )
            picture = ImageOps.exif_transpose(image).convert(mode)
    except UserError:
        raise
    except image_module.DecompressionBombError as error:
        raise _too_large(called, "too many") from error
    except Exception as error:  # each format's reader has its own
        raise UserError(
            f"The image {called} cannot be read ({first_line(error)}): leave it out, or replace it."
        ) from error
    array = np.asarray(picture)
    return array if array.ndim == 3 else array[:, :, None]


def _deep_mode(image: Any) -> str | None:
    """In which form a file has more than 8 bits of a channel of colors, of which Pillow would read 8."""
    for tile in image.tile:
        stored, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if ";16" in str(stored):
            return str(stored)
        if tile[0] == "ppm" and more and more[0] > 255:
            return f"{stored} up to {more[0]:,}"
    return None


def _too_large(called: str, size: str) -> UserError:
    return UserError(
        f"The image {called} has {size} pixels, and {MOST_PIXELS:,} are the most: leave it out, or make it "
        "smaller."
    )


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture in another size: bilinear, over all pixels that fall into one, as Pillow does it.

    Args:
        image: uint8, (height, width, channels).
        height: of the result, in pixels.
        width: of the result, in pixels.
    """
    if image.shape[:2] == (height, width):
        return image
    image_module = pillow()
    planes = image[:, :, 0] if image.shape[2] == 1 else image
    picture = image_module.fromarray(np.ascontiguousarray(planes))
    array = np.asarray(picture.resize((width, height), image_module.Resampling.BILINEAR))
    return array if array.ndim == 3 else array[:, :, None]
