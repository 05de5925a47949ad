"""Models: fixtures of real exporters, some fields of which are others, converted, trained and exported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx

import svgd_onnx
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS
from tools.attack.fuzz.damage import damaged
from tools.attack.fuzz.mutations import MUTATIONS
from tools.fixtures.trainings import options_for

FIXTURES = Path(__file__).parent.parent.parent.parent / "tests" / "fixtures"
# The others take seconds to convert.
_LARGEST = 14_000
_MOST_MUTATIONS = 3
_BATCH, _STEPS, _OPEN = 2, 2, 4


def models(folder: Path) -> Callable[[int], None]:
    """Tries models in a folder."""
    paths = sorted(path for path in FIXTURES.glob("*.onnx") if path.stat().st_size <= _LARGEST)
    targets = [name for name in TARGETS if name != "ort-training" or has_training()]

    def attempt(seed: int) -> None:
        draw = Random(seed)
        fixture = draw.choice(paths)
        path = folder / "model.onnx"
        path.write_bytes(mutated(fixture.read_bytes(), draw))
        options = {**options_for(fixture.stem), "loss": draw.choice(("cross-entropy", "mse"))}
        artifacts = folder / "artifacts"
        shutil.rmtree(artifacts, ignore_errors=True)
        svgd_onnx.convert(
            path,
            artifacts,
            target=targets[seed % len(targets)],
            verify=draw.random() < 0.5,
            **options,
        )
        _use(artifacts, draw)

    return attempt


def mutated(content: bytes, draw: Random) -> bytes:
    """A model's file with some fields that are others, or bytes."""
    if draw.random() < 0.15:
        return damaged(content, draw)
    model = onnx.ModelProto.FromString(content)
    for _ in range(draw.randint(1, _MOST_MUTATIONS)):
        if model.graph.node:
            draw.choice(MUTATIONS)(model, draw)
    return model.SerializeToString()


def _use(artifacts: Path, draw: Random) -> None:
    """Some steps, an evaluation and an export."""
    trainer = svgd_onnx.Trainer(artifacts, threads=1)
    manifest = Manifest.load(artifacts)
    random = np.random.default_rng(draw.randrange(2**32))
    batch = {each.name: _array(each, random) for each in manifest.arrays}
    for _ in range(_STEPS):
        trainer.train_step(batch, 0.01)
    trainer.evaluate(batch)
    trainer.save()
    trainer.export(artifacts / "trained.onnx")


def _array(tensor: Tensor, random: np.random.Generator) -> np.ndarray:
    sizes = [size if isinstance(size, int) else _OPEN for size in tensor.shape]
    if tensor.batch_axis is not None and not isinstance(tensor.shape[tensor.batch_axis], int):
        sizes[tensor.batch_axis] = _BATCH
    if np.prod(sizes, dtype=float) > 2**24:
        raise svgd_onnx.UserError(f"An input of {sizes} is too large to try.")
    numbers = (
        random.integers(0, 2, sizes) if tensor.dtype != "float32" else random.normal(size=sizes)
    )
    return np.asarray(numbers).astype(tensor.dtype)
