"""From an exported model to training artifacts: the whole way of the data, in one function."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Union

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError, first_line
from svgd_onnx.files import whole_folder
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.manifest import Dimension, Manifest, Operation, Parameter, Tensor
from svgd_onnx.runtime import custom_op_library, installed_packages, training_binding
from svgd_onnx.targets import ORT_TRAINING, TARGETS
from svgd_onnx.targets.graphs import TrainingGraphs
from svgd_onnx.targets.ort_training.artifacts import write as write_ort_training
from svgd_onnx.targets.standard_onnx.artifacts import write as write_standard_onnx
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import (
    ParametersAsInputs,
    differentiate,
    training_form,
)
from svgd_onnx.transforms.emit.ort_training import OPTIMIZERS
from svgd_onnx.transforms.losses import LOSSES, Loss, check_settings
from svgd_onnx.transforms.losses.add_loss import AddLoss
from svgd_onnx.transforms.losses.loss_dependence import CheckLossDependence
from svgd_onnx.transforms.parameters import Selection, select_parameters
from svgd_onnx.transforms.virtualize import (
    GRANULARITIES,
    WEIGHTS,
    L1Regularization,
    MergeParameterUses,
    ParameterUse,
    TScope,
    VirtualGradient,
    VirtualGradientAttributes,
    sigma_prime,
)
from svgd_onnx.version import __version__

SVGD = "svgd"
OPTIMIZER_NAMES = (SVGD, *OPTIMIZERS)
T_KERNELS = ("fused", "portable")
GRADIENTS = ("graph", "example")

DEFAULT_SCALE = 0.01
DEFAULT_RHO = 0.9
DEFAULT_EPSILON = 1e-6

PathLike = Union[str, "os.PathLike[str]"]

_DEFAULT_LOSS = LossSettings()


def convert(
    model: PathLike | onnx.ModelProto,
    output: PathLike,
    *,
    loss: str = "cross-entropy",
    loss_settings: LossSettings = _DEFAULT_LOSS,
    prediction: str | None = None,
    optimizer: str = SVGD,
    scale: float = DEFAULT_SCALE,
    rho: float = DEFAULT_RHO,
    epsilon: float = DEFAULT_EPSILON,
    momentum: float | None = None,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    freeze_bn: bool = False,
    t_scope: Sequence[str] = (WEIGHTS,),
    granularity: str = "auto",
    gradient: str = "graph",
    t_kernel: str | None = None,
    target: str = ORT_TRAINING,
    accumulation_steps: int = 1,
    force: bool = False,
) -> Manifest:
    """Makes a folder of training artifacts from an exported ONNX model.

    For the target ort-training the folder holds `training_model.onnx`, `eval_model.onnx`,
    `optimizer_model.onnx`, `checkpoint` and `svgd.json`. The first four are what onnxruntime's own
    training API loads. For the target onnx it holds `training_step.onnx`, `eval_model.onnx`,
    `model_without_weights.onnx`, `checkpoint.safetensors` and `svgd.json`.

    Args:
        model: an ONNX file, or the model itself.
        output: the folder to make.
        loss: "cross-entropy" (logits (N, C, ...), labels (N, ...) int64), "mse", "bce-with-logits" or
            "l1" (prediction and target of one shape, float32); or "none" if the prediction is itself
            the loss, one float32 number.
        loss_settings: reduction, class axis, class weights, labels to ignore, label smoothing.
        prediction: the model's output that the loss compares; needed if it has several.
        optimizer: "svgd", or without T "sgd", "momentum", "rmsprop", "adamw".
        scale: T's factor s (paper Algorithm 1).
        rho: T's decay of r, in [0, 1).
        epsilon: T's epsilon, > 0.
        momentum: of "momentum" (default 0.9), or of the update on top of "svgd" (default 0).
        weight_decay: decoupled weight decay of "adamw".
        l1: lambda of L1 regularization, on weights and biases; 0 is none.
        train: globs; if given, only parameters that match one are trained.
        freeze: globs; parameters that match one are not trained.
        freeze_bn: whether BatchNormalization keeps its running statistics, and normalizes with them.
        t_scope: where T acts: ("weights",) on weights of Gemm, MatMul, Conv and ConvTranspose,
            ("all-linear",) on every parameter in which its operation is linear, or globs for such
            parameters.
        granularity: "element" for an r of the shape of the operation's output without its batch axis,
            "channel" for one entry a channel, "auto" for element where those sizes are fixed.
        gradient: what feeds r: "graph" for the gradient as it stands in the training graph, that of
            the mean loss; "example" for that of each example's loss, as Algorithm 1 is written.
        t_kernel: "fused" for the custom operator library, "portable" for standard operators; None is
            fused for the target ort-training and portable for onnx.
        target: "ort-training" for onnxruntime's training session, "onnx" for one step as a model of
            standard operators, which any onnxruntime runs.
        accumulation_steps: batches of a step, over which gradients are averaged; of the target onnx.
        force: whether to replace a folder that is not empty.

    Returns:
        The manifest that was written as `svgd.json`.

    Raises:
        UserError: the model, an option or the output folder is at fault. Nothing is written then.
    """
    update, hyper_parameters = _check_options(
        loss, optimizer, scale, rho, epsilon, momentum, weight_decay, l1
    )
    check_choice("target", target, TARGETS)
    if t_kernel is None:
        t_kernel = "fused" if target == ORT_TRAINING else "portable"
    check_choice("t-kernel", t_kernel, T_KERNELS)
    _check_accumulation(accumulation_steps, target)
    check_settings(LOSSES[loss], loss_settings)
    check_choice("granularity", granularity, GRANULARITIES)
    check_choice("gradient", gradient, GRADIENTS)
    scope = TScope(tuple(t_scope) if optimizer == SVGD else (), granularity)
    training_binding()
    if t_kernel == "fused" and optimizer == SVGD:
        custom_op_library()
    with whole_folder(Path(output), force=force) as folder, _garbage_kept():
        canonical = canonicalize(load_model(model))
        output_name = choose_prediction(canonical.graph, prediction)
        selection = select_parameters(canonical, train, freeze)
        plan = plan_training(
            canonical,
            selection,
            loss=loss,
            loss_settings=loss_settings,
            prediction=output_name,
            scope=scope,
            freeze_bn=freeze_bn,
        )
        training = differentiate(plan.forward, plan.copies)
        # under a sum, dY is that of each example's loss as it stands
        per_example = gradient == "example" and loss_settings.reduction == "mean"
        attributes = VirtualGradientAttributes(scale, rho, epsilon, per_example)
        VirtualGradient(plan.uses, attributes)(training)
        MergeParameterUses(plan.copies)(training)
        if l1 > 0:
            L1Regularization(selection.decayed, l1)(training)
        manifest = Manifest(
            versions=_versions(),
            target=target,
            loss=loss,
            loss_settings=replace(loss_settings, class_axis=plan.class_axis),
            prediction=output_name,
            logits=plan.logits.name or "",
            logits_shape=_shape(plan.logits),
            inputs=[manifest_tensor(value) for value in canonical.graph.inputs],
            label=None if plan.label is None else manifest_tensor(plan.label),
            outputs=[manifest_tensor(value) for value in canonical.graph.outputs],
            optimizer=optimizer,
            update=update,
            hyper_parameters=hyper_parameters,
            t_kernel=t_kernel,
            random=any(node.op_type == "Dropout" for node in plan.forward.graph),
            parameters=describe_parameters(canonical.graph, selection, l1 > 0),
            operations=[describe_operation(use) for use in plan.uses],
            accumulation_steps=accumulation_steps,
        )
        graphs = TrainingGraphs(
            training=training,
            evaluation=plan.evaluation,
            inputs=[tensor.name for tensor in manifest.inputs],
            selection=selection,
            values={
                name: _array(canonical.graph.initializers[name])
                for name in (*selection.trainable, *selection.untrained)
            },
            states={use.state: use.state_shape for use in plan.uses if use.state is not None},
            portable=t_kernel == "portable",
            update=update,
            hyper_parameters=hyper_parameters,
            accumulation_steps=accumulation_steps,
        )
        write = write_ort_training if target == ORT_TRAINING else write_standard_onnx
        write(folder, graphs)
        manifest.save(folder)
    return manifest


@dataclass(frozen=True)
class TrainingPlan:
    """What differentiation starts from.

    Attributes:
        forward: training mode, loss, parameters as inputs, one for each use of a trainable one.
        evaluation: inference mode, loss, parameters as inputs.
        copies: trainable parameter -> the inputs that stand for it in `forward`.
        uses: sigma-prime.
        loss: which.
        prediction: the model's output that the loss compares.
        logits: what the loss reads.
        class_axis: its axis of classes, or None if it has none.
        label: what the loss compares it with, or None if the loss is the model's own.
    """

    forward: ir.Model
    evaluation: ir.Model
    copies: Mapping[str, Sequence[str]]
    uses: list[ParameterUse]
    loss: Loss
    prediction: str
    logits: ir.Value
    class_axis: int | None
    label: ir.Value | None


def plan_training(
    canonical: ir.Model,
    selection: Selection,
    *,
    loss: str,
    loss_settings: LossSettings = _DEFAULT_LOSS,
    prediction: str,
    scope: TScope,
    freeze_bn: bool = False,
    dropout: bool = True,
) -> TrainingPlan:
    """Prepares a canonical model for differentiation, and decides T.

    Args:
        canonical: what `canonicalize` returns.
        selection: its parameters.
        loss: name of the loss.
        loss_settings: of the loss.
        prediction: the output that the loss compares.
        scope: where T acts.
        freeze_bn: whether BatchNormalization stays in inference mode.
        dropout: whether Dropout drops.

    Raises:
        UserError: the loss does not depend on a parameter, or the shape of an r is unknown.
    """
    evaluation = canonical.clone()
    added = AddLoss(LOSSES[loss], prediction, loss_settings)
    added(evaluation)
    CheckLossDependence(selection.trainable)(evaluation)
    label = None if LOSSES[loss].target is None else evaluation.graph.inputs[-1]
    forward = evaluation.clone()
    _keep_only_loss(forward.graph)
    copies = training_form(
        forward, selection.trainable, selection.untrained, freeze_bn=freeze_bn, dropout=dropout
    )
    ParametersAsInputs([*selection.trainable, *selection.untrained])(evaluation)
    uses = sigma_prime(forward.graph, copies, scope)
    values = {value.name: value for node in forward.graph for value in node.outputs}
    logits = values[added.logits]
    return TrainingPlan(
        forward,
        evaluation,
        copies,
        uses,
        LOSSES[loss],
        prediction,
        logits,
        added.class_axis,
        label,
    )


def load_model(model: PathLike | onnx.ModelProto) -> ir.Model:
    """Reads and checks an ONNX model.

    Raises:
        UserError: there is no such file, or it is not a valid ONNX model.
    """
    if isinstance(model, onnx.ModelProto):
        return ir.from_proto(model)
    path = Path(model)
    if path.is_dir():
        raise UserError(f"'{path}' is a folder: give the ONNX file.")
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    try:
        onnx.checker.check_model(str(path))
        return ir.load(path)
    except Exception as error:  # protobuf, the checker and the reader each raise their own
        raise UserError(
            f"'{path}' is not a valid ONNX model, or is cut short ({first_line(error)}): export it again."
        ) from error


def _check_options(
    loss: str,
    optimizer: str,
    scale: float,
    rho: float,
    epsilon: float,
    momentum: float | None,
    weight_decay: float,
    l1: float,
) -> tuple[str, dict[str, float]]:
    """The update rule and all hyper-parameters in force."""
    check_choice("loss", loss, LOSSES)
    check_choice("optimizer", optimizer, OPTIMIZER_NAMES)
    _check_range("scale", scale, scale > 0, "positive")
    _check_range("rho", rho, 0 <= rho < 1, "at least 0 and below 1")
    _check_range("epsilon", epsilon, epsilon > 0, "positive")
    _check_range("l1", l1, l1 >= 0, "0 or more")
    _check_range("weight-decay", weight_decay, weight_decay >= 0, "0 or more")
    values = {}
    if momentum is not None:
        _check_range("momentum", momentum, 0 <= momentum < 1, "at least 0 and below 1")
        if optimizer not in (SVGD, "momentum"):
            raise UserError(f"--momentum does not go with the optimizer {optimizer}.")
        values["momentum"] = momentum
    if weight_decay and optimizer != "adamw":
        raise UserError("--weight-decay is of the optimizer adamw; for others there is --l1.")
    if weight_decay:
        values["weight_decay"] = weight_decay
    update = optimizer
    hyper_parameters: dict[str, float] = {}
    if optimizer == SVGD:
        update = "momentum" if momentum else "sgd"
        hyper_parameters = {"scale": scale, "rho": rho, "epsilon": epsilon}
    defaults = OPTIMIZERS[update].defaults
    rule = {**defaults, **{name: value for name, value in values.items() if name in defaults}}
    return update, {**hyper_parameters, **rule, "l1": l1}


def _check_accumulation(steps: int, target: str) -> None:
    if steps < 1:
        raise UserError(f"--accumulation-steps is {steps}, but must be 1 or more.")
    if steps > 1 and target == ORT_TRAINING:
        raise UserError("--accumulation-steps is of --target onnx: leave one of them out.")


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Refuses an option's value that is none of its choices.

    Raises:
        UserError: it is none; the message lists them.
    """
    if value not in choices:
        raise UserError(f"Unknown {option} '{value}': choose from {', '.join(choices)}.")


