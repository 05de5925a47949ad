"""What SVGD makes of a model: sigma-prime, T's decisions, and the memory they cost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from svgd_onnx.conversion import describe_operation, describe_parameters, load_model
from svgd_onnx.manifest import FILE_NAME, Manifest, Operation, Parameter
from svgd_onnx.parameters import select_parameters
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import training_form
from svgd_onnx.transforms.emit import OPTIMIZERS
from svgd_onnx.transforms.virtualize import TScope, sigma_prime


@dataclass(frozen=True)
class Inspection:
    """A model seen through SVGD.

    Attributes:
        operations: sigma-prime.
        parameters: everything learned, trainable or not.
    """

    operations: list[Operation]
    parameters: list[Parameter]

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all trainable parameters."""
        return sum(item.nbytes for item in self.parameters if item.trainable)

    @property
    def state_bytes(self) -> dict[str, int]:
        """Bytes of optimizer state that each method needs, by its name."""
        rules = {
            name: rule.state_tensors * self.parameter_bytes for name, rule in OPTIMIZERS.items()
        }
        return {"svgd": sum(item.state_nbytes for item in self.operations), **rules}


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Inspects an ONNX model, or a folder of training artifacts.

    Args:
        path: the model, with all its parameters trained by SVGD; or the folder, as converted.

    Raises:
        UserError: it is neither, or SVGD cannot train it.
    """
    source = Path(path)
    if source.is_dir() or source.name == FILE_NAME:
        manifest = Manifest.load(source if source.is_dir() else source.parent)
        return Inspection(manifest.operations, manifest.parameters)
    model = canonicalize(load_model(source))
    selection = select_parameters(model)
    parameters = describe_parameters(model.graph, selection, l1=False)
    copies = training_form(model, selection.trainable, selection.untrained)
    uses = sigma_prime(model.graph, copies, TScope())
    return Inspection([describe_operation(use) for use in uses], parameters)
