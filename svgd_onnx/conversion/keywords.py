"""Flat keywords for settings: a function that takes the fields of dataclasses as keywords of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
Settings = TypeVar("Settings")


def keywords_of(*kinds: type) -> Callable[[Function], Function]:
    """Lets a function with `**settings` take the fields of some dataclasses, and shows them in its signature.

    A new field is then a new keyword. Of none of them a keyword is a TypeError, as of any function.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        of_fields = [
            parameter for kind in kinds for parameter in inspect.signature(kind).parameters.values()
        ]
        taken = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in of_fields]
        known = {each.name for each in (*own, *taken)}

        @functools.wraps(function)
        def checked(*arguments: Any, **keywords: Any) -> Any:
            for name in keywords:
                if name not in known:
                    raise TypeError(
                        f"{function.__name__}() got an unexpected keyword argument '{name}'"
                    )
            return function(*arguments, **keywords)

        vars(checked)["__signature__"] = signature.replace(parameters=[*own, *taken])
        return cast(Function, checked)

    return decorate


def take(kind: type[Settings], keywords: dict[str, Any]) -> Settings:
    """A dataclass from the keywords that are its fields, which are taken out; defaults for the others."""
    names = [each.name for each in fields(cast(Any, kind))]
    return kind(**{name: keywords.pop(name) for name in names if name in keywords})
