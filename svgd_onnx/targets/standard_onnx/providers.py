"""onnxruntime's execution providers, by the names that --device has for them.

What is particular about a provider is an entry in one table. Any other that onnxruntime has goes by its own
name, in small letters: `SomeExecutionProvider` is "some".
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.runtime import installed_packages

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
_SUFFIX = "ExecutionProvider"


@dataclass(frozen=True)
class Provider:
    """An execution provider.

    Attributes:
        device: what --device calls it.
        name: what onnxruntime calls it.
        package: what to install for it, if that is known.
        memory: where states may stay between steps, as OrtValue calls it; "cpu" where they go through the host.
        then: providers that take what it does not, before the processor.
        threads: its option that says how many threads it may have, if it does not heed onnxruntime's.
        is_proven: whether its steps need not be held against those of the processor.
    """

    device: str
    name: str
    package: str | None = None
    memory: str = "cpu"
    then: Sequence[str] = ()
    threads: str | None = None
    is_proven: bool = False


_GPU = "onnxruntime-gpu"
CPU = Provider("cpu", CPU_PROVIDER, is_proven=True)
CUDA = Provider("cuda", CUDA_PROVIDER, _GPU, "cuda", is_proven=True)
_PROVIDERS = (
    CPU,
    CUDA,
    Provider("tensorrt", "TensorrtExecutionProvider", _GPU, "cuda", (CUDA_PROVIDER,)),
    Provider(
        "tensorrt-rtx", "NvTensorRTRTXExecutionProvider", "onnxruntime-ep-nv-tensorrt-rtx", "cuda"
    ),
    # what onnxruntime calls the memory of AMD's devices too
    Provider("rocm", "ROCMExecutionProvider", "onnxruntime-rocm", "cuda"),
    Provider("migraphx", "MIGraphXExecutionProvider", "onnxruntime-migraphx", "cuda"),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        threads="num_of_threads",
    ),
    Provider("coreml", "CoreMLExecutionProvider", "onnxruntime, on a Mac"),
    Provider("directml", "DmlExecutionProvider", "onnxruntime-directml", "dml"),
    Provider("webgpu", "WebGpuExecutionProvider", "onnxruntime-webgpu", "webgpu"),
    Provider("qnn", "QNNExecutionProvider", "onnxruntime-qnn"),
    Provider("xnnpack", "XnnpackExecutionProvider"),
    Provider("cann", "CANNExecutionProvider", "onnxruntime-cann", "cann"),
)
# What stands before a message, once for each layer that it went through.
_WHERE = re.compile(r"^.*\[ONNXRuntimeError\] : \d+ : \w+ : ", re.DOTALL)

_LONGEST = 200

_BY_DEVICE = {each.device: each for each in _PROVIDERS}
_BY_NAME = {each.name: each for each in _PROVIDERS}

# Packages that bring a provider to an onnxruntime that is there already, by get_library_path and get_ep_names.
_PLUG_IN = re.compile(r"onnxruntime_(ep_\w+|qnn)")


def provider_of(device: str, onnxruntime: Any) -> Provider:
    """The provider that a device is of.

    Raises:
        UserError: this onnxruntime has none of the kind; the message lists what it has.
    """
    if device == CPU.device:  # which every onnxruntime has: plug-ins need not be looked for
        return CPU
    there = available(onnxruntime)
    for each in there:
        if each.device == device:
            return each
    names = listed((each.device for each in there), 99)
    known = _BY_DEVICE.get(device)
    if known is None:
        raise UserError(f"Unknown {option('device')} '{device}': choose from {names}.")
    if known.name in _plug_in_devices(onnxruntime):
        raise UserError(
            f"The plug-in of {known.name}, which {option('device', device)} is of, finds no device on this "
            f"machine: choose from {names}."
        )
    if known is CUDA:
        installed = " ".join(installed_packages())
        raise UserError(
            f"This onnxruntime has no CUDA (it has {names}): run pip uninstall -y {installed}, then "
            "pip install 'svgd-onnx[train-gpu]'."
        )
    package = listed(f"{name} {version}" for name, version in installed_packages().items())
    advice = f": install {known.package}, in another environment" if known.package else ""
    raise UserError(
        f"{package} has no {known.name}, which {option('device', device)} is of{advice} (it has {names})."
    )


def available(onnxruntime: Any) -> list[Provider]:
    """What an onnxruntime has, with its plug-ins; the processor first, and then as onnxruntime orders them."""
    plugged = _plug_in_devices(onnxruntime)
    names = dict.fromkeys([CPU_PROVIDER, *onnxruntime.get_available_providers(), *plugged])
    there = [name for name in names if plugged.get(name, True)]  # of a plug-in that finds a device
    return [_BY_NAME.get(name) or Provider(_own_name(name), name) for name in there]


def plug_in_devices(onnxruntime: Any, provider: Provider) -> list[Any]:
    """The devices (OrtEpDevice) of a provider that a plug-in brings; none for one that is built in."""
    return [] if provider is CPU else _plug_in_devices(onnxruntime).get(provider.name, [])


def _own_name(name: str) -> str:
    return name.removesuffix(_SUFFIX).lower()


@functools.cache
def _plug_in_devices(onnxruntime: Any) -> dict[str, list[Any]]:
    """Devices by the name of their provider, of all plug-ins that are installed; they are registered once.

    What onnxruntime has built in is left out.
    """
    found: dict[str, list[Any]] = {}
    built_in = onnxruntime.get_available_providers()  # what is registered joins it
    if not hasattr(onnxruntime, "register_execution_provider_library"):  # from 1.23
        return found
    for module in pkgutil.iter_modules():
        if _PLUG_IN.fullmatch(module.name):
            found.update(_registered(onnxruntime, module.name))
    return {name: devices for name, devices in found.items() if name not in built_in}


def _registered(onnxruntime: Any, module: str) -> dict[str, list[Any]]:
    """A plug-in's devices by provider; nothing where it does not load, as on a machine that it is not for."""
    try:
        plug_in = importlib.import_module(module)
        names = plug_in.get_ep_names()
        # some call their provider as they are registered
        onnxruntime.register_execution_provider_library(names[0], plug_in.get_library_path())
    except Exception:  # each fails in its own way
        return {}
    devices = onnxruntime.get_ep_devices()
    return {name: [each for each in devices if each.ep_name == name] for name in names}


def refused(onnxruntime: Any, provider: Provider, reason: str) -> UserError:
    """What to raise where a provider is there and cannot be used."""
    return UserError(
        f"onnxruntime {onnxruntime.__version__} has {provider.name} and cannot use it here "
        f"({reason_of(reason)}): install what it needs, or train with {option('device', 'cpu')}."
    )


def reason_of(error: Exception | str) -> str:
    """What onnxruntime, or a provider of it, says went wrong, without where in its sources that is.

    Of a provider's long account, which begins with places in its sources, it is the end.
    """
    text = " ".join(_WHERE.sub("", str(error)).split())
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
