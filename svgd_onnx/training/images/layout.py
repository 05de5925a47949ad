"""From pictures to the array that a model's input wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Dimension, Tensor
from svgd_onnx.training.images.grammar import Transform
from svgd_onnx.training.images.operations import luminance

_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Layout:
    """How an input has a picture.

    Attributes:
        axes: of (channels, height, width) as 0, 1 and 2, in its order; gray pictures may lack channels,
            and be one row of pixels (no axes).
        channels: 1 or 3; None for as many as the picture has.
    """

    axes: tuple[int, ...]
    channels: int | None


# By what an example is like.
_FIRST, _LAST, _NONE, _ROW = (0, 1, 2), (1, 2, 0), (1, 2), ()


def layout_of(tensor: Tensor) -> Layout:
    """How an input has pictures.

    Raises:
        UserError: it takes none: its examples have more than three axes, none, or other channels than 1 or 3.
    """
    sizes = [size for axis, size in enumerate(tensor.shape) if axis != tensor.batch_axis]
    if len(sizes) == 3:
        first, last = (sizes[at] in _CHANNELS for at in (0, 2))
        channels_last = (last and not first) or (not first and isinstance(sizes[0], int))
        channels: Dimension = sizes[2] if channels_last else sizes[0]
        if not isinstance(channels, int) or channels in _CHANNELS:
            axes = _LAST if channels_last else _FIRST
            return Layout(axes, channels if isinstance(channels, int) else None)
    if len(sizes) in (1, 2):
        return Layout(_NONE if len(sizes) == 2 else _ROW, 1)
    raise UserError(
        f"Input '{tensor.name}' of shape {tensor.shape} takes no images of 1 or 3 channels."
    )


def picture(image: np.ndarray, layout: Layout, *, decoded: bool = False) -> np.ndarray:
    """An array of one picture as (height, width, channels), with the channels that an input wants.

    Args:
        image: uint8: (height, width), or with 1, 3 or 4 channels, last or first.
        layout: of the input.
        decoded: whether it comes from a file, and so has its channels last.

    Raises:
        UserError: it is no picture.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    elif image.ndim == 3:
        first, last = (image.shape[at] in (*_CHANNELS, 4) for at in (0, 2))
        if first and (not last or (layout.axes == _FIRST and not decoded)):
            image = image.transpose(1, 2, 0)
    if image.ndim != 3 or image.shape[2] not in (*_CHANNELS, 4) or not image.size:
        raise UserError(f"it is of shape {image.shape}, which is no image of 1, 3 or 4 channels")
    image = image[:, :, :3]
    if layout.channels == 3 and image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if layout.channels == 1 and image.shape[2] == 3:
        return np.asarray(np.rint(luminance(image.astype(np.float32))), np.uint8)
    return image


def as_input(
    images: Sequence[np.ndarray], tensor: Tensor, layout: Layout, transform: Transform
) -> np.ndarray:
    """Pictures as an array for an input, examples along the first axis.

    Args:
        images: uint8, each (height, width, channels).
        tensor: the input. Pixels are from 0 to 255 where it takes integers, else from 0 to 1, and normalized.
        layout: of the input.
        transform: whose operations have been done.

    Raises:
        UserError: the pictures differ in size, or in that from the input; or normalize does not fit.
    """
    _check_sizes(images, tensor, layout)
    planes = np.moveaxis(np.stack(images), 3, 1)
    if np.dtype(tensor.dtype).kind == "f":
        planes = _normalized(planes, transform)
    elif transform.normalize is not None:
        raise UserError(f"Input '{tensor.name}' takes {tensor.dtype}: leave normalize out.")
    else:
        planes = planes.astype(tensor.dtype)
    if layout.axes == _ROW:
        return planes.reshape(len(planes), -1)
    if layout.axes == _NONE:
        return np.ascontiguousarray(planes[:, 0])
    return np.ascontiguousarray(planes.transpose(0, *(axis + 1 for axis in layout.axes)))


def _normalized(planes: np.ndarray, transform: Transform) -> np.ndarray:
    """float32 of uint8, (examples, channels, height, width): by a table of what each of 256 shades becomes."""
    channels = planes.shape[1]
    shades = np.arange(256, dtype=np.float32)[:, None] / 255
    if transform.normalize is not None:
        mean, std = (
            np.array(each, np.float32)
            for each in (transform.normalize.mean, transform.normalize.std)
        )
        if mean.size not in (1, channels):
            raise UserError(
                f"{option('transform')} normalizes {mean.size} channels, but images have {channels}."
            )
        shades = (shades - mean) / std
    tables = np.broadcast_to(shades, (256, channels)).T
    normalized = np.empty(planes.shape, np.float32)
    for channel, table in enumerate(tables):
        normalized[:, channel] = table.take(planes[:, channel])
    return normalized


def _check_sizes(images: Sequence[np.ndarray], tensor: Tensor, layout: Layout) -> None:
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        (one, other) = (
            f"{height} x {width} x {channels}" for height, width, channels in shapes[:2]
        )
        raise UserError(
            f"Images for '{tensor.name}' differ in size ({one} and {other}): make them alike with "
            f"{option('transform', 'resize=224x224')}, or another size."
        )
    height, width, channels = shapes[0]
    sizes = [size for axis, size in enumerate(tensor.shape) if axis != tensor.batch_axis]
    if layout.axes == _ROW:
        given, wanted = [height * width], sizes
    else:
        wanted = [sizes[layout.axes.index(axis)] for axis in (1, 2)]
        given = [height, width]
    if any(isinstance(want, int) and want != have for want, have in zip(wanted, given)):
        shown = " x ".join(map(str, wanted))
        raise UserError(
            f"Images for '{tensor.name}' have {height} x {width} pixels (height x width), but the model wants "
            f"{shown}: bring them there with {option('transform')}, as resize or center-crop do."
        )
