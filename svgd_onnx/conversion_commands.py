"""The commands that look into a model: `convert`, `inspect` and `check`. They need onnx and onnx-ir."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import List, Optional

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import svgd_onnx
from svgd_onnx.conversion.convert import (
    DEFAULT_EPSILON,
    DEFAULT_RHO,
    DEFAULT_SCALE,
    OPTIMIZER_NAMES,
    T_KERNELS,
)
from svgd_onnx.conversion.inspection import Inspection
from svgd_onnx.errors import UserError
from svgd_onnx.gradient_check.check import DEFAULT_TOLERANCE
from svgd_onnx.loss_settings import REDUCTIONS, LossSettings
from svgd_onnx.targets import ORT_TRAINING, TARGETS
from svgd_onnx.training import data
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.virtualize import GRANULARITIES, WEIGHTS

_console = Console(soft_wrap=True)

# Options of more than one command.
_LOSS = typer.Option("cross-entropy", help=f"One of {', '.join(LOSSES)}.")
_PREDICTION = typer.Option(
    None, help="The output that the loss compares (or is), if the model has several."
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
_T_SCOPE = typer.Option(
    [WEIGHTS],
    metavar="weights|all-linear|GLOB",
    help="Parameters that T acts on; a glob may be repeated.",
)
_GRANULARITY = typer.Option(
    "auto", help=f"Of r: {', '.join(GRANULARITIES)}; auto is element where sizes are fixed."
)


def convert(
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    output: Path = typer.Option(..., help="The folder of training artifacts to make."),
    loss: str = _LOSS,
    prediction: Optional[str] = _PREDICTION,
    reduction: str = _REDUCTION,
    class_axis: Optional[int] = _CLASS_AXIS,
    ignore_index: Optional[int] = _IGNORE_INDEX,
    class_weights: Optional[str] = _CLASS_WEIGHTS,
    label_smoothing: float = _LABEL_SMOOTHING,
    optimizer: str = typer.Option("svgd", help=f"One of {', '.join(OPTIMIZER_NAMES)}."),
    scale: float = typer.Option(DEFAULT_SCALE, help="T's factor s."),
    rho: float = typer.Option(DEFAULT_RHO, help="T's decay of r."),
    epsilon: float = typer.Option(DEFAULT_EPSILON, help="T's epsilon."),
    momentum: Optional[float] = typer.Option(
        None, help="Of the optimizer momentum (default 0.9), or under svgd (default none)."
    ),
    weight_decay: float = typer.Option(0.0, help="Decoupled weight decay of adamw."),
    l1: float = typer.Option(0.0, help="L1 regularization of weights and biases."),
    train: List[str] = _TRAIN,
    freeze: List[str] = _FREEZE,
    freeze_bn: bool = _FREEZE_BN,
    t_scope: List[str] = _T_SCOPE,
    granularity: str = _GRANULARITY,
    gradient: str = typer.Option(
        "graph",
        help="What feeds r: graph, the gradient as it stands in the graph, or example, that of each "
        "example's loss.",
    ),
    t_kernel: Optional[str] = typer.Option(
        None,
        help=f"T as one custom operator, or from standard operators: {' or '.join(T_KERNELS)}; "
        "standard ones are the rule for the target onnx only.",
    ),
    target: str = typer.Option(
        ORT_TRAINING,
        help="onnxruntime's training session, or one step as a model for any onnxruntime: "
        f"{' or '.join(TARGETS)}.",
    ),
    accumulation_steps: int = typer.Option(
        1, help="Batches of a step, over which gradients are averaged; of the target onnx."
    ),
    force: bool = typer.Option(False, "--force", help="Replace a folder that is not empty."),
) -> None:
    """Make training artifacts from an exported model."""
    settings = LossSettings(
        reduction, class_axis, ignore_index, _parse_weights(class_weights), label_smoothing
    )
    manifest = svgd_onnx.convert(
        model,
        output,
        loss=loss,
        loss_settings=settings,
        prediction=prediction,
        optimizer=optimizer,
        scale=scale,
        rho=rho,
        epsilon=epsilon,
        momentum=momentum,
        weight_decay=weight_decay,
        l1=l1,
        train=train,
        freeze=freeze,
        freeze_bn=freeze_bn,
        t_scope=t_scope,
        granularity=granularity,
        gradient=gradient,
        t_kernel=t_kernel,
        target=target,
        accumulation_steps=accumulation_steps,
        force=force,
    )
    trainable = [parameter for parameter in manifest.parameters if parameter.trainable]
    virtual = [operation for operation in manifest.operations if operation.state is not None]
    _console.print(
        f"{output}: {len(trainable)} trainable parameters, T before {len(virtual)} of their "
        f"gradients. Train with arrays named {_names(manifest)}."
    )


def inspect(
    source: Path = typer.Argument(..., help="An ONNX model, or a folder of training artifacts."),
    train: List[str] = _TRAIN,
    freeze: List[str] = _FREEZE,
    t_scope: List[str] = _T_SCOPE,
    granularity: str = _GRANULARITY,
) -> None:
    """Show where T acts, and what it costs; of a folder, as it was converted."""
    inspection = svgd_onnx.inspect(
        source, train=train, freeze=freeze, t_scope=t_scope, granularity=granularity
    )
    table = Table(title="sigma-prime: the operations that take a trainable parameter")
    for column in ("node", "operator", "parameter", "T", "because", "r of each", "r"):
        table.add_column(column, overflow="fold")
    table.add_column("bytes", justify="right")
    for operation in inspection.operations:
        acts = operation.state is not None
        table.add_row(
            operation.node,
            operation.op_type,
            operation.parameter,
            "T" if acts else "identity",
            operation.reason,
            operation.granularity if acts else "",
            str(tuple(operation.state_shape)) if acts else "",
            f"{operation.state_nbytes:,}" if acts else "",
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(_totals(inspection))
    if inspection.obstacle is not None:
        _console.print(f"convert refuses this model. {inspection.obstacle}", markup=False)


def check(
    model: Path = typer.Argument(..., help="An exported ONNX model."),
    loss: str = _LOSS,
    prediction: Optional[str] = _PREDICTION,
    reduction: str = _REDUCTION,
    class_axis: Optional[int] = _CLASS_AXIS,
    ignore_index: Optional[int] = _IGNORE_INDEX,
    class_weights: Optional[str] = _CLASS_WEIGHTS,
    label_smoothing: float = _LABEL_SMOOTHING,
    train: List[str] = _TRAIN,
    freeze: List[str] = _FREEZE,
    freeze_bn: bool = _FREEZE_BN,
    data_file: Optional[Path] = typer.Option(
        None, "--data", help="An .npz file to take a batch from; random data if none."
    ),
    batch_size: int = typer.Option(2, help="Examples in the batch."),
    size: List[str] = typer.Option(
        [], metavar="AXIS=N", help="Size of another open axis of random data; may be repeated."
    ),
    only: List[str] = typer.Option(
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
    settings = LossSettings(
        reduction, class_axis, ignore_index, _parse_weights(class_weights), label_smoothing
    )
    if not tolerance >= 0:
        raise UserError(f"--tolerance is {tolerance}, but must be 0 or more.")
    arrays = None if data_file is None else data.first(data.load(data_file), batch_size)
    with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("checking", total=None)
        found = svgd_onnx.check(
            model,
            loss=loss,
            loss_settings=settings,
            prediction=prediction,
            train=train,
            freeze=freeze,
            freeze_bn=freeze_bn,
            arrays=arrays,
            batch_size=batch_size,
            sizes=_parse_sizes(size),
            only=only,
            directions=directions,
            seed=seed,
            progress=lambda name: bar.update(task, description=name),
        )
    table = Table(title="directional derivatives: of training, and by central differences")
    table.add_column("parameter", overflow="fold")
    table.add_column("shape")
    for column in ("gradient", "difference", "relative error", "rounding"):
        table.add_column(column, justify="right")
    table.add_column("")
    for item in found:
        table.add_row(
            item.parameter,
            str(item.shape),
            f"{item.computed[0]:.6e}",
            f"{item.expected[0]:.6e}",
            f"{item.error:.1e}",
            f"{item.rounding:.1e}",
            "" if item.is_right(tolerance) else "wrong",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    wrong = [item for item in found if not item.is_right(tolerance)]
    worst = max(found, key=lambda item: item.error)
    explained = "" if worst in wrong or worst.error <= tolerance else ", which rounding explains"
    _console.print(
        f"{len(found)} parameters checked, {len(wrong)} wrong; the largest error is "
        f"{worst.error:.1e}, of '{worst.parameter}'{explained}."
    )
    if wrong:
        raise typer.Exit(1)


def _parse_weights(text: Optional[str]) -> Optional[tuple[float, ...]]:
    if text is None:
        return None
    if text.endswith(".npy"):
        return tuple(float(weight) for weight in data.load_vector(text))
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise UserError(
            f"--class-weights is '{text}': give a number a class, as 0.5,1,2, or a .npy file."
        ) from None


def _parse_sizes(items: List[str]) -> dict[str, int]:
    sizes = {}
    for item in items:
        name, _, size = item.rpartition("=")
        if not name or not size.isdigit() or int(size) < 1:
            raise UserError(f"--size has '{item}', which is not AXIS=N: write it as sequence=16.")
        sizes[name] = int(size)
    return sizes


def _totals(inspection: Inspection) -> Table:
    table = Table(title=f"state beside {inspection.parameter_bytes:,} bytes of parameters")
    table.add_column("optimizer")
    table.add_column("bytes", justify="right")
    for name, size in inspection.state_bytes.items():
        table.add_row(name, f"{size:,}")
    return table


def _names(manifest: svgd_onnx.Manifest) -> str:
    return ", ".join(f"'{tensor.name}'" for tensor in manifest.arrays)
