"""A Flower app as a folder: `svgd-onnx federate`."""

from __future__ import annotations

import json
import keyword
import re
import shutil
import sys
from pathlib import Path
from string import Template

from svgd_onnx.errors import UserError
from svgd_onnx.files import PathLike, whole_folder

# Flower's rule for names of apps.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
# What the package of an app would stand in the way of.
_IMPORTED = {"flwr", "numpy", "onnxruntime", "svgd_onnx", *sys.stdlib_module_names}
_TEMPLATE = Path(__file__).parent / "template"
# What it is called there, as tools take each pyproject.toml for one.
_FILLED_IN = {"pyproject.toml": "pyproject.toml.template", "README.md": "README.md"}
_PACKAGE = ("client_app.py", "server_app.py")


def write_app(
    name: str,
    folder: PathLike = ".",
    *,
    artifacts: PathLike = "artifacts",
    data: PathLike = "train.npz",
    test_data: PathLike | None = None,
) -> Path:
    """Writes a Flower app into a new folder of its name: all of it, or nothing.

    Args:
        name: letters, digits and hyphens, up to 32, a letter first. The package in it has `_` for `-`.
        folder: where its folder is made.
        artifacts: the server's; they need not be there yet.
        data: an `.npz` file that simulated clients divide among themselves.
        test_data: what the server evaluates on.

    Returns:
        The folder.

    Raises:
        UserError: the name is none, or something of it is there; or it cannot be written.
    """
    package = _package_of(name)
    path = Path(folder) / name
    if path.exists() or path.is_symlink():
        raise UserError(f"'{path}' exists: choose another name, or remove it.")
    given = {
        "name": name,
        "package": package,
        "artifacts": _text(artifacts),
        "data": _text(data),
        "test_data": '""' if test_data is None else _text(test_data),
    }
    with whole_folder(path, force=False, foreign=lambda _: None) as made:
        for file, source in _FILLED_IN.items():
            text = Template((_TEMPLATE / source).read_text("utf-8")).substitute(given)
            (made / file).write_text(text, "utf-8")
        inner = made / package
        inner.mkdir()
        (inner / "__init__.py").write_text(f'"""{name}."""\n', "utf-8")
        for file in _PACKAGE:
            shutil.copyfile(_TEMPLATE / file, inner / file)
    return path


def _package_of(name: str) -> str:
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' is no name of a Flower app: give a letter, and then letters, digits and hyphens, 32 "
            "characters at most."
        )
    if keyword.iskeyword(package) or package in _IMPORTED:
        raise UserError(f"'{name}' is a name that Python or a package has already: choose another.")
    return package


def _text(path: PathLike) -> str:
    """An absolute path, as an app runs in a folder of Flower's, as a string of TOML."""
    text = str(Path(path).absolute())
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"The path '{text}' is no UTF-8, which pyproject.toml is.") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
