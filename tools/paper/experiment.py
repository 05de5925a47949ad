"""What an experiment of the paper is: a network, its data, and a recipe for each optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


class DataError(Exception):
    """A data file is missing, or is not what it should be; the message is for the user."""


class Data(NamedTuple):
    """Images to train and test with.

    Attributes:
        images: for training, (examples, ...), as `prepare` of the experiment takes them.
        labels: theirs, (examples,) int64.
        test: images and labels as the network takes them, under the names `image` and `labels`.
    """

    images: np.ndarray
    labels: np.ndarray
    test: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How an optimizer trains a network.

    Attributes:
        rates: learning rates at the start and from each of the experiment's boundaries on.
        paper_error: the paper's test error, as a fraction; None where it has none.
        scale: T's s.
        boundaries: the steps at which its rates change, where they are not the experiment's.
    """

    rates: tuple[float, float, float]
    paper_error: float | None
    scale: float = 1.0
    boundaries: tuple[int, int] | None = None


@dataclass(frozen=True)
class Experiment:
    """A network of the paper and how it is trained.

    Attributes:
        name: of the module, and of the folder of results.
        title: for tables and the command line.
        network: its name in `tools.networks`.
        load: the data of a folder; raises DataError.
        prepare: a batch of images and a random generator to the network's input, float32.
        batch_size: examples a step.
        l1: factor of the L1 penalty.
        steps: of the paper's schedule.
        boundaries: the steps at which its learning rates change.
        evaluate_every: steps between two tests.
        averaged_tests: over how many last tests the reported test error is a mean.
        test_batch_size: images whose statistics BatchNormalization takes together in a test.
        recipes: by optimizer, in the order of the tables. "adamw" has no weight decay: it is Adam.
        log: what the file names of the authors' logs start with.
    """

    name: str
    title: str
    network: str
    load: Callable[[Path], Data]
    prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    batch_size: int
    l1: float
    steps: int
    boundaries: tuple[int, int]
    evaluate_every: int
    averaged_tests: int
    test_batch_size: int
    recipes: Mapping[str, Recipe]
    log: str

    def rate(self, optimizer: str, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        passed = sum(step >= each for each in self.changes(optimizer, steps))
        return self.recipes[optimizer].rates[passed]

    def changes(self, optimizer: str, steps: int) -> list[int]:
        """The steps at which the learning rate changes.

        In a run of another length than the paper's, they lie in proportion.
        """
        boundaries = self.recipes[optimizer].boundaries or self.boundaries
        return [round(each * steps / self.steps) for each in boundaries]
