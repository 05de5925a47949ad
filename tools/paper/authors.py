"""The logs that the paper's authors published, a CSV file for each run, all in one folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from svgd_onnx import UserError
from tools.paper.experiment import Experiment
from tools.paper.lemma import Point

NAMES = {"svgd": "so", "adamw": "adam"}  # in their file names, where it is another name
# Their code of this one problem feeds r with the last gradient alone.
HILBERT = {"gd": "gd", "adagrad": "adagrad", "svgd_rho_0": "so"}


def curve(
    experiment: Experiment, optimizer: str, folder: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, test errors (fractions, batch statistics) and test losses of an optimizer.

    Raises:
        UserError: the log is missing or damaged.
    """
    path = folder / f"{experiment.log}_{NAMES.get(optimizer, optimizer)}.csv"
    steps, accuracies, losses = _columns(path, "", "accuracy", "loss")
    # MNIST's log has fractions, the others have percent.
    return steps, 1 - (accuracies if accuracies.max() <= 1 else accuracies / 100), losses


def final_error(experiment: Experiment, optimizer: str, folder: Path) -> float:
    """Their test error, a fraction: the mean of as many last tests as ours is a mean of.

    Raises:
        UserError: the log is missing or damaged.
    """
    return float(curve(experiment, optimizer, folder)[1][-experiment.averaged_tests :].mean())


def hilbert(optimizer: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses of the least-squares problem, for a key of HILBERT.

    Raises:
        UserError: the log is missing or damaged.
    """
    steps, losses = _columns(folder / f"math_{HILBERT[optimizer]}.csv", "step", "loss")
    return steps, losses


def lemma(folder: Path) -> list[Point]:
    """The points of Fig. 7.

    Raises:
        UserError: the log is missing or damaged.
    """
    columns = _columns(folder / "lemma.csv", "n", "lam", "vtu", "f_lam")
    return [Point(int(n), *(float(value) for value in values)) for n, *values in zip(*columns)]


def _columns(path: Path, *names: str) -> list[np.ndarray]:
    try:
        with path.open(newline="") as file:
            rows = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror}).") from error
    except (KeyError, ValueError, TypeError) as error:  # TypeError: a row ends early
        raise UserError(f"'{path}' is no log of the paper's authors ({error}).") from None
    if not rows:
        raise UserError(f"'{path}' is no log of the paper's authors (it has no rows).")
    return list(np.array(rows).T)
