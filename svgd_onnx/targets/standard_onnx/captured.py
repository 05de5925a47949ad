"""Steps that a GPU repeats from a CUDA graph, which it launches whole in place of each kernel by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# onnxruntime's name for which graph of a session a run captures or repeats.
_GRAPH = "gpu_graph_id"

Sizes = dict[str, int]


class CapturedSteps:
    """The steps of batches that have the shapes of the first.

    A graph reads and writes where its kernels did when it was captured, so what a step reads of the host goes
    into memory of the device that stays, and there is a graph for each half of what changes. Nothing may be
    computed on the processor meanwhile: with the sizes of the first batch no sizes are left to compute.

    Args:
        onnxruntime: the module.
        hold: an array to an OrtValue in the device's memory.
        open_session: opens the step for open axes of these sizes, by their names.
        bind: the bindings of a session: one reads the first half and writes the second, one the other way.
    """

    def __init__(
        self,
        onnxruntime: Any,
        hold: Callable[[np.ndarray], Any],
        open_session: Callable[[Sizes], Any],
        bind: Callable[[Any], Sequence[Any]],
    ) -> None:
        self._onnxruntime = onnxruntime
        self._hold = hold
        self._open = open_session
        self._bind = bind
        self._session: Any = None
        self._bindings: Sequence[Any] = ()
        self._options: Sequence[Any] = ()
        self._held: dict[str, Any] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def begin(self, arrays: Mapping[str, np.ndarray], axes: Mapping[str, Any]) -> None:
        """Opens the session, once: what follows is captured where it has the shapes of this batch.

        Args:
            arrays: what a step reads of the host, by the names of its inputs.
            axes: of these inputs, as onnxruntime gives shapes: sizes, and names of open ones.
        """
        if self._session is not None:
            return
        pairs = (pair for name, array in arrays.items() for pair in zip(axes[name], array.shape))
        self._session = self._open({axis: size for axis, size in pairs if isinstance(axis, str)})
        self._held = {name: self._hold(array) for name, array in arrays.items()}
        self._bindings = self._bind(self._session)
        for binding in self._bindings:
            for name, held in self._held.items():
                binding.bind_ortvalue_input(name, held)
        self._options = [self._graph(half) for half in range(len(self._bindings))]
        self._shapes = {name: array.shape for name, array in arrays.items()}

    def run(self, half: int, arrays: Mapping[str, np.ndarray]) -> bool:
        """Makes a step, from the half that is read to the other; False where the batch is of other shapes.

        Args:
            half: 0 or 1, which is read.
            arrays: as for `begin`.
        """
        if {name: array.shape for name, array in arrays.items()} != self._shapes:
            return False
        for name, array in arrays.items():
            self._held[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(self._bindings[half], self._options[half])
        return True

    def _graph(self, half: int) -> Any:
        options = self._onnxruntime.RunOptions()
        options.add_run_config_entry(_GRAPH, str(half + 1))
        return options
