"""A process that trains in PyTorch a turn at a time, for `tools.bench.footprint`; as step_worker.py.

    python -m tools.bench.pytorch_worker NETWORK OPTIMIZER THREADS SHAPE...

Needs PyTorch and NumPy only.
"""

from __future__ import annotations

import sys

import torch

from tools.bench.pytorch_training import NETWORKS, training_step
from tools.bench.step_worker import batch, serve


def main() -> None:
    network, optimizer, threads, *shape = sys.argv[1:]
    torch.set_num_threads(int(threads))
    image, labels = batch([int(size) for size in shape])
    serve(training_step(NETWORKS[network](), optimizer, "eager", image, labels))


if __name__ == "__main__":
    main()
