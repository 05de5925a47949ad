"""What SVGD makes of a model: sigma-prime, T's decisions, and the memory they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from svgd_onnx import argument_types
from svgd_onnx.conversion.batch_axes import find_batch_axes
from svgd_onnx.conversion.description import (
    describe_operation,
    describe_parameters,
    describe_tensor,
)
from svgd_onnx.conversion.encapsulation import (
    check_differentiator,
    differentiator_for,
    virtual_gradients,
)
from svgd_onnx.conversion.example_batch import made_up_batch, sized_values
from svgd_onnx.conversion.fixed_batch import outcome
from svgd_onnx.conversion.garbage import garbage_kept
from svgd_onnx.conversion.idle_options import of_model, warn_of
from svgd_onnx.conversion.inference import NotRunError
from svgd_onnx.conversion.keywords import keywords_of, take
from svgd_onnx.conversion.memory.estimate import MemoryEstimate, check_sizes, estimate_memory
from svgd_onnx.conversion.memory.of_model import estimate_of_model
from svgd_onnx.conversion.model import model_at_fault
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import TrainingPlan, plan_of, read_model, select
from svgd_onnx.conversion.probabilities import refuse_probabilities
from svgd_onnx.conversion.tensor_roles import TensorRole, tensor_roles
from svgd_onnx.errors import UserError, check_choice, listed, option
from svgd_onnx.files import PathLike
from svgd_onnx.manifest import FILE_NAME, FixedBatch, Manifest, Operation, Parameter, Tensor
from svgd_onnx.runtime import installed_packages
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import TARGETS, target_here
from svgd_onnx.targets.update_bytes import update_bytes
from svgd_onnx.transforms.canonicalize.fix_sizes import check_axes
from svgd_onnx.transforms.differentiate import training_form
from svgd_onnx.transforms.lower import operators_of
from svgd_onnx.transforms.optimizers import OPTIMIZERS, SVGD
from svgd_onnx.transforms.parameters import Selection
from svgd_onnx.transforms.virtualize import (
    ParameterUse,
    VirtualGradientSettings,
    sigma_prime,
)


@dataclass(frozen=True)
class Inspection:
    """A model seen through SVGD.

    Attributes:
        operations: sigma-prime.
        parameters: everything learned, trainable or not.
        refusal: what `convert` would raise with the same options.
        arrays: what a training step takes of data; of a model without the label.
        fixed_batch: what became of a batch axis that the file fixes.
        tensors: what each floating-point initializer of a model is taken for; none of a folder.
        manifest: of a folder of artifacts, all that it says; None for a model.
        memory: what a training step takes, by the batch; of a model under SVGD. None where that is not known.
        memory_unknown: why it is not.
    """

    operations: list[Operation]
    parameters: list[Parameter]
    refusal: UserError | None = None
    tensors: Sequence[TensorRole] = ()
    arrays: Sequence[Tensor] = ()
    fixed_batch: FixedBatch | None = None
    manifest: Manifest | None = None
    memory: MemoryEstimate | None = None
    memory_unknown: UserError | None = None

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
        """Bytes of optimizer state that each method needs, by its name; of a folder that of its own."""
        shapes = [item.shape for item in self.parameters if item.trainable]
        rules = {name: 4 * sum(map(rule.state_size, shapes)) for name, rule in OPTIMIZERS.items()}
        r = sum(item.state_nbytes for item in self.operations)
        if self.manifest is None:
            return {SVGD: r, **rules}
        return {self.manifest.optimizer: r + update_bytes(self.manifest)}


@keywords_of(TrainingSettings, VirtualGradientSettings)
def inspect(
    path: PathLike,
    *,
    target: str | None = None,
    random_size: Mapping[str, int] | None = None,
    **settings: Any,
) -> Inspection:
    """Inspects an ONNX model, or a folder of training artifacts.

    Where an onnxruntime is installed, the model runs once on made-up data: what `convert` refuses then is said.

    Args:
        path: the model, as SVGD would train it; or the folder, as converted.
        target: as for `convert`.
        random_size: of open axes of the made-up data, as for `convert`, and of the step whose memory is told.
        **settings: the fields of `TrainingSettings` and `VirtualGradientSettings`, as for `convert`; not
            of a folder.

    Returns:
        What T acts on, what is trained, and what that takes.

    Raises:
        UserError: it is neither, an option does not fit, or it has nothing to train.

    Example:
        >>> found = svgd_onnx.inspect("model.onnx")
        >>> {each.parameter: each.state_shape for each in found.operations if each.state}
        {'fc1.weight': [16], 'fc2.weight': [10]}
        >>> found.parameter_bytes, found.state_bytes["svgd"], found.state_bytes["adamw"]
        (4840, 104, 9680)
    """
    training = take(TrainingSettings, settings)
    virtual_gradient = take(VirtualGradientSettings, settings)
    training.check()
    virtual_gradient.check()
    target = target_here() if target is None else target
    check_choice("target", target, TARGETS)
    source = argument_types.path("path", path)
    if source.is_dir() or source.name == FILE_NAME:
        folder, manifest = folder_as_made(source, training, virtual_gradient)
        check_sizes(manifest, random_size or {})
        return Inspection(
            manifest.operations,
            manifest.parameters,
            arrays=manifest.arrays,
            fixed_batch=manifest.fixed_batch,
            manifest=manifest,
            **_memory(lambda: estimate_memory(folder, manifest, random_size)),
        )
    with garbage_kept(), model_at_fault(source):
        return _inspect_model(source, training, virtual_gradient, target, random_size)


def folder_as_made(
    path: Path, training: TrainingSettings, virtual_gradient: VirtualGradientSettings
) -> tuple[Path, Manifest]:
    """A folder of artifacts, which has options of its own, by its name or that of its manifest.

    Raises:
        UserError: options were given, or it is none.
    """
    given = _given(training, virtual_gradient, training.loss_settings)
    if given:
        raise UserError(
            f"'{path}' shows what was made, with its own options: leave out {listed(given)}, or inspect "
            "the model."
        )
    folder = path if path.is_dir() else path.parent
    manifest = Manifest.load(folder)
    check_choice("target", manifest.target, TARGETS)
    check_choice("optimizer", manifest.update, OPTIMIZERS)
    return folder, manifest


def _inspect_model(
    source: Path,
    training: TrainingSettings,
    virtual_gradient: VirtualGradientSettings,
    target: str,
    sizes: Mapping[str, int] | None,
) -> Inspection:
    as_it_came, model = read_model(source, training)
    selection = select(as_it_came, model, training)
    parameters = describe_parameters(model.graph, selection, l1=False)
    tensors = tensor_roles(model.graph, selection)
    axes = find_batch_axes(model.graph, _prediction(model.graph, training), training.batch_axis)
    arrays = [describe_tensor(value, axes) for value in model.graph.inputs]
    refusal = None
    memory: dict[str, Any] = {}
    try:
        plan, gradients, uses, maker = _as_converted(
            as_it_came, model.clone(), training, virtual_gradient, target
        )
    except UserError as error:
        refusal = error
        check_axes("random_size", sizes or {}, model.graph.inputs)
        try:
            uses = _without_loss(model, selection, training, virtual_gradient)
        except UserError:
            # what follows an operator that is refused may have no known shape
            raise refusal from None
    else:
        check_axes("random_size", sizes or {}, sized_values(plan))
        warn_of(of_model(plan, training))
        refusal = _refused_when_it_runs(plan, sizes)
        memory = _memory(
            lambda: estimate_of_model(plan, gradients, uses, maker, virtual_gradient, target, sizes)
        )
    operations = [describe_operation(use) for use in uses]
    return Inspection(operations, parameters, refusal, tensors, arrays, outcome(model), **memory)


def _memory(estimate: Callable[[], MemoryEstimate]) -> dict[str, Any]:
    """The fields of an inspection that tell of memory."""
    try:
        return {"memory": estimate()}
    except UserError as error:
        return {"memory_unknown": error}


def _given(*settings: Any) -> list[str]:
    """The options that are not as they are by default."""
    return [
        option(field.name)
        for each in settings
        for field in fields(each)
        if getattr(each, field.name) != getattr(type(each)(), field.name)
        and not is_dataclass(getattr(each, field.name))
    ]


def _as_converted(
    source: ir.Model,
    model: ir.Model,
    training: TrainingSettings,
    virtual_gradient: VirtualGradientSettings,
    target: str,
) -> tuple[TrainingPlan, ir.Model, Sequence[ParameterUse], str]:
    """The plan, the gradients, sigma-prime and who made these, as in `convert`; raises what that would."""
    check_differentiator(virtual_gradient, training.differentiator)
    plan = plan_of(source, model, training)
    runtime = TARGETS[target]
    wanted = differentiator_for(runtime, training.differentiator)
    gradients, uses, maker = virtual_gradients(plan, virtual_gradient, wanted)
    runtime.lower(gradients.clone(), maker, operators_of(plan.forward))
    return plan, gradients, uses, maker


def _refused_when_it_runs(plan: TrainingPlan, sizes: Mapping[str, int] | None) -> UserError | None:
    """What `convert` would say of the prediction on made-up data."""
    if not installed_packages():
        return None
    try:
        with suppress(NotRunError):
            _, predictions = made_up_batch(plan, sizes)
            refuse_probabilities(plan, predictions)
    except UserError as error:
        return error
    return None


def _without_loss(
    model: ir.Model,
    selection: Selection,
    training: TrainingSettings,
    virtual_gradient: VirtualGradientSettings,
) -> Sequence[ParameterUse]:
    """Sigma-prime of a model that is refused: of all its outputs, whatever the loss."""
    copies = training_form(
        model,
        selection.trainable,
        selection.untrained,
        frozen=selection.frozen,
        freeze_bn=training.freeze_bn or training.lora is not None,
    )
    return sigma_prime(model.graph, copies, virtual_gradient)


def _prediction(graph: ir.Graph, training: TrainingSettings) -> str | None:
    """The output that the loss compares; None where it is not said which, or wrongly."""
    names = {unquoted(value.name or ""): value.name for value in graph.outputs}
    return names.get(next(iter(training.losses), None) or "")
