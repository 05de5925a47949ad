"""What a model is put through, each in a process of its own.

    python -m tools.usual_models.worker convert MODEL FOLDER OPTIONS
    python -m tools.usual_models.worker train FOLDER BATCH EXPORTED
    python -m tools.usual_models.worker gradients FOLDER BATCH VALUES GRADIENTS
    python -m tools.usual_models.worker batch MODEL OPTIONS BATCH
    python -m tools.usual_models.worker check MODEL OPTIONS BATCH GRADIENTS

OPTIONS are keywords of `convert` as JSON, FOLDER holds artifacts, all others are .npz. Each prints what it
found as JSON. Needs svgd-onnx and an onnxruntime.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from tools.usual_models import memory

STEPS, RATE = 5, 1e-4
LENGTH = 64  # of open axes
# A power of two: after a step of SGD at this rate the parameters are their gradients, times it.
_LARGE_RATE = 2.0**20


def convert(model: str, folder: str, options: str) -> dict[str, Any]:
    """Seconds and memory of a conversion, beyond what the imports took."""
    from tools.networks import NETWORKS

    keywords = convert_keywords(json.loads(options))
    with tempfile.TemporaryDirectory() as other, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        svgd_onnx.convert(NETWORKS["digits_mlp"](0), f"{other}/warm", target=keywords["target"])
    gc.collect()
    memory.forget_peak()
    before, start = memory.resident(), time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        svgd_onnx.convert(model, folder, **keywords)
    return {
        "seconds": time.perf_counter() - start,
        "bytes": memory.peak() - before,
        "warnings": [str(each.message) for each in said],
    }


def convert_keywords(options: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's options as `convert` takes them: those of `LossSettings` are given beside the others."""
    settings = {key: options[key] for key in ("class_axis",) if key in options}
    others = {key: value for key, value in options.items() if key not in settings}
    return {**others, "loss_settings": svgd_onnx.LossSettings(**settings)}


def train(folder: str, batch: str, exported: str) -> dict[str, Any]:
    """The losses of five steps, the seconds of the last, their memory, and how far the export's loss is off."""
    arrays = dict(np.load(batch))
    memory.forget_peak()
    before = memory.resident()
    trainer = svgd_onnx.Trainer(folder, seed=0)
    losses, seconds = [], 0.0
    for _ in range(STEPS):
        start = time.perf_counter()
        losses.append(trainer.train_step(arrays, RATE))
        seconds = time.perf_counter() - start
    taken = memory.peak() - before
    evaluated = trainer.evaluate(arrays)["loss"]
    trainer.export(exported)
    manifest = trainer.manifest
    del trainer
    return {
        "losses": [*losses, evaluated],
        "seconds": seconds,
        "bytes": taken,
        "export": abs(exported_loss(exported, arrays, manifest) - evaluated),
    }


def exported_loss(path: str, arrays: dict[str, np.ndarray], manifest: Any) -> float:
    """The mean cross-entropy (or squared error) of what an exported model says."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    given = {value.name: arrays[value.name] for value in session.get_inputs()}
    (prediction,) = session.run([manifest.prediction], given)
    label, values = arrays[manifest.label.name], prediction.astype(np.float64)
    if manifest.loss == "mse":
        return float(np.mean((values - label) ** 2))
    values = np.moveaxis(values, manifest.loss_settings.class_axis, -1)
    values -= values.max(axis=-1, keepdims=True)
    chances = values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
    return -float(np.mean(np.take_along_axis(chances, label[..., None], -1)))


def gradients(folder: str, batch: str, values: str, output: str) -> dict[str, Any]:
    """Writes each trained parameter before a step of SGD, and its gradient."""
    trainer = svgd_onnx.Trainer(folder, seed=0)
    before, found = first_gradients(trainer, dict(np.load(batch)))
    np.savez(values, **before)
    np.savez(output, **found)
    return {"trained": list(found)}


def first_gradients(
    trainer: svgd_onnx.Trainer, batch: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Trained parameters before a step of SGD, whose artifacts these are, and their gradients; by name."""
    names = [each.name for each in trainer.manifest.parameters if each.trainable]
    before = {name: trainer.tensor(name) for name in names}
    trainer.train_step(batch, _LARGE_RATE)
    return before, {name: (before[name] - trainer.tensor(name)) / _LARGE_RATE for name in names}


def batch(model: str, options: str, output: str) -> dict[str, Any]:
    """Writes a random batch of two."""
    from svgd_onnx.gradient_check.check import example_batch

    keywords = convert_keywords(json.loads(options))
    np.savez(output, **example_batch(model, batch_size=2, random_size={"*": LENGTH}, **keywords))
    return {}


def check(model: str, options: str, batch: str, gradients: str) -> dict[str, Any]:
    """How far gradients are from central differences in float64."""
    from svgd_onnx.conversion.options import TrainingSettings
    from tools.usual_models.directions import largest_error

    settings = TrainingSettings(**convert_keywords(json.loads(options)))
    arrays, found = dict(np.load(batch)), dict(np.load(gradients))
    return {"error": largest_error(Path(model), settings, arrays, found)}


COMMANDS = {
    "convert": convert,
    "train": train,
    "gradients": gradients,
    "batch": batch,
    "check": check,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
