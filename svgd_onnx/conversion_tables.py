"""What the commands that look into a model print."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

import svgd_onnx
from svgd_onnx.conversion.inspection import Inspection
from svgd_onnx.conversion_notes import class_axes, numbers
from svgd_onnx.errors import UserError, counted, listed, option
from svgd_onnx.manifest import FixedBatch, Manifest, Operation, Tensor
from svgd_onnx.targets import DEFAULT_TARGET, TARGETS
from svgd_onnx.terminal import add_row, say, show
from svgd_onnx.training.adapters import ALWAYS
from svgd_onnx.transforms.optimizers import SVGD


def show_conversion(output: str, manifest: Manifest, *, chosen: bool) -> None:
    """What was made, in a sentence or two.

    Args:
        output: where.
        manifest: what.
        chosen: whether the target was chosen by what is installed.
    """
    trainable = [parameter for parameter in manifest.parameters if parameter.trainable]
    virtual = [operation for operation in manifest.operations if operation.state is not None]
    gradients = f"T before {len(virtual)} of their gradients, which {manifest.maker} made"
    if manifest.optimizer != SVGD:
        gradients = f"whose gradients {manifest.maker} made"
    say(
        f"{output}: {counted(len(trainable), 'trainable parameter')}, {gradients}. {_array_names(manifest)}"
    )
    lines = (
        *(_chosen_target(manifest) if chosen else []),
        *_losses(manifest),
        *class_axes(manifest),
        *numbers(manifest),
        *_adapters(manifest),
        *_verification(manifest),
        *_examples(manifest.arrays, manifest.fixed_batch),
        *_channels(manifest.operations),
        *_shared(manifest),
    )
    for line in lines:
        say(line)


def _array_names(manifest: Manifest) -> str:
    names = ", ".join(f"'{tensor.name}'" for tensor in manifest.arrays)
    return f"Train with arrays named {names}."


def _chosen_target(manifest: Manifest) -> list[str]:
    """That it is another than where onnxruntime-training is installed."""
    if manifest.target == DEFAULT_TARGET:
        return []
    target = UserError(option("target", manifest.target)).on_command_line()
    return [f"As onnxruntime-training is not installed, {target} was taken."]


def _losses(manifest: Manifest) -> list[str]:
    """Which losses are added up, where that is more than one."""
    parts = [
        f"{term.weight:g} x {term.loss} of '{term.prediction}'"
        + ("" if term.label is None else f" beside '{term.label.name}'")
        for term in manifest.losses
    ]
    return [f"The loss is {' + '.join(parts)}."] if parts else []


def _adapters(manifest: Manifest) -> list[str]:
    """Beside how many weights there are low-rank adapters, and with how many of these export leaves them."""
    if manifest.lora is None:
        return []
    adapters = manifest.lora.adapters
    beside = sum(each.merged != ALWAYS for each in adapters)
    stay = f"; in what is exported {beside} of them stay nodes" if beside else ""
    return [
        f"Adapters of rank {manifest.lora.rank} stand beside {counted(len(adapters), 'weight')}{stay}."
    ]


def _verification(manifest: Manifest) -> list[str]:
    """By what the folder was verified, or why it was not."""
    if manifest.verified is not None:
        by = f"{manifest.verified.package} {manifest.verified.version}"
        return [f"Verified on made-up data, with {by}."]
    return [] if manifest.unverified is None else [f"Not verified: {manifest.unverified}"]


def show_inspection(inspection: Inspection) -> None:
    """Tables of sigma-prime, of constants and of what the optimizers keep."""
    show(_operations(inspection))
    roles = _roles(inspection)
    if roles is not None:
        show(roles)
    show(_totals(inspection))
    for line in (
        *_examples(inspection.arrays, inspection.fixed_batch),
        *_channels(inspection.operations),
    ):
        say(line)
    if inspection.manifest is not None:
        for line in _losses(inspection.manifest):
            say(line)
        say(f"Gradients by {inspection.manifest.maker}. {_array_names(inspection.manifest)}")
        say(_kernels(inspection.manifest))
    if inspection.refusal is not None:
        reason = inspection.refusal.on_command_line()
        say(f"convert refuses this model. {reason}")


def _kernels(manifest: Manifest) -> str:
    """Whose kernels a step may have."""
    fast = TARGETS[manifest.target].fast_step
    if fast not in manifest.files:
        return "Steps run with standard kernels."
    return f"Steps run with fast kernels on the processor ({fast}), else with standard ones."


def show_checks(found: Sequence[svgd_onnx.ParameterCheck], tolerance: float) -> int:
    """Shows what was found; how many gradients are wrong."""
    table = Table(
        title="directional derivatives: of training, and by central differences",
        caption="along the direction, of those tried, in which the loss changes most; the error, which is the "
        "largest along any of them, and rounding are relative to the norm of the gradient",
    )
    table.add_column("parameter", overflow="fold")
    table.add_column("shape")
    for column in ("gradient", "difference", "relative error", "rounding"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for item in found:
        add_row(
            table,
            item.parameter,
            str(item.shape),
            *(f"{derivative:.6e}" for derivative in item.steepest),
            f"{item.error:.1e}",
            f"{item.rounding:.1e}",
            _verdict(item, tolerance),
        )
    show(table)
    wrong = [item for item in found if not item.is_right(tolerance)]
    lost = [item for item in found if item.is_lost and item not in wrong]
    told = [item for item in found if item not in lost]
    line = f"{counted(len(told), 'parameter')} checked, {len(wrong)} wrong"
    if told:
        worst = max(told, key=lambda item: item.error)
        is_explained = worst not in wrong and worst.error > tolerance
        explained = ", which rounding explains" if is_explained else ""
        line += f"; the largest error is {worst.error:.1e}, of '{worst.parameter}'{explained}"
    say(f"{line}.")
    if lost:
        names = listed((f"'{item.parameter}'" for item in lost), 3)
        say(
            f"float32 does not tell of {names}: on these data the gradient is lost in rounding, as one that "
            "is 0 is. Other data may tell."
        )
    return len(wrong)


def _verdict(item: svgd_onnx.ParameterCheck, tolerance: float) -> str:
    if not item.is_right(tolerance):
        return "wrong"
    return "lost in rounding" if item.is_lost else "right"


def _examples(arrays: Sequence[Tensor], batch: FixedBatch | None) -> list[str]:
    """What became of a fixed batch axis, and what has examples elsewhere than along the first axis, or none."""
    return [*_fixed_batch(batch), *_batch_axes(arrays)]


def _fixed_batch(batch: FixedBatch | None) -> list[str]:
    if batch is None:
        return []
    if batch.kept is not None:
        other = UserError(option("batch_axis", "NAME=AXIS")).on_command_line()
        return [
            f"The batch axis stays fixed at {batch.size} ({batch.kept}); {other} names another."
        ]
    keep = UserError(option("fixed_batch")).on_command_line()
    return [f"The batch axis, {batch.size} in the file, is open; {keep} keeps it."]


def _channels(operations: Sequence[Operation]) -> list[str]:
    """Where r is of each channel because sizes are open."""
    opened = [each for each in operations if each.state is not None and each.open_axes]
    if not opened:
        return []
    axes = dict.fromkeys(name for each in opened for name in each.open_axes)
    names = [name for name in axes if name != "?"]
    advice = UserError(option("size", f"{names[0] if names else 'AXIS'}=N")).on_command_line()
    mend = f"; {advice} fixes one, and makes r of each element" if names else ""
    count = counted(len(opened), "operation")
    those = f" ({listed(names)})" if names else ""
    return [f"r is of each channel for {count}, for sizes that are open{those}{mend}."]


def _otherwise(name: str, axis: int) -> str:
    return UserError(option("batch_axis", f"{name}={axis}")).on_command_line()


def _batch_axes(arrays: Sequence[Tensor]) -> list[str]:
    """What was taken for the axis of examples where that is not the first, and how to say otherwise."""
    if not arrays:
        return []
    whole = [f"'{each.name}'" for each in arrays if each.batch_axis is None]
    if len(whole) == len(arrays):
        of_axes = next((each for each in arrays if each.shape), arrays[0])
        return [
            "The model takes one example a step, without a batch axis: in the data examples are stacked "
            "along a new first axis, and an array without it is the same for all. If not: "
            f"{_otherwise(of_axes.name, 0)}."
        ]
    lines = []
    if whole:
        other = _otherwise(whole[0][1:-1], 0)
        lines.append(f"Given whole at every step: {listed(whole)}. If not: {other}.")
    for axis in sorted({each.batch_axis for each in arrays if each.batch_axis}):
        names = [each.name for each in arrays if each.batch_axis == axis]
        shown = listed(f"'{name}'" for name in names)
        lines.append(
            f"Examples lie along axis {axis} of {shown}. If not: {_otherwise(names[0], 0)}."
        )
    return lines


def _shared(manifest: Manifest) -> list[str]:
    """What was stored once: which of it is several parameters, and which one that several use."""
    separated = [each.name for each in manifest.parameters if each.separated_from is not None]
    uses = Counter(operation.parameter for operation in manifest.operations)
    tied = [name for name, count in uses.items() if count > 1]
    parts = []
    if separated:
        parts.append(
            f"Equal vectors that were stored once are parameters each: {listed(separated, 3)}."
        )
    if tied:
        parts.append(f"Used in several places, and one parameter: {listed(tied, 3)}.")
    return [" ".join(parts)] if parts else []


def _operations(inspection: Inspection) -> Table:
    table = Table(
        title="sigma-prime: the operations that take a trainable parameter",
        caption="sigma-prime is the paper's name for these; T scales the gradient of an operation's output by "
        "r, a running mean of its square, which is kept from step to step",
    )
    for column in ("node", "operator", "parameter", "T", "because", "r of each", "shape of r"):
        table.add_column(column, overflow="fold")
    table.add_column("bytes", justify="right")
    for operation in inspection.operations:
        acts = operation.state is not None
        add_row(
            table,
            operation.node,
            operation.op_type,
            operation.parameter,
            "T" if acts else "identity",
            operation.reason,
            operation.granularity if acts else "",
            str(tuple(operation.state_shape)) if acts else "",
            f"{operation.state_nbytes:,}" if acts else "",
        )
    return table


def _roles(inspection: Inspection) -> Table | None:
    """Constants of more than one number, and what is in doubt; None if there are none."""
    table = Table(title="what is taken for a constant, and what may be one")
    for column in ("tensor", "shape", "taken for", "because", "if not"):
        table.add_column(column, overflow="fold")
    for tensor in inspection.tensors:
        constant = tensor.role == "constant" and math.prod(tensor.shape) > 1
        if constant or tensor.decide_with is not None:
            decide = "" if tensor.decide_with is None else option(tensor.decide_with, tensor.name)
            add_row(
                table,
                tensor.name,
                str(tuple(tensor.shape)),
                tensor.role,
                tensor.reason,
                UserError(decide).on_command_line(),
            )
    return table if table.row_count else None


def _totals(inspection: Inspection) -> Table:
    table = Table(
        title=f"state that is needed beside {inspection.parameter_bytes:,} bytes of parameters"
    )
    table.add_column("optimizer")
    table.add_column("bytes", justify="right")
    for name, size in inspection.state_bytes.items():
        add_row(table, name, f"{size:,}")
    return table