def _check_range(option: str, value: float, inside: bool, wanted: str) -> None:
    if not (isfinite(value) and inside):
        raise UserError(f"--{option} is {value}, but must be {wanted}.")


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Puts off cyclic garbage collection, which would walk the whole growing graph again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def choose_prediction(graph: ir.Graph, prediction: str | None) -> str:
    """The output that the loss compares.

    Raises:
        UserError: there is no such output, or there are several and none is named.
    """
    names = [value.name or "" for value in graph.outputs]
    if prediction is None:
        if len(names) == 1:
            return names[0]
        raise UserError(
            f"The model has several outputs ({', '.join(names)}): say with --prediction which one "
            "the loss compares."
        )
    if prediction not in names:
        raise UserError(
            f"--prediction '{prediction}' is no output of the model: it has {', '.join(names)}."
        )
    return prediction


def _keep_only_loss(graph: ir.Graph) -> None:
    loss = graph.outputs[0]
    graph.outputs.clear()
    graph.outputs.append(loss)
    for node in reversed(graph):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)


def _versions() -> dict[str, str]:
    return {"svgd-onnx": __version__, "onnx": onnx.__version__, **installed_packages()}


def _array(value: ir.Value) -> ir.TensorProtocol:
    assert value.const_value is not None
    return value.const_value


