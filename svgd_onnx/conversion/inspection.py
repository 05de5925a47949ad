"""What SVGD makes of a model: sigma-prime, T's decisions, and the memory they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from svgd_onnx.conversion.description import describe_operation, describe_parameters
from svgd_onnx.conversion.model import load_model
from svgd_onnx.errors import UserError, option
from svgd_onnx.files import PathLike
from svgd_onnx.manifest import FILE_NAME, Manifest, Operation, Parameter
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import training_form
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse
from svgd_onnx.transforms.optimizers import OPTIMIZERS
from svgd_onnx.transforms.parameters import select_parameters
from svgd_onnx.transforms.virtualize import VirtualGradientSettings, sigma_prime


@dataclass(frozen=True)
class Inspection:
    """A model seen through SVGD.

    Attributes:
        operations: sigma-prime.
        parameters: everything learned, trainable or not.
        refusal: what `convert` would raise, if operators without a gradient are in its way. Not looked
            for in a model with several outputs, of which `convert` is told one.
        manifest: of a folder of artifacts, all that it says; None for a model.
    """

    operations: list[Operation]
    parameters: list[Parameter]
    refusal: UserError | None = None
    manifest: Manifest | None = None

    @property
    def obstacle(self) -> str | None:
        """The refusal in words."""
        return None if self.refusal is None else str(self.refusal)

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


def inspect(
    path: PathLike,
    *,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    t_scope: Sequence[str] = VirtualGradientSettings.t_scope,
    granularity: str = VirtualGradientSettings.granularity,
) -> Inspection:
    """Inspects an ONNX model, or a folder of training artifacts.

    Args:
        path: the model, as SVGD would train it; or the folder, as converted.
        train, freeze, t_scope, granularity: as for `convert`; not of a folder.

    Raises:
        UserError: it is neither, an option does not fit, or it has nothing to train.
    """
    virtual_gradient = VirtualGradientSettings(t_scope=t_scope, granularity=granularity)
    virtual_gradient.check()
    source = Path(path)
    if source.is_dir() or source.name == FILE_NAME:
        if train or freeze or virtual_gradient != VirtualGradientSettings():
            options = ", ".join(map(option, ("train", "freeze", "t_scope")))
            raise UserError(
                f"'{path}' shows what was made, with its own options: leave out {options} and "
                f"{option('granularity')}, or inspect the model."
            )
        manifest = Manifest.load(source if source.is_dir() else source.parent)
        return Inspection(manifest.operations, manifest.parameters, manifest=manifest)
    model = canonicalize(load_model(source))
    selection = select_parameters(model, train, freeze)
    parameters = describe_parameters(model.graph, selection, l1=False)
    copies = training_form(model, selection.trainable, selection.untrained)
    refusal = _refusal(model, copies)
    try:
        uses = sigma_prime(model.graph, copies, virtual_gradient)
    except UserError as error:
        # as convert: what follows an operator that is refused may have no known shape
        raise refusal or error from None
    return Inspection([describe_operation(use) for use in uses], parameters, refusal)


def _refusal(model: ir.Model, copies: Mapping[str, Sequence[str]]) -> UserError | None:
    if len(model.graph.outputs) > 1:
        return None
    try:
        differentiate_in_reverse(model, copies)
    except UserError as error:
        return error
    return None
