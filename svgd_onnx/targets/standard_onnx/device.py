"""Where a session runs: its execution provider, that one's options, and the memory in which states stay."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.targets.standard_onnx.providers import (
    CPU,
    CPU_PROVIDER,
    CUDA,
    Provider,
    plug_in_devices,
    provider_of,
    refused,
)

_REDIRECTED = threading.Lock()
# The option of ours for a plug-in whose provider has several devices: cpu, gpu or npu.
_HARDWARE = "hardware"
_ERRORS = 3  # what onnxruntime logs: errors, and no warnings
# By which option a provider counts devices of one kind.
_DEVICE_ID = "device_id"
# By which options providers capture a run to repeat it: CUDA, TensorRT, DirectML, WebGPU.
_CUDA_GRAPH = "enable_cuda_graph"
_CAPTURING = (_CUDA_GRAPH, "trt_cuda_graph_enable", "enable_graph_capture", "enableGraphCapture")
_OFF = frozenset({"", "0", "false"})


class Device:
    """An execution provider, as it was asked for.

    Args:
        onnxruntime: the module.
        wanted: as --device has it; None takes CUDA if it is there.
        options: of the provider, by their names there.
        threads: of a step; None leaves them to the provider.

    Attributes:
        name: as --device has it.
        provider: its provider.
        captures: whether steps are to be captured as CUDA graphs.

    Raises:
        UserError: this onnxruntime does not have it, or finds nothing to run it on, or there are options and no
            provider to take them.
    """

    def __init__(
        self,
        onnxruntime: Any,
        wanted: str | None,
        options: Mapping[str, str],
        threads: int | None = None,
    ) -> None:
        self._onnxruntime = onnxruntime
        if options and wanted in (None, CPU.device):
            raise UserError(
                f"{option('device_option')} has {listed(options)}: name the {option('device')} that takes them "
                "(the processor takes none)."
            )
        self.provider = _chosen(onnxruntime) if wanted is None else provider_of(wanted, onnxruntime)
        self.name = self.provider.device
        self._options = dict(options)
        self.captures = self._captures()
        if threads is not None and self.provider.threads is not None:
            self._options.setdefault(self.provider.threads, str(threads))
        self._devices = self._plug_in()
        self._memory = self.provider.memory
        if not _holds_tensors(onnxruntime, self._memory, self._number()):
            self._memory = CPU.memory
        if self.provider is CUDA and self._memory != CUDA.memory:
            raise UserError(
                f"onnxruntime {onnxruntime.__version__} finds no GPU, or not the libraries of "
                "CUDA and cuDNN that it needs: install them, or train with "
                f"{option('device', 'cpu')}."
            )

    def open(self, path: Path, options: Any, *, capture: bool = False) -> Any:
        """A session of this device.

        Args:
            path: of the model.
            options: onnxruntime's SessionOptions, which are changed.
            capture: whether its runs may be captured, if that was asked for.

        Raises:
            UserError: the provider is there and does not run here.
            Exception: of onnxruntime's, where it cannot load the model.
        """
        providers: list[Any] | None = None
        if self._devices:
            options.add_provider_for_devices(self._devices, self._options)
        else:
            providers = [
                (self.provider.name, self._of_session(capture)),
                *((name, self._id()) for name in self.provider.then),
                *([CPU_PROVIDER] if self.provider is not CPU else []),
            ]
        if self.provider is not CPU:
            # why a provider cannot be had is said there alone
            self._onnxruntime.set_default_logger_severity(_ERRORS)
        printed = io.StringIO()  # where a provider fails it says so, and takes the processor
        # and the processor has nothing to say: what the whole process prints is left alone
        with _taking(printed) if self.provider is not CPU else contextlib.nullcontext():
            session = self._onnxruntime.InferenceSession(str(path), options, providers=providers)
        if self.provider.name not in session.get_providers():
            lines = [line for line in printed.getvalue().splitlines() if not line.startswith("***")]
            reason = lines[0] if lines else "its log says why"
            raise refused(self._onnxruntime, self.provider, reason)
        session.disable_fallback()
        return session

    def hold(self, array: np.ndarray) -> Any:
        """An OrtValue of an array, in the memory where states stay."""
        return self._onnxruntime.OrtValue.ortvalue_from_numpy(array, self._memory, self._number())

    def _plug_in(self) -> list[Any]:
        """The device of a plug-in: the first, or the first of the hardware that is asked for."""
        devices = plug_in_devices(self._onnxruntime, self.provider)
        if not devices:
            return []
        kinds = [each.device.type.name.lower() for each in devices]
        wanted = self._options.pop(_HARDWARE, kinds[0]).lower()
        if wanted not in kinds:
            raise UserError(
                f"{option('device_option')} has {_HARDWARE}={wanted}, and {self.provider.name} finds "
                f"{listed(dict.fromkeys(kinds))}: choose from these."
            )
        return [devices[kinds.index(wanted)]]

    def _captures(self) -> bool:
        wanted = [each for each in _CAPTURING if self._options.get(each, "").lower() not in _OFF]
        if wanted and (self.provider is not CUDA or wanted != [_CUDA_GRAPH]):
            raise UserError(
                f"{option('device_option')} has {wanted[0]}, but steps are captured with "
                f"{option('device', CUDA.device)} and {_CUDA_GRAPH}=1 alone: leave it out."
            )
        return bool(wanted)

    def _of_session(self, capture: bool) -> dict[str, str]:
        if capture:
            return self._options
        return {name: value for name, value in self._options.items() if name != _CUDA_GRAPH}

    def _number(self) -> int:
        text = self._options.get(_DEVICE_ID, "0")
        if not text.isdigit():
            raise UserError(
                f"{option('device_option')} has {_DEVICE_ID}={text}, which is no number of a device."
            )
        return int(text)

    def _id(self) -> dict[str, str]:
        return {name: value for name, value in self._options.items() if name == _DEVICE_ID}


@contextlib.contextmanager
def _taking(printed: io.StringIO) -> Iterator[None]:
    """Takes what is printed, by one thread at a time: else another's would stay redirected in the end."""
    with _REDIRECTED, contextlib.redirect_stdout(printed):
        yield


def _chosen(onnxruntime: Any) -> Provider:
    """CUDA where there is one to use, else the processor."""
    built_in = CUDA.name in onnxruntime.get_available_providers()
    return CUDA if built_in and _holds_tensors(onnxruntime, CUDA.memory, 0) else CPU


def _holds_tensors(onnxruntime: Any, memory: str, number: int) -> bool:
    """Whether a device's memory takes tensors and gives them back."""
    if memory == CPU.memory:
        return True
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21: takes those that pip installed
        with _taking(io.StringIO()):  # names what it does not find
            onnxruntime.preload_dlls()
    try:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(1, np.float32), memory, number)
        return bool(value.numpy()[0] == 1)
    except Exception:  # the binding has an exception class for each status
        return False
