"""What is compared: settings of `convert`, which the worker in PyTorch reads too."""

from __future__ import annotations

from typing import Any

INPUTS, HIDDEN, CLASSES = 20, 32, 5
BATCH_SIZE, STEPS = 16, 50

# With the learning rate of each. Adafactor's is below 0.14, where PyTorch does not change it in 50 steps.
RATES = {
    "sgd": 0.2,
    "momentum": 0.05,
    "nesterov": 0.05,
    "rmsprop": 0.003,
    "adam": 0.005,
    "adamw": 0.005,
    "lamb": 0.02,
    "lion": 0.001,
    "adafactor": 0.02,
}
_GROUPS = {"*": 0.1, "*.bias": 0.0}
_ALL: dict[str, Any] = {
    "weight_decay": _GROUPS,
    "rate": {"first.*": 0.5, "*.bias": 2.0},
    "clip_norm": 0.5,
    "accumulation_steps": 2,
    "ema": 0.9,
}
SETTINGS: dict[str, dict[str, Any]] = {
    **{optimizer: {"optimizer": optimizer} for optimizer in RATES},
    **{
        f"{optimizer}, weight decay": {"optimizer": optimizer, "weight_decay": 0.1}
        for optimizer in RATES
    },
    "adamw, weight decay by group": {"optimizer": "adamw", "weight_decay": _GROUPS},
    "momentum, rates by group": {"optimizer": "momentum", "rate": {"first.*": 0.1, "*.bias": 2.0}},
    "sgd, clipped by norm": {"optimizer": "sgd", "clip_norm": 0.3},
    "adam, clipped by norm": {"optimizer": "adam", "clip_norm": 0.3},
    "momentum, clipped by value": {"optimizer": "momentum", "clip_value": 0.01},
    "nesterov, batches": {"optimizer": "nesterov", "accumulation_steps": 4},
    "sgd, average": {"optimizer": "sgd", "ema": 0.9},
    "adamw, average": {"optimizer": "adamw", "ema": 0.95},
    **{f"{optimizer}, all": {"optimizer": optimizer, **_ALL} for optimizer in RATES},
}
