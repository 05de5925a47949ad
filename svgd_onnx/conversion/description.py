"""The manifest's account of a model and of what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
import onnx_ir as ir

from svgd_onnx.conversion.batch_axes import BatchAxes
from svgd_onnx.conversion.fixed_batch import outcome
from svgd_onnx.conversion.loss_terms import PlannedLoss
from svgd_onnx.conversion.options import UpdateSettings
from svgd_onnx.conversion.plan import TrainingPlan, initial_value
from svgd_onnx.errors import UserError
from svgd_onnx.manifest import (
    AS_IT_CAME,
    CANONICAL_FORM,
    Dimension,
    LossTerm,
    Manifest,
    Operation,
    Parameter,
    Quantization,
    Tensor,
)
from svgd_onnx.records import LowRank
from svgd_onnx.runtime import installed_packages
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.separate_vectors import SEPARATED_FROM
from svgd_onnx.transforms.emit import ExportedModel, OwnScale
from svgd_onnx.transforms.emit.final_names import FinalNames
from svgd_onnx.transforms.index_ranges import index_range
from svgd_onnx.transforms.parameters import Selection
from svgd_onnx.transforms.stored_types import QUANTIZATION, SINGLE, stored_as
from svgd_onnx.transforms.virtualize import ParameterUse
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings
from svgd_onnx.version import __version__


def describe(
    plan: TrainingPlan,
    uses: Sequence[ParameterUse],
    virtual_gradient: VirtualGradientSettings,
    update: UpdateSettings,
    *,
    target: str,
    t_kernel: str,
    accumulation_steps: int,
    differentiator: str,
    recompute: bool,
) -> Manifest:
    """What `svgd.json` says of a conversion.

    Raises:
        UserError: the type or the shape of an input or output is unknown.
    """
    graph = plan.canonical.graph
    names = FinalNames(plan.own_names)
    terms = [describe_loss(each, plan.batch_axes) for each in plan.losses]
    of_t = virtual_gradient.hyper_parameters if update.adapts else {}
    return Manifest(
        versions={"svgd-onnx": __version__, "onnx": onnx.__version__, **installed_packages()},
        target=target,
        loss=terms[0].loss,
        loss_settings=terms[0].settings,
        prediction=terms[0].prediction,
        logits=terms[0].logits,
        logits_shape=terms[0].logits_shape,
        inputs=[describe_tensor(value, plan.batch_axes) for value in graph.inputs],
        label=terms[0].label,
        outputs=[describe_tensor(value, plan.batch_axes) for value in graph.outputs],
        optimizer=update.optimizer,
        update=update.rule,
        hyper_parameters={**of_t, **update.hyper_parameters, "l1": update.l1},
        t_kernel=t_kernel,
        random=any(node.op_type == "Dropout" for node in all_nodes(plan.forward.graph)),
        parameters=describe_parameters(
            graph, plan.selection, l1=update.l1 > 0, exported=plan.exported
        ),
        operations=[describe_operation(use, names) for use in uses],
        accumulation_steps=accumulation_steps,
        rates=dict(update.rate),
        weight_decays=update.decays_of_groups,
        differentiator=differentiator,
        encapsulation=virtual_gradient.encapsulation,
        recompute=recompute,
        exported=AS_IT_CAME if plan.exported.obstacle is None else CANONICAL_FORM,
        fixed_batch=outcome(plan.canonical),
        num_classes=plan.finetuning.classes,
        lora=describe_adapters(plan),
        class_axis_reason=terms[0].class_axis_reason,
        losses=terms if len(terms) > 1 or terms[0].weight != 1 or terms[0].source else [],
    )


def describe_loss(planned: PlannedLoss, axes: BatchAxes) -> LossTerm:
    """A loss, and what it compares.

    Raises:
        UserError: the type or the shape of its label is unknown.
    """
    label = planned.label
    return LossTerm(
        loss=planned.loss.name,
        settings=replace(planned.settings, class_axis=planned.class_axis),
        prediction=unquoted(planned.prediction),
        logits=unquoted(planned.logits.name or ""),
        logits_shape=_shape(planned.logits),
        label=None if label is None else describe_tensor(label, axes),
        weight=planned.weight,
        source=planned.source,
        class_axis_reason=planned.class_axis_reason,
    )


def describe_adapters(plan: TrainingPlan) -> LowRank | None:
    """The low-rank adapters, and what export does with each."""
    done = plan.finetuning
    if not done.adapters:
        return None
    adapters = [replace(each, merged=plan.merging[each.weight]) for each in done.adapters]
    factors = {name for each in done.adapters for name in (each.down, each.up)}
    changed = dict.fromkeys(map(unquoted, (*plan.selection.trainable, *plan.anew)))
    whole = [name for name in changed if name not in factors]
    return LowRank(done.rank, done.alpha, list(done.targets), adapters, whole)


def describe_tensor(value: ir.Value, axes: BatchAxes) -> Tensor:
    """An input or output.

    Args:
        value: the tensor.
        axes: the axis of examples of each.

    Raises:
        UserError: its type or shape is unknown, or it is text that goes in.
    """
    if value.dtype is None:
        raise UserError(f"The type of '{value.name}' is unknown: export the model with types.")
    name = value.name or ""
    if value.is_graph_input() and value.dtype == ir.DataType.STRING:
        raise UserError(
            f"The input '{unquoted(name)}' is text, and data for training are numbers: export the model "
            "without what makes numbers of it."
        )
    range_ = index_range(value) if value.is_graph_input() and value.dtype.is_integer() else None
    lowest, highest = range_ or (None, None)
    return Tensor(
        unquoted(name), str(value.dtype.numpy()), _shape(value), axes[name], lowest, highest
    )


def describe_parameters(
    graph: ir.Graph, selection: Selection, *, l1: bool, exported: ExportedModel | None = None
) -> list[Parameter]:
    """The tensors that go into the checkpoint; the types that they are exported in, if not as they came."""
    trainable, decayed = set(selection.trainable), set(selection.decayed)
    statistics = {
        value
        for node in all_nodes(graph)
        if node.op_type == "BatchNormalization"
        for value in node.inputs[3:5]
    }
    described = []
    for name in selection.all:
        value = graph.initializers[name]
        dtype = stored_as(value) if exported is None else exported.stored_as[name]
        own = None if exported is None else exported.own_scales.get(unquoted(name))
        described.append(
            Parameter(
                unquoted(name),
                list(initial_value(graph, name).shape.numpy()),
                trainable=name in trainable,
                l1=l1 and name in decayed,
                separated_from=value.meta.get(SEPARATED_FROM),
                stored_as=dtype,
                quantization=None if dtype == SINGLE else _quantization(value, own),
                statistic=value in statistics,
            )
        )
    return described


def _quantization(value: ir.Value, own: OwnScale | None) -> Quantization | None:
    """How the model as it came has an initializer in integers."""
    given = value.meta.get(QUANTIZATION)
    if given is None:
        return None
    scale, zero_point = given.scale.reshape(-1).tolist(), given.zero_point.reshape(-1).tolist()
    if own is None:
        return Quantization(scale, zero_point, given.axis)
    shape = list(given.scale.shape)
    return Quantization(scale, zero_point, given.axis, own.value.name, shape, own.follows)


def describe_operation(use: ParameterUse, names: FinalNames | None = None) -> Operation:
    """An element of sigma-prime.

    Args:
        use: the element.
        names: what is called how in artifacts; None where there are none.
    """
    state = use.state
    if state is not None:
        state = unquoted(state) if names is None else names.of(state)
    return Operation(
        node=unquoted(use.node),
        op_type=use.op_type,
        parameter=unquoted(use.parameter),
        role=use.role,
        output=unquoted(use.output),
        reason=unquoted(use.reason),
        state=state,
        state_shape=list(use.state_shape),
        granularity="element" if use.channel_axis is None else "channel",
        open_axes=list(use.open_axes),
    )


def _shape(value: ir.Value) -> list[Dimension]:
    if value.shape is None:
        raise UserError(f"The shape of '{value.name}' is unknown: export the model with shapes.")
    return [dim if isinstance(dim, int) else str(dim.value or "?") for dim in value.shape]
