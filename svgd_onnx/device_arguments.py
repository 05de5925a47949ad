"""The options that say what runs the steps."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from svgd_onnx.errors import UserError, option

DEVICE = typer.Option(
    None,
    metavar="cpu|cuda|openvino|…",
    help="What runs the steps, of the target onnx: any execution provider of this onnxruntime; by default "
    "CUDA where it has that.",
)
DEVICE_OPTION = typer.Option(
    [],
    metavar="KEY=VALUE",
    help="An option of the device's execution provider, by its name there; may be repeated.",
)


def parse_device_options(items: Sequence[str]) -> dict[str, str]:
    """Options of an execution provider by their names there: "device_id=1".

    Raises:
        UserError: one is not written so.
    """
    options = {}
    for item in items:
        name, given, value = item.partition("=")
        if not (name and given):
            raise UserError(
                f"{option('device_option')} has '{item}', which is not KEY=VALUE: write it as device_id=1."
            )
        options[name] = value
    return options
