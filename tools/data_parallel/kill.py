"""Ranks killed at random amid a training: how soon the job ends, what it says, and what it leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from svgd_onnx import Trainer
from tools.data_parallel.jobs import command, prepare

_RANKS, _STEPS, _EVERY, _TIMES = 2, 400, 10, 20
_LONGEST = 10.0  # seconds from a rank's death to the job's end
_NETWORK = "paper_mlp"


def main(networks: Sequence[str]) -> None:
    """Kills a rank of a training 20 times, each time at another moment, and has each go on to its end."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(Path(name), _NETWORK)
        shutil.copytree(folder / "artifacts", folder / "undisturbed")
        process = _start(folder, "undisturbed")
        _wait(folder / "undisturbed", process)
        started = time.monotonic()
        process.communicate()
        whole = time.monotonic() - started
        expected = (folder / "undisturbed" / "checkpoint.safetensors").read_bytes()
        print(
            f"{_STEPS} steps on {_RANKS} ranks, a checkpoint each {_EVERY}: {whole:.1f} s from the first"
        )
        longest, equal, words = 0.0, 0, set()
        trial = 0
        while trial < _TIMES:
            place = "trial"
            shutil.rmtree(folder / place, ignore_errors=True)
            shutil.copytree(folder / "artifacts", folder / place)
            process = _start(folder, place)
            victim = draw.randrange(_RANKS)
            _wait(folder / place, process)
            took, said = _kill(process, victim, draw.random() * whole)
            if not process.returncode:
                continue  # the job was quicker
            trial += 1
            words.update(line.split(" with PID")[0] for line in said.splitlines() if "rank" in line)
            step = Trainer(folder / place).step
            _start(folder, place).communicate()
            same = (folder / place / "checkpoint.safetensors").read_bytes() == expected
            equal, longest = equal + same, max(longest, took)
            print(
                f"{trial}: rank {victim} killed, job ended after {took:.2f} s, checkpoint of step {step}, "
                f"{'the same' if same else 'OTHER'} bits after going on",
                flush=True,
            )
    print(
        f"longest {longest:.2f} s; {equal} of {_TIMES} reached the same bits; mpirun said: {words}"
    )
    if longest > _LONGEST or equal < _TIMES:
        sys.exit(1)


def _start(folder: Path, artifacts: str) -> subprocess.Popen[str]:
    train = [sys.executable, "-m", "svgd_onnx", "train", artifacts, "--data", "data.npz", "--quiet"]
    train += ["--steps", str(_STEPS), "--checkpoint-every", str(_EVERY), "--threads", "1"]
    train += ["--batch-size", "64", "--learning-rate", "0.02"]
    return subprocess.Popen(
        [*command(_RANKS), *train],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait(artifacts: Path, process: subprocess.Popen[str]) -> None:
    """Until there is a first checkpoint of a training."""
    path = artifacts / "checkpoint.safetensors"
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before and process.poll() is None:
        time.sleep(0.02)


def _kill(process: subprocess.Popen[str], victim: int, after: float) -> tuple[float, str]:
    """Seconds from a rank's death to the end of the job, and what that printed."""
    time.sleep(after)
    for entry in Path("/proc").iterdir():
        rank = _rank(entry, process.pid) if entry.name.isdigit() else None
        if rank == victim:
            os.kill(int(entry.name), signal.SIGKILL)
    started = time.monotonic()
    said, _ = process.communicate()
    return time.monotonic() - started, said


def _rank(entry: Path, parent: int) -> int | None:
    """The rank of a process, if it is one that a launcher started."""
    try:
        variables = (entry / "environ").read_bytes().split(b"\0")
        of = (entry / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return None
    name = b"OMPI_COMM_WORLD_RANK="
    found = [each for each in variables if each.startswith(name)]
    return int(found[0].removeprefix(name)) if found and of == str(parent) else None
