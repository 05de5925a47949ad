"""A clone of the repository, in which transforms/ lies beside this package and not in it.

Only installing puts it inside. A Python that is started in the top folder of a clone, though, takes
this package from there, even where one is installed, and with an installed library it is complete.
"""

from __future__ import annotations

import os
import sys

# ruff: noqa: PTH113, PTH118, PTH120
# As in __init__.py, nothing is imported here that takes time, as pathlib does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAME = f"{__package__}.transforms"
_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "transforms")
_FIRST = os.path.join(_FOLDER, "__init__.py")


class _TransformsBeside:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, _FIRST, submodule_search_locations=[_FOLDER])


def find_transforms() -> None:
    """Lets the folder transforms/ beside this package be imported as part of it.

    It is looked for there last: what was installed, editable or not, goes before.
    """
    if _TransformsBeside not in sys.meta_path and os.path.isfile(_FIRST):
        sys.meta_path.append(_TransformsBeside)
