"""The one exception that means "the user can put this right", and what messages have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from math import inf

from svgd_onnx.printable import printable
from svgd_onnx.step_names import unquoted

INTERRUPTED = 130  # the exit code of a program that SIGINT ended
# Around the name of an option in a message. Private to Unicode, so no file has a name like it by chance.
_OPTION = "\ue000{}\ue001"
# What stands for the value of one that is turned off.
_OFF = "\ue004"
_OPTIONS = re.compile("\ue000([a-z0-9_]+)(?:=(.*?))?\ue001", re.DOTALL)


class _Sentence:
    """A message in which options stand as `option` writes them.

    `str` calls them by the name that they have in Python, `on_command_line` by that of the command line.
    Both are `printable`, whatever names from files stand in the message.
    """

    def __str__(self) -> str:
        return printable(_OPTIONS.sub(_keyword, unquoted(super().__str__())))

    def on_command_line(self) -> str:
        """The message, options as flags."""
        return printable(_OPTIONS.sub(_flag, unquoted(super().__str__())))


class UserError(_Sentence, Exception):
    """A mistake in what the user gave: a file, an option, data, an environment.

    The message is one sentence that says what is wrong, where, and what to do about it. The command
    line prints it and exits with code 2; every other exception is a bug of this package.

    Example:
        >>> svgd_onnx.convert("model.onnx", "new", optimizer="adamax")
        Traceback (most recent call last):
        ...
        svgd_onnx.errors.UserError: Unknown optimizer 'adamax': choose from svgd, ...
    """


class Advice(_Sentence, UserWarning):
    """A warning in which options stand as in a `UserError`, for `warnings.warn`."""


def option(name: str, value: str | None = None) -> str:
    """An option in the message of a `UserError`: freeze, or --freeze on the command line.

    Args:
        name: the keyword in Python; the flag is the same with hyphens.
        value: what to give it, if the message says that; granularity='channel', or
            --granularity channel on the command line.
    """
    return _OPTION.format(name if value is None else f"{name}={value}")


def _keyword(found: re.Match[str]) -> str:
    name, value = found.groups()
    if value == _OFF:
        return f"{name}=False"
    return name if value is None else f"{name}={value!r}"


def _flag(found: re.Match[str]) -> str:
    name, value = found.groups()
    flag = f"--{name.replace('_', '-')}"
    if value == _OFF:
        return f"--no-{name.replace('_', '-')}"
    if value is None:
        return flag
    return f"{flag} {value}" if re.fullmatch(r"[\w.:/=-]+", value) else f"{flag} '{value}'"


def without(name: str) -> str:
    """Turning an option off in a message: verify=False, or --no-verify on the command line."""
    return _OPTION.format(f"{name}={_OFF}")


@contextmanager
def of_output(name: str | None) -> Iterator[None]:
    """Around what is done for one of several outputs, whose name then stands before what is refused.

    Raises:
        UserError: as it was, with the name.
    """
    try:
        yield
    except UserError as error:
        if name is None:
            raise
        raise UserError(f"For the output '{name}': {error.args[0]}") from error


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Refuses an option's value that is none of its choices.

    Raises:
        UserError: it is none; the message lists them.
    """
    if value not in choices:
        raise UserError(f"Unknown {option(name)} '{value}': choose from {', '.join(choices)}.")


def check_several(name: str, value: object) -> None:
    """Refuses a string where several are wanted: it would be taken apart into its letters.

    Raises:
        UserError: says how to write it.
    """
    if isinstance(value, str):
        raise UserError(f"{option(name)} is '{value}', but must be a list: ['{value}'].")


def fits_float32(value: float) -> bool:
    """Whether a number is finite as float32, which steps compute with, and 0 only if it is 0."""
    return value == 0 or _SMALLEST <= abs(value) <= LARGEST_FLOAT32


def check_range(name: str, value: float, inside: bool, wanted: str) -> None:
    """Refuses an option's value that is not finite, not inside its range, or none that float32 has.

    Raises:
        UserError: says what is wanted.
    """
    if not (abs(value) < inf and inside):
        raise UserError(f"{option(name)} is {value}, but must be {wanted}.")
    if not fits_float32(value):
        raise UserError(
            f"{option(name)} is {value}, but float32 has numbers from {_SMALLEST:.1e} to "
            f"{LARGEST_FLOAT32:.1e} only."
        )


def listed(items: Iterable[str], most: int = 8) -> str:
    """Items with commas between; of many, the first and how many more there are."""
    names = list(items)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """A number of things: 1 parameter, 2 parameters."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_LONGEST = 200
# The normal numbers of float32.
_SMALLEST, LARGEST_FLOAT32 = 2.0**-126, (2 - 2.0**-23) * 2.0**127


def first_line(error: BaseException) -> str:
    """What another library says went wrong, short enough to stand in a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= _LONGEST else f"{lines[0][:_LONGEST]}…"
