"""What the loss's gradient is multiplied by, so that float16 holds what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

GROWTH_INTERVAL = 2000
"""Steps in a row with finite gradients, after which a dynamic scale doubles (PyTorch's GradScaler)."""


@dataclass(frozen=True)
class LossScale:
    """The factor on the gradient of the loss.

    Attributes:
        initial: the factor; of a dynamic one that of the first step. As of PyTorch's GradScaler.
        is_dynamic: whether it halves where a gradient is not finite, and that step is left out, and doubles
            after `interval` steps in a row that were not.
        interval: how many.
    """

    initial: float = 65536.0
    is_dynamic: bool = True
    interval: int = field(default_factory=lambda: GROWTH_INTERVAL)

    def __str__(self) -> str:
        return "dynamic" if self.is_dynamic else f"{self.initial:g}"
