"""The commands that need onnx and onnx-ir: `convert`, `inspect`, `check` and `apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

import svgd_onnx
from svgd_onnx import terminal
from svgd_onnx.conversion.options import EVERY, UpdateSettings
from svgd_onnx.conversion_arguments import parse_axes, parse_loss_scale, parse_numbers, parse_sizes
from svgd_onnx.conversion_facts import tell_checks, tell_conversion, tell_inspection
from svgd_onnx.conversion_tables import show_checks, show_conversion, show_inspection
from svgd_onnx.data_arguments import CLASSES, COLUMNS, TRANSFORM, open_data
from svgd_onnx.distributed_arguments import BATCH_NORM, DATA_PARALLEL, R
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
from svgd_onnx.option_types import text_or_numbers
from svgd_onnx.picture_arguments import HTML, SVG, take_pictures, write_pictures
from svgd_onnx.printable import printable
from svgd_onnx.run_record import record
from svgd_onnx.shared_options import (
    BATCH_AXIS,
    CLASS_AXIS,
    CLASS_WEIGHTS,
    COMPUTE,
    DIFFERENTIATOR,
    ENCAPSULATION,
    FIXED_BATCH,
    FOCAL_GAMMA,
    FREEZE,
    FREEZE_BN,
    FROM_LOGITS,
    GRANULARITY,
    IGNORE_INDEX,
    LABEL_SMOOTHING,
    LOSS,
    LOSS_SCALE,
    MARGIN,
    MEMORY_LIMIT,
    PREDICTION,
    QUANTIZED,
    RANDOM_SIZE,
    REDUCTION,
    SIZE,
    T_SCOPE,
    TARGET,
    TRAIN,
)
from svgd_onnx.transforms.optimizers import OPTIMIZER_NAMES
from svgd_onnx.transforms.virtualize.settings import (
    T_KERNELS,
    VirtualGradientSettings,
)

__all__ = ["apply", "check", "convert", "inspect"]

# What holds where an option is not given.
_T, _UPDATE = VirtualGradientSettings(), UpdateSettings()


def convert(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    output: Path = typer.Option(..., help="The folder of training artifacts to make."),
    loss: list[str] = LOSS,
    prediction: str | None = PREDICTION,
    batch_axis: list[str] = BATCH_AXIS,
    size: list[str] = SIZE,
    fixed_batch: bool = FIXED_BATCH,
    reduction: list[str] = REDUCTION,
    class_axis: list[str] = CLASS_AXIS,
    ignore_index: list[str] = IGNORE_INDEX,
    class_weights: list[str] = CLASS_WEIGHTS,
    label_smoothing: list[str] = LABEL_SMOOTHING,
    from_logits: bool = FROM_LOGITS,
    focal_gamma: list[str] = FOCAL_GAMMA,
    margin: list[str] = MARGIN,
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
        parser=text_or_numbers,
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
    proximal: float = typer.Option(
        _UPDATE.proximal,
        metavar="MU",
        help="Draw parameters to what they were first, or to what a federated server sent (FedProx).",
    ),
    train: list[str] = TRAIN,
    freeze: list[str] = FREEZE,
    freeze_bn: bool = FREEZE_BN,
    t_scope: list[str] = T_SCOPE,
    granularity: str = GRANULARITY,
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
    encapsulation: str = ENCAPSULATION,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = QUANTIZED,
    differentiator: str = DIFFERENTIATOR,
    target: str | None = TARGET,
    accumulation_steps: int = typer.Option(
        1, help="Batches of a step, over which gradients are averaged."
    ),
    recompute: bool = typer.Option(
        False,
        "--recompute",
        help="Compute segments of the forward pass again in the backward pass: less memory, more time.",
    ),
    compute: str = COMPUTE,
    loss_scale: str | None = LOSS_SCALE,
    gradient_norms: bool = typer.Option(
        False,
        "--gradient-norms",
        help="Let a step give norms of gradients, without T and with it, for train --tensorboard.",
    ),
    data_parallel: bool = DATA_PARALLEL,
    r: str = R,
    batch_norm: str = BATCH_NORM,
    verify: bool = typer.Option(
        True,
        "--verify/--no-verify",
        help="Run what was made on made-up data, and hold its gradients against its loss.",
    ),
    random_size: list[str] = RANDOM_SIZE,
    memory_limit: str | None = MEMORY_LIMIT,
    force: bool = typer.Option(False, "--force", help="Replace a folder that is not empty."),
) -> None:
    """Make training artifacts from an exported model."""
    settings = _settings(context)
    settings["rate"] = parse_numbers("rate", rate)
    settings["weight_decay"] = parse_numbers("weight_decay", weight_decay, plain=EVERY)
    settings["loss_scale"] = parse_loss_scale(loss_scale)
    limit = parse_limit(settings.pop("memory_limit"))
    recorded: list[Path | None] = []
    manifest = svgd_onnx.convert(
        **settings,
        # it is there with the folder, whatever ends this process when
        finish=lambda folder, made: recorded.append(
            record(context, output, within=folder, target=made.target)
        ),
    )
    tell_conversion(output, manifest, recorded[0])
    show_conversion(str(output), manifest, chosen=target is None)
    say_memory_of(output, manifest, settings["random_size"], limit)


def inspect(
    context: typer.Context,
    path: Path = typer.Argument(..., help="An ONNX model, or a folder of training artifacts."),
    loss: list[str] = LOSS,
    prediction: str | None = PREDICTION,
    batch_axis: list[str] = BATCH_AXIS,
    size: list[str] = SIZE,
    fixed_batch: bool = FIXED_BATCH,
    reduction: list[str] = REDUCTION,
    class_axis: list[str] = CLASS_AXIS,
    ignore_index: list[str] = IGNORE_INDEX,
    class_weights: list[str] = CLASS_WEIGHTS,
    label_smoothing: list[str] = LABEL_SMOOTHING,
    from_logits: bool = FROM_LOGITS,
    focal_gamma: list[str] = FOCAL_GAMMA,
    margin: list[str] = MARGIN,
    train: list[str] = TRAIN,
    freeze: list[str] = FREEZE,
    freeze_bn: bool = FREEZE_BN,
    t_scope: list[str] = T_SCOPE,
    granularity: str = GRANULARITY,
    encapsulation: str = ENCAPSULATION,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = QUANTIZED,
    differentiator: str = DIFFERENTIATOR,
    target: str | None = TARGET,
    random_size: list[str] = RANDOM_SIZE,
    memory_limit: str | None = MEMORY_LIMIT,
    html: Path | None = HTML,
    svg: Path | None = SVG,
) -> None:
    """Show where T acts, and what it costs; of a folder, as it was converted."""
    settings = _settings(context)
    limit = parse_limit(settings.pop("memory_limit"))
    pictures = take_pictures(settings)
    found = svgd_onnx.inspect(**settings)
    tell_inspection(found)
    show_inspection(found)
    show_memory(found.memory, found.memory_unknown, limit)
    write_pictures(pictures, settings)


def check(
    context: typer.Context,
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    loss: list[str] = LOSS,
    prediction: str | None = PREDICTION,
    batch_axis: list[str] = BATCH_AXIS,
    size: list[str] = SIZE,
    fixed_batch: bool = FIXED_BATCH,
    reduction: list[str] = REDUCTION,
    class_axis: list[str] = CLASS_AXIS,
    ignore_index: list[str] = IGNORE_INDEX,
    class_weights: list[str] = CLASS_WEIGHTS,
    label_smoothing: list[str] = LABEL_SMOOTHING,
    from_logits: bool = FROM_LOGITS,
    focal_gamma: list[str] = FOCAL_GAMMA,
    margin: list[str] = MARGIN,
    train: list[str] = TRAIN,
    freeze: list[str] = FREEZE,
    freeze_bn: bool = FREEZE_BN,
    num_classes: int | None = NUM_CLASSES,
    init_head: str = INIT_HEAD,
    reset: list[str] = RESET,
    init_seed: int = INIT_SEED,
    lora: int | None = LORA,
    lora_targets: list[str] = LORA_TARGETS,
    lora_alpha: float | None = LORA_ALPHA,
    quantized: str = QUANTIZED,
    differentiator: str = DIFFERENTIATOR,
    target: str | None = TARGET,
    data_file: Path | None = typer.Option(
        None, "--data", help="Data to take a batch from, as for train; random data if none."
    ),
    columns: list[str] = COLUMNS,
    transform: list[str] = TRANSFORM,
    classes: list[str] = CLASSES,
    batch_size: int = typer.Option(2, help="Examples in the batch."),
    random_size: list[str] = RANDOM_SIZE,
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
