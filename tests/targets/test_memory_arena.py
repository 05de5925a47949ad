"""The memory of a training: given back with it, and used again by its evaluation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS
from tools.networks import NETWORKS

BATCH = 128

# Prints resident megabytes; a batch of fewer than 0 is evaluated.
PROGRAM = """
import gc, re, sys
import numpy as np
import svgd_onnx

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

def steps(*batches):
    for size in batches:
        batch = {"image": random.standard_normal((abs(size), 3, 32, 32), np.float32)}
        batch["labels"] = random.integers(0, 10, abs(size))
        trainer.train_step(batch, 0.01) if size > 0 else trainer.evaluate(batch)

random = np.random.default_rng(0)
for _ in range(2):
    trainer = svgd_onnx.Trainer(sys.argv[1], threads=1)
    print(resident())
    steps(*map(int, sys.argv[2:]))
    print(resident())
    del trainer
    gc.collect()
    print(resident())
"""


@pytest.fixture(scope="module", params=TARGETS)
def vgg(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vgg") / "artifacts"
    network = NETWORKS["paper_vgg"](0)
    svgd_onnx.convert(network, folder, target=request.param, verify=False)
    return folder


def megabytes(folder: Path, *batches: int) -> list[float]:
    command = [sys.executable, "-c", PROGRAM, folder, *map(str, batches)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in run.stdout.split()]


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it reads /proc")


@needs_proc
def test_what_a_training_took_is_given_back_with_it(vgg: Path) -> None:
    opened, trained, gone, *_, second_gone = megabytes(vgg, BATCH)
    assert trained - opened > 30
    assert gone - opened < 0.3 * (trained - opened)
    assert second_gone - opened < 0.3 * (trained - opened)


@needs_proc
def test_an_evaluation_lies_where_steps_have_lain(vgg: Path) -> None:
    opened, trained, *_ = megabytes(vgg, BATCH)
    _, evaluated, *_ = megabytes(vgg, BATCH, -BATCH)
    assert evaluated - opened < 1.15 * (trained - opened)
