"""T inside an onnxruntime session: its results against float64, on the device that is asked for.

    python tools/gpu/session.py LIBRARY [--provider CUDAExecutionProvider]

Needs onnxruntime (or onnxruntime-gpu), onnx and numpy, not this package. dY, r and the results stay on the
device. Prints the time of a run, and exits with 1 if a result is wrong or T ran elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

RHO, EPSILON, SCALE = 0.9, 1e-6, 0.1
SHAPES = [((128, 256), None), ((128, 16, 32, 32), None), ((128, 16, 32, 32), 1), ((4096, 768), 1)]
RUNS = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--provider", default="CUDAExecutionProvider")
    arguments = parser.parse_args()
    print(f"onnxruntime {onnxruntime.__version__}, {arguments.provider}")
    wrong = 0
    for shape, axis in SHAPES:
        error, seconds, provider = _run(arguments.library, arguments.provider, shape, axis)
        right = error < 5e-6 and provider == arguments.provider
        wrong += not right
        granularity = "element" if axis is None else "channel"
        print(
            f"{'ok' if right else 'WRONG'}: dY {shape}, r by {granularity}: error {error:.1e}, "
            f"{1e6 * seconds:.0f} µs a run, on {provider}"
        )
    return 1 if wrong else 0


def _run(
    library: str, provider: str, shape: tuple[int, ...], axis: int | None
) -> tuple[float, float, str]:
    """The largest relative error after three steps, seconds of a run, and where T ran."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library)
    options.enable_profiling = True
    attributes = {"rho": RHO, "epsilon": EPSILON, "scale": SCALE}
    if axis is not None:
        attributes["channel_axis"] = axis
    node = helper.make_node(
        "VirtualGradient", ["dy", "r"], ["out", "r_new"], domain="ai.svgd", **attributes
    )
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("dy", "r", "out", "r_new")
    }
    graph = helper.make_graph(
        [node], "t", [infos["dy"], infos["r"]], [infos["out"], infos["r_new"]]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[provider])
    device = "cuda" if provider.startswith("CUDA") else "cpu"
    random = np.random.default_rng(0)
    dy = random.normal(scale=0.01, size=shape).astype(np.float32)
    expected_r = np.zeros(shape[1:] if axis is None else (shape[axis],))
    values = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0)
        for name, array in (
            ("dy", dy),
            ("out", np.zeros_like(dy)),
            ("r", expected_r.astype(np.float32)),
        )
    }
    binding = session.io_binding()
    binding.bind_ortvalue_input("dy", values["dy"])
    binding.bind_ortvalue_input("r", values["r"])
    binding.bind_ortvalue_output("out", values["out"])
    binding.bind_ortvalue_output("r_new", values["r"])
    axes = (0,) if axis is None else tuple(i for i in range(dy.ndim) if i != axis)
    for _ in range(3):
        session.run_with_iobinding(binding)
        expected_r = RHO * expected_r + (1 - RHO) * np.mean(dy.astype(np.float64) ** 2, axis=axes)
    factor = SCALE / np.sqrt(expected_r + EPSILON)
    if axis is not None:
        factor = factor.reshape(-1, *[1] * (dy.ndim - 1 - axis))
    errors = (
        np.abs(values["r"].numpy() / expected_r - 1).max(),
        np.abs(values["out"].numpy() - dy * factor).max() / np.abs(dy * factor).max(),
    )
    start = time.perf_counter()
    for _ in range(RUNS):
        session.run_with_iobinding(binding)
    seconds = (time.perf_counter() - start) / RUNS
    profile = Path(session.end_profiling())
    events = json.loads(profile.read_text())
    profile.unlink()
    providers = {
        event["args"]["provider"]
        for event in events
        if event.get("args", {}).get("op_name") == "VirtualGradient"
    }
    return float(max(errors)), seconds, "/".join(sorted(providers))


if __name__ == "__main__":
    sys.exit(main())
