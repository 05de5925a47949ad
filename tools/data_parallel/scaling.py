"""A model on paper: what reductions cost on 8 to 1,024 ranks, from a latency and a speed measured here.

The time of summing n bytes over K ranks is that of the better of two algorithms (Thakur, Rabenseifner and
Gropp, "Optimization of collective communication operations in MPICH", 2005):

    recursive doubling   ceil(log2 K) (a + n b + n g)
    ring                 2 (K - 1) a + 2 (K - 1)/K n b + (K - 1)/K n g

a: latency of a message, measured between two processes by TCP over loopback, so without wires and switches (a
   few microseconds more); b: seconds a byte of the network, 10 or 100 Gbit/s; g: seconds a byte of an addition,
   measured. Machines compute while they do not wait: a step takes the time of its computation and of its
   sums. A third of it is taken to be the forward pass, one the gradients of hidden values and one those of
   parameters. With what might be overlapped, gradients travel while the two latter are computed; in exact
   mode with r of each pixel or token means of dY^2 travel while the first of them are, and virtual gradients
   while the others are.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.data_parallel.jobs import launcher

_RANKS = (8, 64, 256, 1024)
_GIGABITS = (10, 100)
# The forward pass of a step, and as much the gradients of hidden values, and those of parameters.
_THIRD = 1 / 3


@dataclass(frozen=True)
class Network:
    """What a step of a network computes and sends.

    Attributes:
        parameters: how many.
        r: entries of r, of each pixel or token.
        channels: entries of r by channel.
        seconds: that a rank computes for a step; an assumption, of one GPU.
    """

    parameters: int
    r: int
    channels: int
    seconds: float


def _transformer(layers: int, width: int, tokens: int, words: int, seconds: float) -> Network:
    """As GPT-2: four products a layer, of 3, 1, 4 and 1 times the width, and one embedding."""
    channels = layers * 9 * width
    parameters = layers * (12 * width**2 + 13 * width) + (words + tokens) * width
    return Network(parameters, channels * tokens, channels, seconds)


NETWORKS = {
    # ResNet-50 at 224 x 224: its convolutions' outputs, and the 1,000 of its last layer
    "ResNet-50, 32 images a rank": Network(25_557_032, 11_114_000, 27_560, 0.1),
    "GPT-2 small, 8 x 1,024 tokens a rank": _transformer(12, 768, 1024, 50_257, 0.25),
}


def main(networks: Sequence[str]) -> None:
    """Measures, and prints a row for each network, update, network speed and number of ranks."""
    latency, addition = _latency(), _addition()
    print(f"latency {1e6 * latency:.1f} us, addition {1e12 * addition:.0f} ps a byte\n")
    print(
        "| network | Gbit/s | ranks | SGD | SGD, overlapped | exact, by channel | local r | exact "
        "| exact, overlapped |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, network in NETWORKS.items():
        for gigabits in _GIGABITS:
            for ranks in _RANKS:
                byte = 8e-9 / gigabits

                def took(count: int, ranks: int = ranks, byte: float = byte) -> float:
                    return reduction(4 * count, ranks, latency, byte, addition)

                gradients, squares = took(network.parameters), took(network.r)
                third = _THIRD * network.seconds
                columns = (
                    gradients,
                    max(0.0, gradients - 2 * third),
                    took(network.parameters + network.channels),
                    took(network.parameters + network.r),
                    gradients + squares,
                    max(0.0, squares - third) + max(0.0, gradients - third),
                )
                cells = " | ".join(_cell(each, network.seconds) for each in columns)
                print(f"| {name} | {gigabits} | {ranks} | {cells} |")


def _cell(seconds: float, computing: float) -> str:
    """Milliseconds, and the share of a step."""
    return f"{1000 * seconds:.0f} ms, {seconds / (seconds + computing):.0%}"


def reduction(size: int, ranks: int, latency: float, byte: float, addition: float) -> float:
    """Seconds of a sum over ranks.

    Args:
        size: bytes of each rank's numbers.
        ranks: how many.
        latency: seconds a message.
        byte: seconds a byte on its way.
        addition: seconds a byte that is added.
    """
    doubling = math.ceil(math.log2(ranks)) * (latency + size * (byte + addition))
    part = (ranks - 1) / ranks
    ring = 2 * (ranks - 1) * latency + part * size * (2 * byte + addition)
    return min(doubling, ring)


_PING = """
import json, sys, time
import numpy as np
from mpi4py import MPI
world, numbers = MPI.COMM_WORLD, np.zeros(2, np.float32)
times = []
for _ in range(2000):
    started = time.perf_counter()
    if world.rank == 0:
        world.Send(numbers, 1); world.Recv(numbers, 1)
    else:
        world.Recv(numbers, 0); world.Send(numbers, 0)
    times.append(time.perf_counter() - started)
if world.rank == 0:
    print(json.dumps(float(np.median(times)) / 2))
"""


def _latency() -> float:
    """Seconds of a message of 8 bytes between two processes by TCP."""
    over_tcp = ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]
    started = [launcher(), "--allow-run-as-root", "--oversubscribe", *over_tcp, "-n", "2"]
    done = subprocess.run(
        [*started, sys.executable, "-c", _PING], capture_output=True, text=True, check=True
    )
    latency: float = json.loads(done.stdout.splitlines()[-1])
    return latency


def _addition() -> float:
    """Seconds a byte of what is added to a vector that does not fit a cache."""
    one, other = (np.ones(1 << 24, np.float32) for _ in range(2))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        np.add(one, other, out=one)
        times.append(time.perf_counter() - started)
    return min(times) / one.nbytes
