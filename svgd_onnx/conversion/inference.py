"""Run a model on arrays, in onnxruntime."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.runtime import inference_runtime
from svgd_onnx.threads import session_threads
from svgd_onnx.transforms.bodies import all_nodes


class NotRunError(UserError):
    """onnxruntime does not take a model, or not this data."""


# Of a value: larger ones are not tried on made-up data.
MOST_BYTES = 1 << 29
# What onnxruntime calls the types of tensors.
_ELEMENTS = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
}
# How long a model may run on made-up data that has a Loop, which may turn for ever.
_MOST_SECONDS = 3.0


# Of more nodes: to rewrite them for speed takes onnxruntime longer than the few runs that a session is for.
_MANY_NODES = 10_000


def options_for_few_runs(onnxruntime: Any, nodes: int) -> Any:
    """Options of a session of a graph of so many nodes, which runs a few times."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is raised says it too
    options.intra_op_num_threads = session_threads()
    options.enable_mem_pattern = (
        False  # planning it compares each value with all that live beside it
    )
    if nodes > _MANY_NODES:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def open_session(onnxruntime: Any, model: bytes | str, *, nodes: int = 0, fold: bool = True) -> Any:
    """A session on the processor, of a model or a file; raises what onnxruntime raises.

    Without `fold` nothing is computed ahead, where it only matters whether the model is loaded.
    """
    options = options_for_few_runs(onnxruntime, nodes)
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=None if fold else ["ConstantFolding"],
    )


def run(
    model: ir.Model, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Some outputs of a model; it is fed what it has inputs for.

    Raises:
        NotRunError: onnxruntime cannot run it, or not on this data; or it has a Loop, and takes too long.
        UserError: there is no onnxruntime.
    """
    runtime = inference_runtime()
    try:
        session = open_session(
            runtime, ir.to_proto(model).SerializeToString(), nodes=len(model.graph)
        )
    except Exception as error:  # the binding has an exception class for each status
        raise NotRunError(f"onnxruntime cannot run the model ({first_line(error)}).") from error
    names = {value.name for value in session.get_inputs()}
    given = {name: array for name, array in feeds.items() if name in names}
    loops = any(node.op_type == "Loop" for node in all_nodes(model.graph))
    options = runtime.RunOptions()
    options.log_severity_level = 4
    try:
        with _ended_in_time(options) if loops else nullcontext():
            results: list[np.ndarray] = session.run(list(outputs), given, options)
    except Exception as error:
        if options.terminate:
            raise NotRunError(
                f"The model has a Loop, and had not ended after {_MOST_SECONDS:g} seconds."
            ) from error
        raise NotRunError(
            f"onnxruntime cannot run the model on this data ({first_line(error)}): give data that fits "
            f"it with {option('data')}, {option('batch_size')} or {option('random_size')}."
        ) from error
    return results


def refused_on_ones(onnxruntime: Any, session: Any) -> str | None:
    """What onnxruntime has against a run on ones, open axes being 2; None if nothing, or of many or none."""
    given = {}
    for each in session.get_inputs():
        sizes = [size if isinstance(size, int) else 2 for size in each.shape]
        dtype = _ELEMENTS.get(each.type)
        # of none a recurrent layer ends the process
        if dtype is None or not prod(sizes) or prod(sizes) * np.dtype(dtype).itemsize > MOST_BYTES:
            return None
        given[each.name] = np.ones(sizes, dtype)
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    try:
        with _ended_in_time(options):
            session.run(None, given, options)
    except Exception as error:
        return None if options.terminate else first_line(error)
    return None


@contextmanager
def _ended_in_time(options: Any) -> Iterator[None]:
    """Ends what runs with these options, once it has taken too long."""
    timer = threading.Timer(_MOST_SECONDS, setattr, (options, "terminate", True))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
