"""Loop and Scan.

The onnx package's reference joins what the turns of a Loop give along an axis that is there (1.23), and has
no Scan that runs backwards, or along other axes than the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun


class Loop(OpRun):
    """Loop as ONNX defines it from version 11 on."""

    def need_context(self) -> bool:
        """The body reads values around it."""
        return True

    def _run(
        self, most: Any, goes_on: Any, *initial: Any, context: Any = None, **attributes: Any
    ) -> tuple[Any, ...]:
        body, states = attributes["body"], list(initial)
        outputs: list[list[np.ndarray]] = [
            [] for _ in range(len(body.output_names) - 1 - len(states))
        ]
        turn, condition = 0, True if goes_on is None else bool(np.asarray(goes_on).item())
        while condition and (most is None or turn < np.asarray(most).item()):
            given = (np.array(turn, np.int64), np.array(condition), *states)
            feeds = dict(zip(body.input_names, given))
            results = body.run(None, {**(context or {}), **feeds})
            condition, states = bool(np.asarray(results[0]).item()), results[1 : 1 + len(states)]
            for output, value in zip(outputs, results[1 + len(states) :]):
                output.append(np.asarray(value))
            turn += 1
        return (*states, *(np.stack(values) if values else np.zeros(0) for values in outputs))


class Scan(OpRun):
    """Scan as ONNX defines it from version 9 on."""

    def need_context(self) -> bool:
        """The body reads values around it."""
        return True

    def _run(self, *inputs: Any, context: Any = None, **attributes: Any) -> tuple[Any, ...]:
        body = attributes["body"]
        scans = attributes["num_scan_inputs"]
        states, scanned = list(inputs[: len(inputs) - scans]), inputs[len(inputs) - scans :]
        stacks = len(body.output_names) - len(states)
        axes, ways = (
            attributes[f"scan_input_{kind}"] or [0] * scans for kind in ("axes", "directions")
        )
        slices = [
            np.moveaxis(array, axis, 0)[:: -1 if way else 1]
            for array, axis, way in zip(scanned, axes, ways)
        ]
        outputs: list[list[np.ndarray]] = [[] for _ in range(stacks)]
        for turn in zip(*slices):
            feeds = dict(zip(body.input_names, (*states, *turn)))
            results = body.run(None, {**(context or {}), **feeds})
            states = results[: len(states)]
            for output, value in zip(outputs, results[len(states) :]):
                output.append(np.asarray(value))
        axes, ways = (
            attributes[f"scan_output_{kind}"] or [0] * stacks for kind in ("axes", "directions")
        )
        stacked = [
            np.stack(values[:: -1 if way else 1], axis)
            for values, axis, way in zip(outputs, axes, ways)
        ]
        return (*states, *stacked)
