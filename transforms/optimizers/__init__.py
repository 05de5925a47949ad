"""The optimizers, one file each, in one table.

svgd is T, and one of them on what T makes of the gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

from svgd_onnx.errors import UserError, check_choice, option
from svgd_onnx.transforms.optimizers.adafactor import ADAFACTOR
from svgd_onnx.transforms.optimizers.adamw import ADAMW
from svgd_onnx.transforms.optimizers.lamb import LAMB
from svgd_onnx.transforms.optimizers.lion import LION
from svgd_onnx.transforms.optimizers.momentum import MOMENTUM
from svgd_onnx.transforms.optimizers.nesterov import NESTEROV
from svgd_onnx.transforms.optimizers.optimizer import Optimizer, Option
from svgd_onnx.transforms.optimizers.rmsprop import RMSPROP
from svgd_onnx.transforms.optimizers.sgd import SGD

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD,
    "momentum": MOMENTUM,
    "nesterov": NESTEROV,
    "rmsprop": RMSPROP,
    "adam": ADAMW,  # which is Adam, where no weight decays
    "adamw": ADAMW,
    "lamb": LAMB,
    "lion": LION,
    "adafactor": ADAFACTOR,
}
"""Update rules by name."""

SVGD = "svgd"
UNDER_T = ("sgd", "momentum")
"""The update rules of svgd, the simplest first; each takes the options of those before it."""

OPTIMIZER_NAMES = (SVGD, *OPTIMIZERS)

__all__ = [
    "OPTIMIZERS",
    "OPTIMIZER_NAMES",
    "SVGD",
    "UNDER_T",
    "Optimizer",
    "Option",
    "update_rule",
]


def update_rule(optimizer: str, given: Mapping[str, float]) -> tuple[str, dict[str, float]]:
    """The update rule of an optimizer, and values for all of its hyper-parameters.

    Args:
        optimizer: one of `OPTIMIZER_NAMES`.
        given: the options of optimizers that the user set, by name, but weight decay. Under svgd
            an option of 0 asks for nothing.

    Raises:
        UserError: there is no such optimizer, an option is out of range, or it is of another optimizer.
    """
    check_choice("optimizer", optimizer, (SVGD, *OPTIMIZERS))
    rules = UNDER_T if optimizer == SVGD else (optimizer,)
    taken = OPTIMIZERS[rules[-1]].options
    for name, value in given.items():
        owners = [owner for owner, each in OPTIMIZERS.items() if name in each.options]
        known = taken[name] if name in taken else OPTIMIZERS[owners[0]].options[name]
        known.check(name, value)
        if name not in taken:
            raise UserError(f"{option(name)} does not go with the optimizer {optimizer}.")
    wanted = {name for name, value in given.items() if value}
    rule = next(name for name in rules if wanted <= OPTIMIZERS[name].options.keys())
    defaults = OPTIMIZERS[rule].defaults
    return rule, {name: given.get(name, default) for name, default in defaults.items()}
