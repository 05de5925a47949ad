"""The commands that need onnx and onnx-ir: `convert`, `inspect`, `check` and `apply`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

import svgd_onnx
from svgd_onnx.conversion.keywords import take
from svgd_onnx.conversion.options import TrainingSettings, UpdateSettings
from svgd_onnx.conversion_arguments import parse_axes, parse_sizes, parse_weights
from svgd_onnx.conversion_tables import show_checks, show_conversion, show_inspection
from svgd_onnx.errors import UserError, option
from svgd_onnx.finetuning_commands import (
    INIT_HEAD,
    INIT_SEED,
    LORA,
    LORA_ALPHA,
    LORA_TARGETS,
    NUM_CLASSES,
    RESET,
    apply,
)
from svgd_onnx.gradient_check.check import DEFAULT_TOLERANCE
from svgd_onnx.loss_settings import REDUCTIONS, LossSettings
from svgd_onnx.printable import printable
from svgd_onnx.targets import TARGETS
from svgd_onnx.training import data
from svgd_onnx.transforms.differentiate.differentiators import DIFFERENTIATOR_NAMES
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.optimizers import OPTIMIZER_NAMES
from svgd_onnx.transforms.quantization import QUANTIZED_CHOICES
from svgd_onnx.transforms.virtualize.settings import (
    ENCAPSULATIONS,
    GRANULARITIES,
    T_KERNELS,
    VirtualGradientSettings,
)

__all__ = ["apply", "check", "convert", "inspect"]

# What holds where an option is not given.
_T, _UPDATE = VirtualGradientSettings(), UpdateSettings()

# Options of more than one command.
_LOSS = typer.Option(TrainingSettings.loss, help=f"One of {', '.join(LOSSES)}.")
_PREDICTION = typer.Option(
    None, help="The output that the loss compares (or is), if the model has several."
)
_BATCH_AXIS = typer.Option(
    [],
    metavar="NAME=AXIS|none",
    help="The axis that examples lie along in an input or output, or none, for what is given whole at "
    "every step; may be repeated.",
)
_SIZE = typer.Option(
    [],
    metavar="AXIS=N",
    help="Fix an open axis of the model, by its name or a glob; may be repeated.",
)
_FIXED_BATCH = typer.Option(
    False,
    "--fixed-batch",
    help="Keep a batch axis that the file fixes; else it is opened where it can be.",
)
_REDUCTION = typer.Option("mean", help=f"Of the loss: {' or '.join(REDUCTIONS)}.")
_CLASS_AXIS = typer.Option(
    None, help="The logits' axis of classes; by default that of a final Softmax, or 1."
)
_IGNORE_INDEX = typer.Option(None, help="Labels of this value do not count.")
_CLASS_WEIGHTS = typer.Option(
    None, metavar="W0,W1,…|FILE.npy", help="A weight for each class, or a file that holds them."
)
_LABEL_SMOOTHING = typer.Option(0.0, help="The share of the target spread over all classes.")
_FROM_LOGITS = typer.Option(
    False,
    "--from-logits",
    help="The prediction is logits as it stands, whatever it ends in and looks like.",
)
_TRAIN = typer.Option(
    [], metavar="GLOB", help="Train only parameters whose name matches; may be repeated."
)
_FREEZE = typer.Option(
    [], metavar="GLOB", help="Do not train parameters whose name matches; may be repeated."
)
_FREEZE_BN = typer.Option(
    False,
    "--freeze-bn",
    help="BatchNormalization normalizes with its running statistics, and keeps them.",
)
_QUANTIZED = typer.Option(
    TrainingSettings.quantized,
    help=f"What is quantized: {' or '.join(QUANTIZED_CHOICES)}; then gradients pass quantizations, and integer "
    "weights are trained too.",
)
_DIFFERENTIATOR = typer.Option(
    TrainingSettings.differentiator,
    help=f"Who makes the gradient graph: {', '.join(DIFFERENTIATOR_NAMES)}; auto is onnxruntime's builder "
    "for the target ort-training where it is installed and right, and own otherwise.",
)
_T_SCOPE = typer.Option(
    list(_T.t_scope),
    metavar="weights|all-linear|GLOB",
    help="Parameters that T acts on; a glob may be repeated.",
)
_GRANULARITY = typer.Option(
    _T.granularity, help=f"Of r: {', '.join(GRANULARITIES)}; auto is element where sizes are fixed."
)
_ENCAPSULATION = typer.Option(
    _T.encapsulation,
    help=f"How T comes in: {' or '.join(ENCAPSULATIONS)}, of twins. The numbers are the same.",
)
_RANDOM_SIZE = typer.Option(
    [], metavar="AXIS=N", help="Size of an open axis of made-up data; may be repeated."
)
_TARGET = typer.Option(
    None,
    help="onnxruntime's training session, or one step as a model for any onnxruntime: "
    f"{' or '.join(TARGETS)}; by default the former where onnxruntime-training is installed.",
)


def convert(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    output: Path = typer.Option(..., help="The folder of training artifacts to make."),
    loss: str = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: str = _REDUCTION,
    class_axis: int | None = _CLASS_AXIS,
    ignore_index: int | None = _IGNORE_INDEX,
    class_weights: str | None = _CLASS_WEIGHTS,
    label_smoothing: float = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    optimizer: str = typer.Option(_UPDATE.optimizer, help=f"One of {', '.join(OPTIMIZER_NAMES)}."),
    scale: float = typer.Option(_T.scale, help="T's factor s."),
    rho: float = typer.Option(_T.rho, help="T's decay of r."),
    epsilon: float = typer.Option(_T.epsilon, help="T's epsilon."),
    momentum: float | None = typer.Option(
        None, help="Of the optimizer momentum (default 0.9), or under svgd (default none)."
    ),
    weight_decay: float = typer.Option(
        _UPDATE.weight_decay, help="Decoupled weight decay of adamw and lion."
    ),
    l1: float = typer.Option(_UPDATE.l1, help="L1 regularization of weights and biases."),
    train: list[str] = _TRAIN,
    freeze: list[str] = _FREEZE,
    freeze_bn: bool = _FREEZE_BN,
    t_scope: list[str] = _T_SCOPE,
    granularity: str = _GRANULARITY,
    gradient: str = typer.Option(
        _T.gradient,
        help="What feeds r: graph, the gradient as it stands in the graph, or example, that of each "
        "example's loss.",
    ),
    t_kernel: str | None = typer.Option(
        None,
        help=f"T as one custom operator, or from standard operators: {' or '.join(T_KERNELS)}; "
        "standard ones are the rule for the target onnx only.",
    ),
    encapsulation: str = _ENCAPSULATION,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = _QUANTIZED,
    differentiator: str = _DIFFERENTIATOR,
    target: str | None = _TARGET,
    accumulation_steps: int = typer.Option(
        1, help="Batches of a step, over which gradients are averaged; of the target onnx."
    ),
    recompute: bool = typer.Option(
        False,
        "--recompute",
        help="Compute segments of the forward pass again in the backward pass: less memory, more time.",
    ),
    verify: bool = typer.Option(
        True,
        "--verify/--no-verify",
        help="Run what was made on made-up data, and hold its gradients against its loss.",
    ),
    random_size: list[str] = _RANDOM_SIZE,
    force: bool = typer.Option(False, "--force", help="Replace a folder that is not empty."),
) -> None:
    """Make training artifacts from an exported model."""
    manifest = svgd_onnx.convert(**_settings(context))
    show_conversion(str(output), manifest, chosen=target is None)


def inspect(
    context: typer.Context,
    path: Path = typer.Argument(..., help="An ONNX model, or a folder of training artifacts."),
    loss: str = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: str = _REDUCTION,
    class_axis: int | None = _CLASS_AXIS,
    ignore_index: int | None = _IGNORE_INDEX,
    class_weights: str | None = _CLASS_WEIGHTS,
    label_smoothing: float = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    train: list[str] = _TRAIN,
    freeze: list[str] = _FREEZE,
    freeze_bn: bool = _FREEZE_BN,
    t_scope: list[str] = _T_SCOPE,
    granularity: str = _GRANULARITY,
    encapsulation: str = _ENCAPSULATION,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = _QUANTIZED,
    differentiator: str = _DIFFERENTIATOR,
    target: str | None = _TARGET,
    random_size: list[str] = _RANDOM_SIZE,
) -> None:
    """Show where T acts, and what it costs; of a folder, as it was converted."""
    show_inspection(svgd_onnx.inspect(**_settings(context)))


def check(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    loss: str = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: str = _REDUCTION,
    class_axis: int | None = _CLASS_AXIS,
    ignore_index: int | None = _IGNORE_INDEX,
    class_weights: str | None = _CLASS_WEIGHTS,
    label_smoothing: float = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    train: list[str] = _TRAIN,
    freeze: list[str] = _FREEZE,
    freeze_bn: bool = _FREEZE_BN,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = _QUANTIZED,
    differentiator: str = _DIFFERENTIATOR,
    target: str | None = _TARGET,
    data_file: Path | None = typer.Option(
        None, "--data", help="An .npz file to take a batch from; random data if none."
    ),
    batch_size: int = typer.Option(2, help="Examples in the batch."),
    random_size: list[str] = _RANDOM_SIZE,
    only: list[str] = typer.Option(
        [], metavar="GLOB", help="Of what is trained, check only this; may be repeated."
    ),
    directions: int = typer.Option(2, help="Random directions for each parameter."),
    seed: int = typer.Option(0, help="Of random data and directions."),
    tolerance: float = typer.Option(
        DEFAULT_TOLERANCE, help="The largest relative error that needs no explanation by rounding."
    ),
) -> None:
    """Compare the gradients of a model with central differences in float64.

    The exit code is 1 if a gradient is wrong.
    """
    settings = _settings(context)
    if not settings.pop("tolerance") >= 0:
        raise UserError(f"{option('tolerance')} is {tolerance}, but must be 0 or more.")
    del settings["data_file"]
    if data_file is not None:
        settings |= {"arrays": data.load(data_file), "examples": batch_size}
    columns = TextColumn("{task.description}", markup=False), BarColumn()
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("checking", total=None)
        found = svgd_onnx.check(
            **settings,
            progress=lambda name: bar.update(task, description=printable(name)),
        )
    if show_checks(found, tolerance):
        raise typer.Exit(1)


def _settings(context: typer.Context) -> dict[str, Any]:
    """A command's options as keywords, those of the loss in one."""
    settings = dict(context.params)
    for name in ("size", "random_size"):
        settings[name] = parse_sizes(name, settings[name])
    settings["batch_axis"] = parse_axes(settings["batch_axis"])
    settings["class_weights"] = parse_weights(settings["class_weights"])
    return {"loss_settings": take(LossSettings, settings), **settings}
