"""Numbers that parameters start from. Each follows from a seed and the parameter's name alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

HE, ZEROS = "he", "zeros"
INITIALIZATIONS = (HE, ZEROS)


def generator(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one parameter, whatever other parameters there are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def he_normal(shape: Sequence[int], fan_in: int, random: np.random.Generator) -> np.ndarray:
    """Normal numbers of deviation sqrt(2 / fan_in), float32 (He et al., arXiv 1502.01852).

    Args:
        shape: of the weight.
        fan_in: how many products one output adds up.
        random: where they come from.
    """
    return random.normal(0, math.sqrt(2 / max(fan_in, 1)), shape).astype(np.float32)


def kaiming_uniform(shape: Sequence[int], fan_in: int, random: np.random.Generator) -> np.ndarray:
    """Uniform numbers up to 1 / sqrt(fan_in), float32: as PyTorch and PEFT fill a linear layer."""
    bound = 1 / math.sqrt(max(fan_in, 1))
    return random.uniform(-bound, bound, shape).astype(np.float32)
