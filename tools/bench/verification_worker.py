"""What `tools.bench.verification` measures, each in a process of its own; prints it as JSON.

    python -m tools.bench.verification_worker convert MODEL FOLDER OPTIONS
    python -m tools.bench.verification_worker batch MODEL OPTIONS BATCH
    python -m tools.bench.verification_worker train FOLDER BATCH

OPTIONS are keywords of `convert` as JSON, BATCH is an .npz file. Needs svgd-onnx and an onnxruntime.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from tools.bench.step_worker import peak
from tools.usual_models.worker import convert_keywords


def convert(model: str, folder: str, options: str) -> dict[str, Any]:
    """Seconds of a conversion without imports, those that its threads worked, and the process's peak."""
    from tools.networks import NETWORKS

    warnings.simplefilter("ignore")
    keywords = convert_keywords(json.loads(options))
    with tempfile.TemporaryDirectory() as other:  # imports
        svgd_onnx.convert(NETWORKS["digits_mlp"](0), f"{other}/warm", target=keywords["target"])
    start, worked = time.perf_counter(), time.process_time()
    svgd_onnx.convert(model, folder, force=True, **keywords)
    return {
        "seconds": time.perf_counter() - start,
        "worked": time.process_time() - worked,
        "bytes": peak(),
    }


def batch(model: str, options: str, output: str) -> dict[str, Any]:
    """Writes a batch of made-up data, of the sizes that verification takes."""
    from svgd_onnx.conversion.loss_changes import LARGE
    from svgd_onnx.gradient_check.check import example_batch

    warnings.simplefilter("ignore")
    keywords = convert_keywords(json.loads(options))
    large = sum(file.stat().st_size for file in files(Path(model))) >= 4 * LARGE
    size = 2 if large else 4
    np.savez(output, **example_batch(model, batch_size=size, **keywords))
    return {}


def train(folder: str, batch: str) -> dict[str, Any]:
    """The peak of a process that trains for three steps, as the command does."""
    from typer.testing import CliRunner

    from svgd_onnx.cli import _app
    from svgd_onnx.training import data

    count = len(
        data.check(data.load(Path(batch)), svgd_onnx.Manifest.load(Path(folder)), "the batch")
    )
    rest = ["--steps", "3", "--batch-size", str(count), "--learning-rate", "1e-4"]
    done = CliRunner().invoke(_app, ["train", folder, "--data", batch, *rest])
    if done.exit_code:
        raise SystemExit(done.output or repr(done.exception))
    return {"bytes": peak()}


def files(model: Path) -> Iterable[Path]:
    """Those of a model, its external data beside it."""
    return model.parent.glob(f"{model.name}*")


COMMANDS = {"convert": convert, "batch": batch, "train": train}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
