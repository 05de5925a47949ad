"""Steps that a GPU repeats from a CUDA graph, which it launches whole in place of each kernel by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# onnxruntime's name for which graph of a session a run captures or repeats.
_GRAPH = "gpu_graph_id"


class CapturedSteps:
    """What a step reads of the host, in memory of the device that stays where it is.

    A graph reads and writes where its kernels did when it was captured, so there is one for each half of what
    changes, and for each shape of a batch. onnxruntime captures it at the first run.

    Args:
        onnxruntime: the module.
        hold: an array to an OrtValue in the device's memory.
    """

    def __init__(self, onnxruntime: Any, hold: Callable[[np.ndarray], Any]) -> None:
        self._onnxruntime = onnxruntime
        self._hold = hold
        self._buffers: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._runs: dict[tuple[int, tuple[tuple[int, ...], ...]], Any] = {}

    def bind(self, binding: Any, half: int, arrays: Mapping[str, np.ndarray]) -> Any:
        """Binds a step's inputs from the host; gives the options to run it with.

        Args:
            binding: of the half that is read.
            half: which it is.
            arrays: by the names of the inputs.
        """
        for name, array in arrays.items():
            held = self._buffers.get((name, array.shape))
            if held is None:
                held = self._buffers[name, array.shape] = self._hold(array)
            else:
                held.update_inplace(np.ascontiguousarray(array))
            binding.bind_ortvalue_input(name, held)
        key = half, tuple(array.shape for array in arrays.values())
        if key not in self._runs:
            options = self._onnxruntime.RunOptions()
            options.add_run_config_entry(_GRAPH, str(len(self._runs) + 1))
            self._runs[key] = options
        return self._runs[key]
