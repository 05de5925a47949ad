"""The two optimizer operators of onnxruntime's training session.

It has no others (1.19, orttraining/training_api/optimizer.cc), keeps the state that they need, and saves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SessionOperator:
    """An optimizer operator of the domain com.microsoft, and its attributes."""

    op_type: str
    attributes: Mapping[str, float | int]


SGD_OPTIMIZER = SessionOperator("SGDOptimizerV2", {})
"""w <- w - rate * g"""


def adamw_optimizer(
    *,
    alpha: float,
    beta: float,
    epsilon: float,
    weight_decay: float = 0.0,
    adam_mode: int = 1,
    correct_bias: int = 0,
) -> SessionOperator:
    """m <- alpha m + (1 - alpha) g;  v <- beta v + (1 - beta) g^2;  w <- w - rate * m / (sqrt(v) + epsilon)

    Args:
        alpha: decay of m.
        beta: decay of v.
        epsilon: added to the root.
        weight_decay: rate * weight_decay * w is subtracted too.
        adam_mode: 1 for epsilon added to the root itself, and bias correction or not; 0 for epsilon
            added to the root of the corrected v, which needs bias correction.
        correct_bias: 1 to divide m and v by what they would have come to, had all gradients been 1.
    """
    return SessionOperator(
        "AdamWOptimizer",
        {
            "weight_decay": weight_decay,
            "alpha": alpha,
            "beta": beta,
            "epsilon": epsilon,
            "adam_mode": adam_mode,
            "correct_bias": correct_bias,
        },
    )
