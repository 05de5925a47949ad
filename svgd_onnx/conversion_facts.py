"""What the commands that look into a model say with --json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import svgd_onnx
from svgd_onnx.conversion.inspection import Inspection
from svgd_onnx.manifest import FILE_NAME, Manifest
from svgd_onnx.terminal import result


def tell_conversion(output: Path, manifest: Manifest, config: Path | None) -> None:
    """What was made, and where; svgd.json says all of it.

    Args:
        output: the folder.
        manifest: what it says of itself.
        config: the file in it that makes it again, if it was written.
    """
    result(
        artifacts=output,
        manifest=output / FILE_NAME,
        config=config,
        target=manifest.target,
        optimizer=manifest.optimizer,
        differentiator=manifest.differentiator,
        arrays=manifest.arrays,
        trainable=[each.name for each in manifest.parameters if each.trainable],
        virtual_gradients=sum(each.state is not None for each in manifest.operations),
        files=sorted(manifest.files),
        verified=manifest.verified,
        unverified=manifest.unverified,
    )


def tell_inspection(inspection: Inspection) -> None:
    """All that was found."""
    facts = {each.name: getattr(inspection, each.name) for each in fields(inspection)}
    refusal = inspection.refusal
    facts["refusal"] = None if refusal is None else refusal.on_command_line()
    for name in ("memory", "memory_unknown"):  # `show_memory` tells them
        del facts[name]
    result(
        **facts,
        parameter_bytes=inspection.parameter_bytes,
        state_bytes=inspection.state_bytes,
    )


def tell_checks(found: Sequence[svgd_onnx.ParameterCheck], tolerance: float) -> None:
    """Each parameter's gradient and difference, and how many are wrong."""
    result(
        tolerance=tolerance,
        wrong=sum(not each.is_right(tolerance) for each in found),
        parameters=[
            {
                "parameter": each.parameter,
                "shape": each.shape,
                "gradient": each.steepest[0],
                "difference": each.steepest[1],
                "error": each.error,
                "rounding": each.rounding,
                "right": each.is_right(tolerance),
                "lost_in_rounding": each.is_lost,
            }
            for each in found
        ],
    )
