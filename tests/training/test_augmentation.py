"""Examples that are changed each time they are taken."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import pytest

import svgd_onnx

COUNT, BATCH = 12, 4


def noisy(batch: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
    """Bytes to numbers around 0, and some noise."""
    x = batch["bytes"].astype(np.float32) / 128 - 1
    noise = random.normal(scale=0.1, size=x.shape)
    return {"x": (x + noise).astype(np.float32), "labels": batch["labels"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    svgd_onnx.convert(models.mlp(), tmp_path / "artifacts")
    return tmp_path / "artifacts"


def raw_examples() -> dict[str, np.ndarray]:
    """Bytes, as an image file has them, which the model does not take."""
    random = np.random.default_rng(0)
    return {
        "bytes": random.integers(0, 256, (COUNT, models.FEATURES), np.uint8),
        "labels": random.integers(0, models.CLASSES, COUNT),
    }


def weights_after(folder: Path, **options: int) -> bytes:
    trainer = svgd_onnx.Trainer(folder, seed=3, threads=1)
    trainer.train(raw_examples(), batch_size=BATCH, learning_rate=0.1, augment=noisy, **options)
    return trainer.tensor("fc1.weight").tobytes()


def test_a_step_takes_what_the_augmentation_makes_of_its_examples(folder: Path) -> None:
    taken: list[dict[str, np.ndarray]] = []

    def remember(batch: dict[str, np.ndarray], random: np.random.Generator) -> object:
        taken.append(batch)
        return noisy(batch, random)

    trainer = svgd_onnx.Trainer(folder, seed=3)
    examples = raw_examples()
    trainer.train(examples, epochs=1, batch_size=BATCH, learning_rate=0.1, augment=remember)
    seen = np.concatenate([batch["bytes"] for batch in taken])
    assert sorted(map(bytes, seen)) == sorted(map(bytes, examples["bytes"]))


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws(folder: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "whole")
    whole = weights_after(tmp_path / "whole", steps=7)
    weights_after(folder, steps=4)
    assert weights_after(folder, steps=7, resume=True) == whole


def test_what_the_model_does_not_take_is_refused(folder: Path) -> None:
    trainer = svgd_onnx.Trainer(folder)
    with pytest.raises(svgd_onnx.UserError, match="no array 'x' in the augmented batch"):
        trainer.train(
            raw_examples(),
            steps=1,
            batch_size=BATCH,
            learning_rate=0.1,
            augment=lambda batch, random: {"labels": batch["labels"]},
        )


def test_arrays_of_different_lengths_are_refused(folder: Path) -> None:
    examples = {**raw_examples(), "labels": np.zeros(3, np.int64)}
    with pytest.raises(svgd_onnx.UserError, match="differ in length"):
        svgd_onnx.Trainer(folder).train(
            examples, steps=1, batch_size=2, learning_rate=0.1, augment=noisy
        )
