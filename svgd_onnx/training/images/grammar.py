"""How changes of pictures are written: `resize=256,random-crop=224,pad=4,flip,normalize=imagenet`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.training.images.operations import (
    MAKERS,
    Normalize,
    NotUnderstoodError,
    Operation,
)


@dataclass(frozen=True)
class Transform:
    """What happens to each picture, in order, and to its pixels at last.

    Attributes:
        operations: of pictures.
        normalize: of pixels; None leaves them from 0 to 1.
    """

    operations: tuple[Operation, ...] = ()
    normalize: Normalize | None = None


def parse_transform(texts: str | Sequence[str]) -> Transform | None:
    """Reads what is to happen to pictures.

    Args:
        texts: items with commas between, or several such texts. An item is the name of an operation, with
            `=` and a value where it takes one, or a setting of the operation before it.

    Returns:
        None where nothing is to happen.

    Raises:
        UserError: an item is unknown, its value is none that it takes, or something follows normalize.
    """
    items = [texts] if isinstance(texts, str) else texts
    written = [item.strip() for text in items for item in text.split(",") if item.strip()]
    made: list[Operation | Normalize] = []
    for name, value, settings in _grouped(written):
        try:
            made.append(MAKERS[name][0](value, **settings))
        except NotUnderstoodError as error:
            shown = "".join(f",{key}={each}" for key, each in settings.items())
            raise UserError(
                f"{option('transform')} has '{name}={value}{shown}', but {name} takes {error}."
            ) from error
    operations = tuple(each for each in made if not isinstance(each, Normalize))
    normalizations = [each for each in made if isinstance(each, Normalize)]
    if len(normalizations) > 1 or (normalizations and not isinstance(made[-1], Normalize)):
        raise UserError(f"{option('transform')} has normalize, which comes last, and once.")
    return Transform(operations, normalizations[0] if normalizations else None) if made else None


def _grouped(items: Sequence[str]) -> list[tuple[str, str, dict[str, str]]]:
    """Operations with their values and settings."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for item in items:
        name, _, value = item.partition("=")
        if name in MAKERS:
            found.append((name, value, {}))
        elif found and name in MAKERS[found[-1][0]][1]:
            found[-1][2][name] = value
        else:
            raise UserError(
                f"{option('transform')} has '{item}', which is unknown: choose from {listed(MAKERS, 20)}."
            )
    return found