def _shape(value: ir.Value) -> list[Dimension]:
    if value.shape is None:
        raise UserError(f"The shape of '{value.name}' is unknown: export the model with shapes.")
    return [dim if isinstance(dim, int) else str(dim.value or "?") for dim in value.shape]


def manifest_tensor(value: ir.Value) -> Tensor:
    """The manifest's account of an input or output.

    Raises:
        UserError: its type or shape is unknown.
    """
    if value.dtype is None:
        raise UserError(f"The type of '{value.name}' is unknown: export the model with types.")
    return Tensor(value.name or "", str(value.dtype.numpy()), _shape(value))


def describe_parameters(graph: ir.Graph, selection: Selection, l1: bool) -> list[Parameter]:
    """The manifest's account of the tensors that go into the checkpoint."""
    trainable, decayed = set(selection.trainable), set(selection.decayed)
    return [
        Parameter(
            name,
            list(_array(graph.initializers[name]).shape.numpy()),
            trainable=name in trainable,
            l1=l1 and name in decayed,
        )
        for name in (*selection.trainable, *selection.untrained)
    ]


def describe_operation(use: ParameterUse) -> Operation:
    """The manifest's account of an element of sigma-prime."""
    return Operation(
        node=use.node,
        op_type=use.op_type,
        parameter=use.parameter,
        role=use.role,
        output=use.output,
        reason=use.reason,
        state=use.state,
        state_shape=list(use.state_shape),
        granularity="element" if use.channel_axis is None else "channel",
    )
