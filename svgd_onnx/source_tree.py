"""A clone of the repository, in which transforms/ lies beside this package and not in it.

Only installing puts it inside. A Python that is started in the top folder of a clone, though, takes
this package from there, even where one is installed, and with an installed library it is complete.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_NAME = f"{__package__}.transforms"
_FOLDER = Path(__file__).resolve().parents[1] / "transforms"


class _TransformsBeside:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        folder = [str(_FOLDER)]
        return spec_from_file_location(
            name, _FOLDER / "__init__.py", submodule_search_locations=folder
        )


def find_transforms() -> None:
    """Lets the folder transforms/ beside this package be imported as part of it.

    It is looked for there last: what was installed, editable or not, goes before.
    """
    if _TransformsBeside not in sys.meta_path and (_FOLDER / "__init__.py").is_file():
        sys.meta_path.append(_TransformsBeside)
