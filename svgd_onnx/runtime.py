"""The onnxruntime that is installed: which package it came from, and its training layer.

`import onnxruntime.training` imports PyTorch (through its `optim` module), so this package talks to
the binding layer underneath, `onnxruntime.capi._pybind_state`. onnxruntime-training 1.19.2 is the
last release of its line, so that layer does not move any more.
"""

from __future__ import annotations

import functools
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from svgd_onnx.errors import UserError, option
from svgd_onnx.version import __version__

# Every one of these installs the same package folder, `onnxruntime`; the last one installed wins.
_TRAINING_PACKAGES = ("onnxruntime-training-cpu", "onnxruntime-training")
_PACKAGES = (
    *_TRAINING_PACKAGES,
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-rocm",
    "onnxruntime-webgpu",
    "onnxruntime-cann",
    "onnxruntime-trt-rtx",
    "onnxruntime-silicon",
)

_INSTALL = "pip install 'svgd-onnx[ort-training]'"
_INSTALL_STOCK = "pip install 'svgd-onnx[train]'"


def installed_packages() -> dict[str, str]:
    """Versions of the installed packages that provide the `onnxruntime` folder, by package name."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def training_is_installed() -> bool:
    """Whether there is an onnxruntime with a training layer, in working order or not."""
    return any(name in _TRAINING_PACKAGES for name in installed_packages())


def check_packages(found: dict[str, str], *, training: bool = True) -> None:
    """Refuse an environment in which onnxruntime cannot work.

    Args:
        found: installed onnxruntime packages, as `installed_packages` returns them.
        training: whether its training layer is needed.

    Raises:
        UserError: no package, several that overwrite each other, or one without training.
    """
    install = _INSTALL if training else _INSTALL_STOCK
    if not found:
        raise UserError(f"onnxruntime is not installed: run {install}.")
    if len(found) > 1:
        names = " ".join(sorted(found))
        raise UserError(
            f"{' and '.join(sorted(found))} are installed together and overwrite each other's "
            f"files: run pip uninstall -y {names}, then {install}."
        )
    (name,) = found
    if training and name not in _TRAINING_PACKAGES:
        raise UserError(
            f"{name} {found[name]} is installed, which has no training: "
            f"use {option('target', 'onnx')}, which it trains; or, with Python up to 3.12 and not on Linux on "
            f"ARM, run pip uninstall -y {name}, then {_INSTALL}."
        )


@functools.cache
def inference_runtime() -> Any:
    """The module `onnxruntime`, of whichever package.

    Raises:
        UserError: the environment has none that works.
    """
    check_packages(installed_packages(), training=False)
    return _import()


@functools.cache
def training_binding() -> Any:
    """onnxruntime's binding layer, with its training classes.

    Raises:
        UserError: the environment has no onnxruntime that can train.
    """
    check_packages(installed_packages())
    onnxruntime = _import()
    from onnxruntime.capi import _pybind_state

    if not hasattr(_pybind_state, "GradientGraphBuilder"):
        raise UserError(
            "The onnxruntime folder was overwritten by a package without training: run "
            f"pip uninstall -y {' '.join(_PACKAGES)}, then {_INSTALL}."
        )
    # The default logger of the training build prints every graph transformation, and with errors, which are
    # raised too, names from files as they are.
    onnxruntime.set_default_logger_severity(4)
    return _pybind_state


def has_training() -> bool:
    """Whether there is an onnxruntime with a training layer, and nothing else in its way."""
    try:
        training_binding()
    except UserError:
        return False
    return True


def _import() -> Any:
    try:
        import onnxruntime
        from onnxruntime.capi import _pybind_state  # noqa: F401
    except ImportError as error:
        raise UserError(f"onnxruntime does not import ({error}): reinstall it with pip.") from error
    return onnxruntime


def custom_op_library() -> Path:
    """Path of the shared library that registers the operators of the domain `ai.svgd`.

    Give it to `SessionOptions.register_custom_ops_library` before loading artifacts that were
    converted with the `fused` kernel.

    Returns:
        Where it lies.

    Raises:
        UserError: the package was installed without its library, or in another version than this.

    Example:
        >>> svgd_onnx.custom_op_library().suffix in (".so", ".dylib", ".dll")
        True
    """
    found = _find_library()
    if found is not None:
        return found
    installed = _installed_version()
    otherwise = f"or convert with {option('t_kernel', 'portable')}, which needs no library."
    if installed not in (None, __version__):
        raise UserError(
            f"The custom operator library that is installed is that of svgd-onnx {installed}, and "
            f"this is {__version__}: install this version, {otherwise}"
        )
    raise UserError(
        "The custom operator library is missing from the installed package: reinstall svgd-onnx "
        f"where there is a C++ compiler, {otherwise}"
    )


def has_custom_op_library() -> bool:
    """Whether `custom_op_library` has one to give: without a C++ compiler none is installed."""
    return _find_library() is not None


_DISTRIBUTION = "svgd-onnx"
_LIBRARY = re.compile(r"(lib)?svgd_onnx_custom_ops\.(so|dylib|dll)")


def _find_library() -> Path | None:
    return next((file for file in Path(__file__).parent.iterdir() if _is_library(file)), None) or (
        _installed_library()
    )


@functools.cache  # packages are not installed meanwhile, and to read what one consists of takes milliseconds
def _installed_library() -> Path | None:
    # A clone, and an editable install, are not where the library was installed. That of another
    # version is not taken: its operators may have other attributes.
    if _installed_version() != __version__:
        return None
    files = (Path(str(file.locate())) for file in metadata.files(_DISTRIBUTION) or ())
    return next((file for file in files if _is_library(file)), None)


def _is_library(file: Path) -> bool:
    return _LIBRARY.fullmatch(file.name) is not None and file.is_file()


def _installed_version() -> str | None:
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
