"""What `train -v` and `train --json` say of what runs the steps."""

from __future__ import annotations

from typing import Any

from svgd_onnx.errors import counted, listed
from svgd_onnx.runtime import installed_packages
from svgd_onnx.terminal import say
from svgd_onnx.training.trainer import Trainer

_CPU = "cpu"


def what_runs(trainer: Trainer) -> dict[str, Any]:
    """Kernels, onnxruntime, the device, and how many nodes each execution provider has, if that is known."""
    return {
        "kernels": trainer.kernels,
        "onnxruntime": installed_packages(),
        "device": trainer.device,
        "nodes": {name: each.total() for name, each in trainer.nodes.items()},
    }


def say_what_runs(trainer: Trainer) -> bool:
    """Says whose kernels run, on which onnxruntime and where; whether all of it is known before a step."""
    ((package, version),) = installed_packages().items()
    where = "" if trainer.device == _CPU else f", on the device {trainer.device}"
    say(f"Steps run with {trainer.kernels} kernels{where}, on {package} {version}.")
    return trainer.device == _CPU or say_placement(trainer)


def say_placement(trainer: Trainer) -> bool:
    """Says which nodes fell back to the processor, if it is known where they are; whether it is."""
    if not trainer.nodes:
        return False
    whole = sum(each.total() for each in trainer.nodes.values())
    parts = []
    for name, operators in trainer.nodes.items():
        kinds = ""
        if name == "CPUExecutionProvider":
            kinds = f" ({listed(f'{kind} {count}' for kind, count in operators.most_common())})"
        parts.append(f"{operators.total()} by {name}{kinds}")
    say(f"Of {counted(whole, 'node')} of a step run {', '.join(parts)}.")
    return True
