"""How a training step grows with the batch, the size of images, channels and threads, beside PyTorch's.

    python -m tools.bench.growth [--networks ...] [--batches N...] [--threads 1 2] [--output FILE.json]

The networks are trained by SVGD on growing batches, and ResNet-20 by SVGD on batches of 32 of larger images,
and with more channels. PyTorch is its SGD, the faster of eager and channels_last at each size. All train in
turns; "ms" are medians, "of it" medians of ratios within a turn. On one thread times are of the processor's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.bench.networks import ALL, RESNETS_BY_CHANNELS, RESNETS_BY_SIZE
from tools.bench.report import report
from tools.bench.turns import Job, Process, ratio, take_turns

KINDS = {
    "ort-training": "ort svgd",
    "onnx": "onnx svgd",
    "eager": "torch sgd eager",
    "channels_last": "torch sgd channels_last",
}
OURS = ("ort-training", "onnx")
BATCHES = (1, 8, 32, 128, 512)
# PyTorch's BatchNormalization of rows refuses a single one.
LEAST = {"paper_mlp": 2}
TURNS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    usual = ["paper_mlp", "small_transformer", "paper_vgg", "paper_resnet20"]
    parser.add_argument("--networks", nargs="*", default=usual, choices=usual)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--no-sizes", dest="sizes", action="store_false", help="batches alone")
    parser.add_argument("--output", type=Path, default=Path("build/bench/growth.json"))
    given = parser.parse_args()
    settings = [
        (network, max(batch, LEAST.get(network, 1)))
        for network in given.networks
        for batch in given.batches
    ]
    if given.sizes:
        settings += [(name, ALL[name].batch) for name in (*RESNETS_BY_SIZE, *RESNETS_BY_CHANNELS)]
    rows = list(_rows(settings, given.threads))
    report("A step as it grows", rows, given.output)


def _rows(settings: Sequence[tuple[str, int]], threads: Sequence[int]) -> Iterator[dict[str, Any]]:
    processes = {kind: Process() for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for network, batch in settings:
            row: dict[str, Any] = {"network": network, "batch": batch}
            for number in threads:
                for kind, process in processes.items():
                    path = Path(folder) / kind / network
                    job = Job(network, KINDS[kind], batch, number, str(path))
                    if not path.exists():
                        job.convert()
                    process.open(job)
                taken = dict(zip(KINDS, take_turns(processes.values(), TURNS)))
                row |= _columns(taken, number)
            yield row
    for process in processes.values():
        process.end()


def _columns(taken: dict[str, list[float]], threads: int) -> dict[str, Any]:
    torch = min(taken.keys() - set(OURS), key=lambda kind: statistics.median(taken[kind]))
    return {
        **{f"{kind}, {threads}": 1e3 * statistics.median(taken[kind]) for kind in OURS},
        f"PyTorch, {threads}": 1e3 * statistics.median(taken[torch]),
        f"of it, {threads}": "{:.2f}, {:.2f}".format(
            *(ratio(taken[k], taken[torch]) for k in OURS)
        ),
    }


if __name__ == "__main__":
    main()
