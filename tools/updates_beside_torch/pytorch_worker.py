"""A process that makes the same trainings in PyTorch. Needs PyTorch and NumPy only.

python -m tools.updates_beside_torch.pytorch_worker DATA.npz LOSSES.npz
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tools.updates_beside_torch.settings import CLASSES, HIDDEN, INPUTS, RATES, SETTINGS, STEPS


class Network(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


class Lamb(torch.optim.Optimizer):
    """Algorithm 2 of arXiv 1904.00962, by hand, its weight decay included."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state, gradient = self.state[parameter], parameter.grad
                t = state["t"] = state.get("t", 0) + 1
                state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
                state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
                direction = state["m"] / (1 - 0.9**t)
                direction = direction / ((state["v"] / (1 - 0.999**t)).sqrt() + 1e-6)
                direction = direction + group["weight_decay"] * parameter
                parameter -= group["lr"] * parameter.norm() / direction.norm() * direction


class Lion(torch.optim.Optimizer):
    """arXiv 2302.06675, by hand."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                state, gradient = self.state[parameter], parameter.grad
                before = state.get("m", torch.zeros_like(parameter))
                parameter -= group["lr"] * (0.9 * before + 0.1 * gradient).sign()
                state["m"] = 0.99 * before + 0.01 * gradient


# An eps of 1 for the parameter's size is above the size of all, so that the rate is taken as it is.
_ADAFACTOR = {"eps": (1e-30, 1.0)}
OPTIMIZERS: dict[str, Callable[[Iterable[dict[str, Any]]], torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, alpha=0.9, eps=1e-8),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "lamb": Lamb,
    "lion": Lion,
    "adafactor": lambda groups: torch.optim.Adafactor(groups, **_ADAFACTOR),
}
# Whose weight decay is its own, and decoupled.
DECAYING = ("adamw", "lamb", "adafactor")


def main() -> None:
    data, output = sys.argv[1:]
    torch.set_num_threads(1)
    with np.load(data) as arrays:
        given = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    losses = {}
    for name, options in SETTINGS.items():
        network = Network()
        with torch.no_grad():
            for parameter, value in network.named_parameters():
                value.copy_(given[parameter])
        losses[name] = training(network, options, given)
    np.savez(output, **losses)


def training(
    network: Network, options: Mapping[str, Any], given: Mapping[str, torch.Tensor]
) -> np.ndarray:
    """The loss of each batch, and that of all of them at the end, of the average if there is one."""
    optimizer = options["optimizer"]
    decay, rate = options.get("weight_decay", 0.0), options.get("rate", {})
    decay = decay if isinstance(decay, dict) else {"*": decay}
    groups = [
        {
            "params": [parameter],
            "lr": RATES[optimizer] * _last(rate, name, 1.0),
            "decay": _last(decay, name, 0.0),
        }
        for name, parameter in network.named_parameters()
    ]
    for group in groups:
        group["weight_decay"] = group["decay"] if optimizer in DECAYING else 0.0
    steps = OPTIMIZERS[optimizer](groups)
    average = None
    if "ema" in options:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(options["ema"]))
    found = []
    batches = options.get("accumulation_steps", 1)
    for step in range(STEPS):
        loss = nn.functional.cross_entropy(network(given["x"][step]), given["labels"][step])
        (loss / batches).backward()
        found.append(loss.item())
        if (step + 1) % batches:
            continue
        if "clip_value" in options:
            nn.utils.clip_grad_value_(network.parameters(), options["clip_value"])
        if "clip_norm" in options:
            nn.utils.clip_grad_norm_(network.parameters(), options["clip_norm"])
        if optimizer not in DECAYING:
            with torch.no_grad():
                for group in groups:
                    group["params"][0].mul_(1 - group["lr"] * group["decay"])
        steps.step()
        steps.zero_grad()
        if average is not None:
            average.update_parameters(network)
    evaluated = network if average is None else average
    with torch.no_grad():
        logits = evaluated(given["x"].flatten(0, 1))
        found.append(nn.functional.cross_entropy(logits, given["labels"].flatten()).item())
    return np.array(found)


def _last(numbers: Mapping[str, float], name: str, otherwise: float) -> float:
    """The number of the last glob that matches."""
    matching = [number for glob, number in numbers.items() if fnmatchcase(name, glob)]
    return matching[-1] if matching else otherwise


if __name__ == "__main__":
    main()
