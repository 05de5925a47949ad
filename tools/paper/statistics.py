"""Test errors over seeds: mean, standard deviation, confidence, and optimizers compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sample:
    """One number for each seed.

    Attributes:
        values: (seeds,).
    """

    values: np.ndarray

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """From a list of numbers."""
        return cls(np.asarray(values, np.float64))

    @property
    def mean(self) -> float:
        """Of the values."""
        return float(self.values.mean())

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (n - 1); None for one seed."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else None

    @property
    def half_width(self) -> float | None:
        """Of the mean's 95 % confidence interval, by Student's t; None for one seed."""
        if self.deviation is None:
            return None
        count = len(self.values)
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
        return float(quantile * self.deviation / np.sqrt(count))
