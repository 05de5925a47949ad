"""From JSON to dataclasses: every field of the type that it is declared with, or nothing is made."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

_Made = TypeVar("_Made")


class MisfitError(Exception):
    """What does not fit: a phrase such as "'inputs[0].dtype' is a number"."""


def read(kind: type[_Made], content: object, place: str = "") -> _Made:
    """Makes a dataclass of what `json.loads` gave; fields that are missing take their defaults.

    Args:
        kind: the dataclass. Its fields are of str, int, float, bool, None, dataclasses, lists, tuples and
            dictionaries of these, and unions.
        content: of a JSON object.
        place: where in the file that is, for messages.

    Raises:
        MisfitError: a field is missing, unknown, or of another type.
    """
    if not isinstance(content, dict):
        raise MisfitError(f"'{place}' is no object" if place else "it is no object")
    hints = _hints(typing.cast("Hashable", kind))
    declared = fields(kind)  # type: ignore[arg-type]
    unknown = content.keys() - {field.name for field in declared}
    if unknown:
        raise MisfitError(f"'{_inner(place, min(unknown))}' is unknown")
    values = {}
    for field in declared:
        where = _inner(place, field.name)
        if field.name in content:
            values[field.name] = _value(hints[field.name], content[field.name], where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise MisfitError(f"'{where}' is missing")
    return kind(**values)


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, content: object, place: str) -> Any:
    if hint in _PLAIN:
        if not _PLAIN[hint](content):
            raise MisfitError(f"'{place}' is {_shown(content)}")
        return content
    if is_dataclass(hint):
        return read(typing.cast("type[Any]", hint), content, place)
    return _CONTAINERS[typing.get_origin(hint)](typing.get_args(hint), content, place)


def _list(of: tuple[Any, ...], content: object, place: str) -> list[Any]:
    if not isinstance(content, list):
        raise MisfitError(f"'{place}' is no list")
    return [_value(of[0], item, f"{place}[{index}]") for index, item in enumerate(content)]


def _tuple(of: tuple[Any, ...], content: object, place: str) -> tuple[Any, ...]:
    return tuple(_list(of, content, place))


def _dict(of: tuple[Any, ...], content: object, place: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise MisfitError(f"'{place}' is no object")
    return {name: _value(of[1], item, _inner(place, name)) for name, item in content.items()}


def _union(of: tuple[Any, ...], content: object, place: str) -> Any:
    """The first that fits; what does not fit the last is what is wrong."""
    for kind in of[:-1]:
        try:
            return _value(kind, content, place)
        except MisfitError as error:
            if content is not None and of[-1] is type(None):
                raise error
    return _value(of[-1], content, place)


_PLAIN: Mapping[Any, Callable[[object], bool]] = {
    str: lambda content: isinstance(content, str),
    int: lambda content: isinstance(content, int) and not isinstance(content, bool),
    float: lambda content: isinstance(content, int | float) and not isinstance(content, bool),
    bool: lambda content: isinstance(content, bool),
    type(None): lambda content: content is None,
}
_CONTAINERS: Mapping[Any, Callable[[tuple[Any, ...], object, str], Any]] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    types.UnionType: _union,
    typing.Union: _union,
}


def _inner(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _shown(content: object) -> str:
    text = repr(content)
    return text if len(text) <= 40 else f"{text[:40]}…"
