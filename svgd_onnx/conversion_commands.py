"""The commands that need onnx and onnx-ir: `convert`, `inspect`, `check` and `apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

import svgd_onnx
from svgd_onnx import terminal
from svgd_onnx.conversion.options import EVERY, TrainingSettings, UpdateSettings
from svgd_onnx.conversion_arguments import parse_axes, parse_numbers, parse_sizes
from svgd_onnx.conversion_facts import tell_checks, tell_conversion, tell_inspection
from svgd_onnx.conversion_tables import show_checks, show_conversion, show_inspection
from svgd_onnx.data_arguments import CLASSES, COLUMNS, TRANSFORM, open_data
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
from svgd_onnx.loss_arguments import take_losses
from svgd_onnx.memory_table import parse_limit, say_memory_of, show_memory
from svgd_onnx.printable import printable
from svgd_onnx.run_record import record
from svgd_onnx.targets import TARGETS
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
_LOSS = typer.Option(
    [str(TrainingSettings.loss)],
    metavar="[OUTPUT=]LOSS[:WEIGHT]",
    help=f"One of {', '.join(LOSSES)}; or an ONNX file of a prediction and a target. For several outputs "
    "OUTPUT=LOSS or OUTPUT=LOSS:WEIGHT, once for each: their weighted sum is trained by.",
)
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


def _of_losses(value: str, help_: str) -> Any:
    """An option about losses, each of which may have its own."""
    return typer.Option([], metavar=f"[OUTPUT=]{value}", help=help_)


_REDUCTION = _of_losses("mean|sum", "Of the loss: mean (the default) or sum.")
_CLASS_AXIS = _of_losses(
    "AXIS", "The logits' axis of classes; by default that of a final Softmax, or 1."
)
_IGNORE_INDEX = _of_losses("LABEL", "Labels of this value do not count.")
_CLASS_WEIGHTS = _of_losses("W0,W1,…|FILE.npy", "A weight for each class, or a file of them.")
_LABEL_SMOOTHING = _of_losses("SHARE", "The share of the target spread over all classes.")
_FOCAL_GAMMA = _of_losses(
    "GAMMA", "Of focal: the exponent of one less the label's probability; by default 2."
)
_MARGIN = _of_losses("MARGIN", "Of hinge and triplet; by default 1.")
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

_MEMORY_LIMIT = typer.Option(
    None,
    metavar="SIZE",
    help="Say the largest batch for which training takes no more memory than this, as 4GB or 512MB.",
)


def convert(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    output: Path = typer.Option(..., help="The folder of training artifacts to make."),
    loss: list[str] = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: list[str] = _REDUCTION,
    class_axis: list[str] = _CLASS_AXIS,
    ignore_index: list[str] = _IGNORE_INDEX,
    class_weights: list[str] = _CLASS_WEIGHTS,
    label_smoothing: list[str] = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    focal_gamma: list[str] = _FOCAL_GAMMA,
    margin: list[str] = _MARGIN,
    optimizer: str = typer.Option(_UPDATE.optimizer, help=f"One of {', '.join(OPTIMIZER_NAMES)}."),
    scale: float = typer.Option(_T.scale, help="T's factor s."),
    rho: float = typer.Option(_T.rho, help="T's decay of r."),
    epsilon: float = typer.Option(_T.epsilon, help="T's epsilon."),
    momentum: float | None = typer.Option(
        None, help="Of momentum and nesterov (default 0.9), or under svgd (default none)."
    ),
    weight_decay: list[str] = typer.Option(
        [],
        metavar="W|GLOB=W",
        help="Decoupled weight decay, of all that is trained or of what matches; may be repeated.",
    ),
    rate: list[str] = typer.Option(
        [],
        metavar="GLOB=FACTOR",
        help="A factor on the learning rate of parameters that match; may be repeated.",
    ),
    clip_norm: float | None = typer.Option(
        None, help="The largest norm of all gradients together; larger ones are scaled down."
    ),
    clip_value: float | None = typer.Option(None, help="The largest size of a gradient's entry."),
    ema: float | None = typer.Option(
        None,
        metavar="DECAY",
        help="Keep a moving average of the parameters, to be evaluated and exported.",
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
        1, help="Batches of a step, over which gradients are averaged."
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
    memory_limit: str | None = _MEMORY_LIMIT,
    force: bool = typer.Option(False, "--force", help="Replace a folder that is not empty."),
) -> None:
    """Make training artifacts from an exported model."""
    settings = _settings(context)
    settings["rate"] = parse_numbers("rate", rate)
    settings["weight_decay"] = parse_numbers("weight_decay", weight_decay, plain=EVERY)
    limit = parse_limit(settings.pop("memory_limit"))
    manifest = svgd_onnx.convert(**settings)
    tell_conversion(output, manifest, record(context, output, target=manifest.target))
    show_conversion(str(output), manifest, chosen=target is None)
    say_memory_of(output, manifest, settings["random_size"], limit)


def inspect(
    context: typer.Context,
    path: Path = typer.Argument(..., help="An ONNX model, or a folder of training artifacts."),
    loss: list[str] = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: list[str] = _REDUCTION,
    class_axis: list[str] = _CLASS_AXIS,
    ignore_index: list[str] = _IGNORE_INDEX,
    class_weights: list[str] = _CLASS_WEIGHTS,
    label_smoothing: list[str] = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    focal_gamma: list[str] = _FOCAL_GAMMA,
    margin: list[str] = _MARGIN,
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
    memory_limit: str | None = _MEMORY_LIMIT,
) -> None:
    """Show where T acts, and what it costs; of a folder, as it was converted."""
    settings = _settings(context)
    limit = parse_limit(settings.pop("memory_limit"))
    found = svgd_onnx.inspect(**settings)
    tell_inspection(found)
    show_inspection(found)
    show_memory(found.memory, found.memory_unknown, limit)


def check(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    loss: list[str] = _LOSS,
    prediction: str | None = _PREDICTION,
    batch_axis: list[str] = _BATCH_AXIS,
    size: list[str] = _SIZE,
    fixed_batch: bool = _FIXED_BATCH,
    reduction: list[str] = _REDUCTION,
    class_axis: list[str] = _CLASS_AXIS,
    ignore_index: list[str] = _IGNORE_INDEX,
    class_weights: list[str] = _CLASS_WEIGHTS,
    label_smoothing: list[str] = _LABEL_SMOOTHING,
    from_logits: bool = _FROM_LOGITS,
    focal_gamma: list[str] = _FOCAL_GAMMA,
    margin: list[str] = _MARGIN,
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
        None, "--data", help="Data to take a batch from, as for train; random data if none."
    ),
    columns: list[str] = COLUMNS,
    transform: list[str] = TRANSFORM,
    classes: str | None = CLASSES,
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
    for name in ("data_file", "columns", "transform", "classes"):
        del settings[name]
    if data_file is not None:
        arrays = open_data(data_file, columns, transform, classes)
        settings |= {"arrays": arrays, "examples": batch_size}
    shown = TextColumn("{task.description}", markup=False), BarColumn()
    with Progress(*shown, transient=True, disable=not terminal.shows_bars()) as bar:
        task = bar.add_task("checking", total=None)
        found = svgd_onnx.check(
            **settings,
            progress=lambda name: bar.update(task, description=printable(name)),
        )
    tell_checks(found, tolerance)
    if show_checks(found, tolerance):
        raise typer.Exit(1)


def _settings(context: typer.Context) -> dict[str, Any]:
    """A command's options as keywords, those of losses in one or two."""
    settings = dict(context.params)
    for name in ("size", "random_size"):
        settings[name] = parse_sizes(name, settings[name])
    settings["batch_axis"] = parse_axes(settings["batch_axis"])
    return {**take_losses(settings), **settings}
