"""What a model is put through, for one target, in a process of its own.

    python -m tools.shipped_models.worker MODEL TARGET OPTIONS

OPTIONS are keywords of `convert` as JSON, with `batch_size` beside them. Each stage prints one line of JSON
when it is done, so that it is known which one a process died in.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch
from tools.shipped_models.source import Source

STEPS, RATE = 5, 1e-5
# Parameters, spread evenly, whose gradients are looked at one by one.
_SAMPLE = 6
# A power of two: after a step of SGD at this rate the parameters are their gradients, times it.
_LARGE_RATE = 2.0**20
_LOSS_SETTINGS = ("class_axis", "from_logits")
_OF_DATA = ("batch_size", "random_size")


def main(path: str, target: str, words: str) -> Iterator[dict[str, Any]]:
    """The stages, each with what it found."""
    options = json.loads(words)
    settings = {
        key: value for key, value in options.items() if key not in (*_LOSS_SETTINGS, *_OF_DATA)
    }
    chosen = {key: options[key] for key in _LOSS_SETTINGS if key in options}
    settings["loss_settings"] = svgd_onnx.LossSettings(**chosen)
    sizes = {"random_size": options.get("random_size", {})}

    unloadable = _does_not_load(path)
    yield {"unloadable": unloadable, "half": _is_half(path)}
    seen = svgd_onnx.inspect(path, target=target, **settings)
    yield {"inspect": seen.obstacle, **_roles(seen)}
    fixed = seen.fixed_batch
    count = options.get("batch_size", fixed.size if fixed is not None else 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            manifest = svgd_onnx.convert(path, folder / "svgd", target=target, **settings, **sizes)
        yield {
            "convert": sum(each.trainable for each in manifest.parameters),
            "said": [str(each.message) for each in said],
            "unverified": manifest.unverified,
        }
        if unloadable is not None:
            return
        batch = example_batch(path, batch_size=count, **settings, **sizes)
        trainer = svgd_onnx.Trainer(folder / "svgd", seed=0, threads=1)
        trainer.export(folder / "untrained.onnx")
        source = Source(Path(path), manifest, batch)
        untrained = Source(folder / "untrained.onnx", manifest, batch)
        yield {"untrained": source.difference(untrained)}
        losses = [trainer.train_step(batch, RATE) for _ in range(STEPS)]
        yield {"steps": losses}
        trainer.export(folder / "trained.onnx")
        exported = Source(folder / "trained.onnx", manifest, batch).loss()
        evaluated = trainer.evaluate(batch)["loss"]
        yield {"export": abs(exported - evaluated), "loss": exported, "evaluated": evaluated}
        del trainer
        plain = {**settings, "optimizer": "sgd", "freeze_bn": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            svgd_onnx.convert(path, folder / "sgd", target=target, verify=False, **plain)
        yield {"differences": _differences(folder / "sgd", untrained, batch)}
    names = [each.name for each in manifest.parameters if each.trainable]
    only = [names[round(place)] for place in np.linspace(0, len(names) - 1, _SAMPLE)]
    try:
        checked = svgd_onnx.check(
            path, target=target, arrays=batch, only=only, directions=1, **settings
        )
    except svgd_onnx.UserError as refusal:
        yield {"unchecked": str(refusal)}
        return
    wrong = {each.parameter: each.error for each in checked if not each.is_right()}
    told = [each.error for each in checked if not each.is_lost]
    yield {"check": max(told, default=math.nan), "wrong": wrong}


def _does_not_load(path: str) -> str | None:
    """What onnxruntime says of the file itself, where it does not load it."""
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error).splitlines()[0]
    return None


def _is_half(path: str) -> bool:
    """Whether parameters are of float16, and what is exported is rounded to it."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors)


def _roles(seen: svgd_onnx.Inspection) -> dict[str, Any]:
    """What is taken for what."""
    return {
        "roles": [
            (each.name, each.shape, each.role, each.reason, each.decide_with)
            for each in seen.tensors
        ]
    }


def _differences(
    folder: Path, model: Source, batch: Mapping[str, np.ndarray]
) -> dict[str, float | None]:
    """How far the first gradients are from central differences of the exported file, by parameter."""
    trainer = svgd_onnx.Trainer(folder, seed=0, threads=1)
    names = [each.name for each in trainer.manifest.parameters if each.trainable]
    before = {name: trainer.tensor(name) for name in names}
    trainer.train_step(batch, _LARGE_RATE)
    gradients = {
        name: (before[name].astype(np.float64) - trainer.tensor(name)) / _LARGE_RATE
        for name in names
    }
    places = np.linspace(0, len(names) - 1, _SAMPLE * 2)
    sample = dict.fromkeys(names[round(place)] for place in places)
    return {name: model.slope_error(name, before[name], gradients[name]) for name in sample}


def _told(stages: Callable[[], Iterator[dict[str, Any]]]) -> int:
    """Prints the stages; 2 after a refusal."""
    try:
        for stage in stages():
            print(json.dumps(stage), flush=True)
    except svgd_onnx.UserError as refusal:
        print(json.dumps({"refused": str(refusal)}))
        return 2
    return 0


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    sys.exit(_told(lambda: main(*sys.argv[1:])))
