"""What SVGD makes of a model: sigma-prime, T's decisions, and the memory they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from svgd_onnx.conversion.description import describe_operation, describe_parameters
from svgd_onnx.conversion.model import load_model
from svgd_onnx.conversion.plan import initial_value
from svgd_onnx.errors import UserError, option
from svgd_onnx.files import PathLike
from svgd_onnx.manifest import FILE_NAME, Manifest, Operation, Parameter
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import training_form
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse
from svgd_onnx.transforms.optimizers import OPTIMIZERS
from svgd_onnx.transforms.parameters import Selection, select_parameters
from svgd_onnx.transforms.virtualize import VirtualGradientSettings, sigma_prime
from svgd_onnx.transforms.writer import Writer

# What makes of a tensor what it is not taken for.
_OTHERWISE = {"trained": "freeze", "constant": "train"}


@dataclass(frozen=True)
class TensorRole:
    """What an initializer is taken for.

    Attributes:
        name: its name.
        shape: its shape.
        role: "trained", "frozen", "statistics" or "constant".
        reason: why.
        decide_with: the option that decides otherwise, "train" or "freeze", where there is doubt.
    """

    name: str
    shape: list[int]
    role: str
    reason: str
    decide_with: str | None = None


@dataclass(frozen=True)
class Inspection:
    """A model seen through SVGD.

    Attributes:
        operations: sigma-prime.
        parameters: everything learned, trainable or not.
        refusal: what `convert` would raise, if operators without a gradient are in its way. Not looked
            for in a model with several outputs, of which `convert` is told one.
        tensors: what each floating-point initializer of a model is taken for; none of a folder.
        manifest: of a folder of artifacts, all that it says; None for a model.
    """

    operations: list[Operation]
    parameters: list[Parameter]
    refusal: UserError | None = None
    tensors: Sequence[TensorRole] = ()
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
    tensors = _tensor_roles(model.graph, selection)
    copies = training_form(model, selection.trainable, selection.untrained, frozen=selection.frozen)
    gradients, refusal = _gradients(model, copies)
    try:
        uses = sigma_prime(model.graph, copies, virtual_gradient, gradients)
    except UserError as error:
        # as convert: what follows an operator that is refused may have no known shape
        raise refusal or error from None
    return Inspection([describe_operation(use) for use in uses], parameters, refusal, tensors)


def _tensor_roles(graph: ir.Graph, selection: Selection) -> list[TensorRole]:
    roles = {
        **dict.fromkeys(selection.trainable, "trained"),
        **dict.fromkeys(selection.frozen, "frozen"),
    }
    found = [
        TensorRole(
            name,
            list(initial_value(graph, name).shape.numpy()),
            roles.get(name, "constant"),
            verdict.reason,
            _OTHERWISE.get(roles.get(name, "constant")) if verdict.doubtful else None,
        )
        for name, verdict in selection.verdicts.items()
    ]
    running = [
        TensorRole(
            name,
            list(initial_value(graph, name).shape.numpy()),
            "statistics",
            "running statistics of BatchNormalization",
        )
        for name in selection.statistics
    ]
    return [*found, *running]


def _gradients(
    model: ir.Model, copies: Mapping[str, Sequence[str]]
) -> tuple[ir.Graph | None, UserError | None]:
    """The gradient graph of a model with one output, or why there is none."""
    if len(model.graph.outputs) > 1:
        return None, None
    try:
        return differentiate_in_reverse(_summed(model), copies).graph, None
    except UserError as error:
        return None, error


def _summed(model: ir.Model) -> ir.Model:
    """A copy whose output is the sum of all that the model gives, which stands for any loss."""
    copy = model.clone()
    (output,) = copy.graph.outputs
    write = Writer("summed", copy.graph.opset_imports[""])
    total = write.node("ReduceSum", output, keepdims=0)
    total.shape, total.type = ir.Shape(()), output.type
    write.append_to(copy.graph)
    copy.graph.outputs[0] = total
    return copy
