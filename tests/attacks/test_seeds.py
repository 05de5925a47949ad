"""Seeds of 64 bits come back as they were, and trainers of one process do not disturb each other."""

from __future__ import annotations

import threading
from pathlib import Path

import models
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS

MODEL = models.dropout()
SEEDS = [0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_of_64_bits_comes_back_as_it_was(target: str, tmp_path: Path) -> None:
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        svgd_onnx.convert(MODEL, folder, target=target, verify=False)
        trainer = svgd_onnx.Trainer(folder, seed=seed, threads=1)
        trainer.train_step(models.examples(MODEL), 0.1)
        trainer.save()
        assert svgd_onnx.Trainer(folder).seed == seed


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_none_is_refused(seed: int, tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target="onnx", verify=False)
    with pytest.raises(svgd_onnx.UserError, match=f"seed is {seed}, but must be from 0 to"):
        svgd_onnx.Trainer(tmp_path / "artifacts", seed=seed)


@pytest.mark.parametrize("target", TARGETS)
def test_trainers_of_several_threads_draw_as_they_do_alone(target: str, tmp_path: Path) -> None:
    data = models.examples(MODEL, 40)
    weights: dict[str, bytes] = {}

    def train(name: str) -> None:
        trainer = svgd_onnx.Trainer(tmp_path / name, seed=3, threads=1)
        trainer.train(data, steps=60, batch_size=8, learning_rate=0.05)
        names = [each.name for each in trainer.manifest.parameters]
        weights[name] = b"".join(trainer.tensor(each).tobytes() for each in names)

    names = ["alone", "first", "second", "third", "fourth"]
    for name in names:
        svgd_onnx.convert(MODEL, tmp_path / name, target=target, verify=False)
    train("alone")
    threads = [threading.Thread(target=train, args=(name,)) for name in names[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(weights) == len(names)
    assert set(weights.values()) == {weights["alone"]}
