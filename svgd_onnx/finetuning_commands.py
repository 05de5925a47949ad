"""The options that change a model's structure, and the command `apply`. They need onnx and onnx-ir."""

from __future__ import annotations

from pathlib import Path

import typer

import svgd_onnx
from svgd_onnx import terminal
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.transforms.finetune.initial_values import INITIALIZATIONS

NUM_CLASSES = typer.Option(
    None, help="Make the last layer anew, for so many classes; its weight begins with --init-head."
)
INIT_HEAD = typer.Option(
    TrainingSettings.init_head, help=f"What a new head begins with: {' or '.join(INITIALIZATIONS)}."
)
RESET = typer.Option(
    [], metavar="GLOB", help="Parameters whose name matches begin anew; may be repeated."
)
INIT_SEED = typer.Option(
    TrainingSettings.init_seed, help="Of random numbers that parameters begin with."
)
LORA = typer.Option(
    None,
    metavar="RANK",
    help="Train low-rank adapters of this rank beside linear layers, and leave all else as it is but a new "
    "head and what --train names.",
)
LORA_TARGETS = typer.Option(
    [],
    metavar="GLOB",
    help="Weights, or nodes that take them, to put adapters beside; may be repeated; by default those of all "
    "Gemm, MatMul and Conv but the head's.",
)
LORA_ALPHA = typer.Option(None, help="Adapters are scaled by alpha / rank; by default 1.")


def apply(
    model: Path = typer.Argument(..., help="The ONNX model that the adapters were trained over."),
    adapter: Path = typer.Option(..., help="The file that export --adapter wrote."),
    output: Path = typer.Option(..., help="The ONNX file to write."),
) -> None:
    """Put trained adapters on a model."""
    svgd_onnx.apply_adapter(model, adapter, output)
    terminal.result(model=output)
    terminal.say(f"{output}: the model with the adapters of '{adapter}'.")
