"""A process that profiles steps of the target onnx, for `tools.bench.profile_step`.

    python tools/bench/profile_worker.py FOLDER KERNELS THREADS STEPS SHAPE...

Needs svgd-onnx and an onnxruntime. Prints the path of the profile, which lies beside FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from step_worker import batch

from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession


def main() -> None:
    folder, kernels, threads, steps, *shape = sys.argv[1:]
    path = Path(folder)
    session = InferenceTrainingSession(
        path,
        Manifest.load(path),
        int(threads),
        "cpu",
        path.with_name("profile"),
        kernels=kernels,
    )
    arrays = batch([int(size) for size in shape])
    for _ in range(int(steps)):
        session.train_step(arrays, 1e-4)
    print(session.end_profile())


if __name__ == "__main__":
    main()
