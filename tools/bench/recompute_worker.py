"""A process that trains artifacts of the target onnx, for `tools.bench.recompute`.

    python tools/bench/recompute_worker.py train|profile|first FOLDER THREADS SHAPE... [FILE.npz]

`train` does turns as `step_worker.py` does, and prints at the end how far memory went above that of the
opened session; `profile` prints the path of a profile, and leaves the optimized model in FOLDER; `first` writes
the loss of a first step and the gradients, of artifacts with the optimizer momentum.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from step_worker import batch, peak, serve

from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession


def main() -> None:
    what, folder, threads, *rest = sys.argv[1:]
    path = Path(folder)
    manifest = Manifest.load(path)
    shape = [int(size) for size in rest if size.isdigit()]
    arrays = batch(shape)
    if what == "profile":
        _profile(path, manifest, int(threads), arrays)
        return
    session = InferenceTrainingSession(path, manifest, int(threads), "cpu")
    if what == "first":
        names = [parameter.name for parameter in manifest.parameters if parameter.trainable]
        loss = session.train_step(arrays, 1.0)
        # the momentum, which was 0
        gradients = {name: session.tensor(f"{name}.momentum") for name in names}
        np.savez(rest[-1], **gradients, **{"the loss": np.array(loss)})
        return
    opened = peak()
    serve(lambda: session.train_step(arrays, 1e-4), lambda: peak() - opened)


def _profile(path: Path, manifest: Manifest, threads: int, arrays: tuple[np.ndarray, ...]) -> None:
    options = onnxruntime.SessionOptions
    onnxruntime.SessionOptions = lambda: _saving(options(), path / "optimized.onnx")
    session = InferenceTrainingSession(path, manifest, threads, "cpu", path / "profile")
    onnxruntime.SessionOptions = (
        options  # others are opened later, such as that which gives memory back
    )
    for _ in range(2):
        session.train_step(arrays, 1e-4)
    print(session.end_profile())


def _saving(options: onnxruntime.SessionOptions, path: Path) -> onnxruntime.SessionOptions:
    options.optimized_model_filepath = str(path)
    return options


if __name__ == "__main__":
    main()
