"""Lemma 4.1 in numbers, and the points of Fig. 7: `python -m tools.paper.lemma`.

The lemma says that the mean of v'M'Mu over random matrices M of one spectral norm is proportional to v'u.
Here v and u are unit vectors, and M is n x n with entries uniform in (-1, 1), scaled to that norm.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tools.paper.command import RESULTS, at_least
from tools.paper.errors import told_in_a_sentence
from tools.paper.rows import save_rows

NORMS = {2: 1.0, 5: 2.0, 10: 3.0, 25: 4.0}  # spectral norm by n, as in Fig. 7
CHUNK = 1_000  # matrices at once


class Point(NamedTuple):
    """A pair of vectors.

    Attributes:
        n: their length.
        norm: of the matrices.
        product: v'u.
        estimate: mean of v'M'Mu.
    """

    n: int
    norm: float
    product: float
    estimate: float


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.paper.lemma", description="Lemma 4.1.")
    # A line goes through any two points.
    parser.add_argument("--pairs", type=at_least(3), default=10, help="of vectors, for each n")
    parser.add_argument("--matrices", type=at_least(1), default=10_000, help="for each pair")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--output", type=Path, default=RESULTS, help=f"(default {RESULTS})")
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    with told_in_a_sentence():
        points = [
            point(n, norm, arguments.matrices, random)
            for n, norm in NORMS.items()
            for _ in range(arguments.pairs)
        ]
        save(points, arguments.output / "lemma.csv")
    for n, norm in NORMS.items():
        print(f"n = {n:>2}, norm {norm:.0f}: correlation {correlation(points, n):.6f}")


def point(n: int, norm: float, matrices: int, random: np.random.Generator) -> Point:
    """A random pair of vectors, and the mean over that many random matrices."""
    v, u = random.standard_normal((2, n))
    v /= np.linalg.norm(v)
    u /= np.linalg.norm(u)
    total = 0.0
    for start in range(0, matrices, CHUNK):
        m = random.uniform(-1, 1, (min(CHUNK, matrices - start), n, n))
        m *= norm / np.linalg.norm(m, 2, axis=(1, 2))[:, None, None]
        total += float(np.sum((m @ v) * (m @ u)))
    return Point(n, norm, float(v @ u), total / matrices)


def correlation(points: list[Point], n: int) -> float:
    """Between v'u and the estimate, over the pairs of length n."""
    products, estimates = zip(*((each.product, each.estimate) for each in points if each.n == n))
    return float(np.corrcoef(products, estimates)[0, 1])


def save(points: list[Point], path: Path) -> None:
    """Writes the points as CSV, all at once.

    Raises:
        UserError: the file cannot be written.
    """
    rows = ([n, norm, f"{p:.6g}", f"{e:.6g}"] for n, norm, p, e in points)
    save_rows(path, Point._fields, rows)


def load(path: Path) -> list[Point]:
    """What `save` wrote."""
    with path.open(newline="") as file:
        return [
            Point(int(row["n"]), *(float(row[name]) for name in Point._fields[1:]))
            for row in csv.DictReader(file)
        ]


if __name__ == "__main__":
    main()
