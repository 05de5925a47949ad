"""Losses of onnxruntime's training session, and the artifacts of the target onnx to repeat them.

    python -m tools.runtimes.prepare FOLDER [--only GLOB] [--steps 20]

For each of the paper's networks and each fixture of a real exporter: FOLDER/NAME/artifacts, batch.npz and
expected.json with the losses of SVGD on that batch. `tools/runtimes/compare.py` takes it from there, in an
environment without training.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch
from tools.fixtures.trainings import SIZES, options_for
from tools.networks import NETWORKS

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
LEARNING_RATE = 0.05
# At that rate BatchNormalization on noise amplifies rounding until nothing can be compared: the last bit
# of the weights changes the training session's own losses by a percent within 20 steps.
LEARNING_RATES = {"paper_vgg": 0.005, "paper_resnet20": 0.0005, "small_transformer": 0.0005}
BATCH_SIZE = {"paper_mlp": 32, "paper_vgg": 16, "paper_resnet20": 16, "small_transformer": 8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="a glob for names")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    sources: dict[str, Callable[[], Any]] = {
        name: lambda name=name: NETWORKS[name](0) for name in BATCH_SIZE
    }
    sources.update({path.stem: lambda path=path: path for path in sorted(FIXTURES.glob("*.onnx"))})
    for name, source in sources.items():
        if fnmatch.fnmatch(name, arguments.only):
            _prepare(name, source(), arguments.folder / name, arguments.steps)


def _prepare(name: str, model: Any, folder: Path, steps: int) -> None:
    options = options_for(name)
    sizes = {} if name in BATCH_SIZE else SIZES
    batch = example_batch(model, batch_size=BATCH_SIZE.get(name, 4), random_size=sizes, **options)
    svgd_onnx.convert(model, folder / "artifacts", target="onnx", force=True, **options)
    step = onnx.load(folder / "artifacts" / "training_step.onnx")
    domains = {node.domain for node in step.graph.node}
    if domains != {""}:
        raise SystemExit(f"{name} has operators of {domains}")
    rate = LEARNING_RATES.get(name, LEARNING_RATE)
    with tempfile.TemporaryDirectory() as temporary:
        svgd_onnx.convert(model, Path(temporary) / "a", **options)
        trainer = svgd_onnx.Trainer(Path(temporary) / "a", threads=1)
        losses = [trainer.train_step(batch, rate) for _ in range(steps)]
    np.savez(folder / "batch.npz", **batch)
    expected = {"learning_rate": rate, "losses": losses}
    (folder / "expected.json").write_text(json.dumps(expected))
    print(
        f"{name}: {len(step.graph.node)} standard operators, loss {losses[0]:.4f} to {losses[-1]:.4f}"
    )


if __name__ == "__main__":
    main()
