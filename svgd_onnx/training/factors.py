"""T's factors s / sqrt(r + epsilon), operation by operation: whether T adapts there, or is a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from svgd_onnx.manifest import Manifest

CONSTANT = 0.01
"""Factors that differ by no more than this share of themselves are practically one."""
_PREFIX = "svgd.r."


@dataclass(frozen=True)
class Factors:
    """T's factors in one operation, by the r of the last step.

    Attributes:
        state: the name of r in the checkpoint.
        parameters: whose gradients they scale.
        count: how many there are, one for each entry of r.
        below_epsilon: the share of r's entries that are below epsilon; 0 to 1.
        highest_r: r's largest entry.
        epsilon: of T.
        limit: the factor where r is 0, s / sqrt(epsilon): there is none above it.
        lowest: the smallest factor.
        mean: of the factors.
        highest: the largest.
    """

    state: str
    parameters: tuple[str, ...]
    count: int
    below_epsilon: float
    highest_r: float
    epsilon: float
    limit: float
    lowest: float
    mean: float
    highest: float

    @property
    def name(self) -> str:
        """The parameter whose gradient they scale; with a number, where several operations take it."""
        return self.state.removeprefix(_PREFIX)

    @property
    def are_of_epsilon(self) -> bool:
        """Whether r is so far below epsilon that it does not count, and each factor is practically `limit`."""
        return self.lowest >= (1 - CONSTANT) * self.limit

    @property
    def are_constant(self) -> bool:
        """Whether all are practically one number. A single factor is not for that alone: it may change."""
        same = self.count > 1 and self.highest <= (1 + CONSTANT) * self.lowest
        return same or self.are_of_epsilon


def factors_of(manifest: Manifest, tensor: Callable[[str], np.ndarray]) -> list[Factors]:
    """T's factors in each operation that it acts on, in float64.

    Args:
        manifest: of artifacts.
        tensor: gives r by its name, as `Trainer.tensor` does.
    """
    parameters: dict[str, list[str]] = {}
    for each in manifest.operations:
        if each.state is not None:
            parameters.setdefault(each.state, []).append(each.parameter)
    scale, epsilon = (manifest.hyper_parameters.get(name, 0.0) for name in ("scale", "epsilon"))
    found = []
    for state, names in parameters.items():
        r = np.asarray(tensor(state), np.float64)
        factors = scale / np.sqrt(r + epsilon)
        found.append(
            Factors(
                state,
                tuple(names),
                r.size,
                below_epsilon=float((r < epsilon).mean()),
                highest_r=float(r.max()),
                epsilon=epsilon,
                limit=scale / epsilon**0.5,
                lowest=float(factors.min()),
                mean=float(factors.mean()),
                highest=float(factors.max()),
            )
        )
    return found
