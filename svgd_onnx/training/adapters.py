"""Low-rank adapters added to the weights that they stand beside. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest, Parameter
from svgd_onnx.records import Adapter
from svgd_onnx.targets.target import Values

ALWAYS, REQUANTIZED, NEVER = "always", "requantized", "never"
"""When export adds an adapter to its weight."""


def with_change(
    weight: np.ndarray, down: np.ndarray, up: np.ndarray, adapter: Adapter
) -> np.ndarray:
    """W + scaling * A B, computed in float64.

    Args:
        weight: W, as it is stored.
        down: A, (inputs, rank), or of a convolution (rank, inputs, kernel...).
        up: B, (rank, outputs), or (outputs, rank, 1...).
        adapter: whose they are.

    Returns:
        float32, of W's shape.
    """
    a, b = down.astype(np.float64), up.astype(np.float64)
    if adapter.kind == "convolution":
        change = np.tensordot(b.reshape(b.shape[:2]), a, 1)
    else:
        change = a @ b
        change = change.T if adapter.kind == "transposed" else change
    return np.asarray(weight.astype(np.float64) + adapter.scaling * change, np.float32)


def takes_in_adapters(manifest: Manifest) -> bool:
    """Whether weights that are quantized anew take in the adapters beside them.

    Raises:
        UserError: they stay as they are, as the artifacts were converted.
    """
    if manifest.lora is None:
        return False
    ways = {each.merged for each in manifest.lora.adapters}
    if REQUANTIZED not in ways and NEVER in ways:
        raise UserError(
            f"The weights beside adapters stay quantized as they are: leave out {option('requantize')}, or "
            f"convert with {option('quantized', 'straight-through')} what DequantizeLinear gives."
        )
    return REQUANTIZED in ways


def merged(
    manifest: Manifest, value: Values, *, requantize: bool
) -> tuple[Sequence[Parameter], Values]:
    """What the exported model has for parameters, and their values: adapters are added where they can be.

    Args:
        manifest: of artifacts.
        value: of each of their parameters, by name.
        requantize: whether quantized weights are quantized anew.
    """
    if manifest.lora is None:
        return manifest.parameters, value
    when = (ALWAYS, REQUANTIZED) if requantize else (ALWAYS,)
    by_weight = {each.weight: each for each in manifest.lora.adapters if each.merged in when}
    gone = {name for each in by_weight.values() for name in (each.down, each.up)}

    def changed(name: str) -> np.ndarray:
        adapter = by_weight.get(name)
        if adapter is None:
            return value(name)
        return with_change(value(name), value(adapter.down), value(adapter.up), adapter)

    return [each for each in manifest.parameters if each.name not in gone], changed
