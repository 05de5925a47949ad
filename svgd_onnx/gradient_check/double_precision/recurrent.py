"""LSTM, GRU and RNN in NumPy: in both directions, with the activations that ONNX has by default.

The references of the onnx package know one direction only before its version 1.21.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

# From x_t W + its bias (N, gates * H), the states before, and the recurrent weights to the states after.
Step = Callable[..., "tuple[np.ndarray, ...]"]


class LSTM(OpRun):
    """ONNX operator LSTM."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        r: np.ndarray,
        b: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        first_h: np.ndarray | None = None,
        first_c: np.ndarray | None = None,
        peepholes: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray, ...]:
        _check(attributes, lengths, ("Sigmoid", "Tanh", "Tanh"))
        if peepholes is not None or attributes.get("input_forget"):
            raise NotImplementedError("LSTM with peepholes or input_forget")

        def step(
            x_part: np.ndarray, r: np.ndarray, bias: np.ndarray, h: np.ndarray, c: np.ndarray
        ) -> tuple[np.ndarray, ...]:
            i, o, f, g = np.split(x_part + h @ r.T + bias, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            return _sigmoid(o) * np.tanh(c), c

        return _scan(step, x, w, r, b, [first_h, first_c], attributes)


class GRU(OpRun):
    """ONNX operator GRU."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        r: np.ndarray,
        b: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        first_h: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray, ...]:
        _check(attributes, lengths, ("Sigmoid", "Tanh"))
        late = bool(attributes.get("linear_before_reset"))

        def step(
            x_part: np.ndarray, r: np.ndarray, bias: np.ndarray, h: np.ndarray
        ) -> tuple[np.ndarray, ...]:
            size = h.shape[1]
            gates = x_part[:, : 2 * size] + h @ r[: 2 * size].T + bias[: 2 * size]
            z, reset = np.split(_sigmoid(gates), 2, axis=1)
            inner, inner_bias, inner_r = x_part[:, 2 * size :], bias[2 * size :], r[2 * size :]
            if late:
                new = np.tanh(inner + reset * (h @ inner_r.T + inner_bias))
            else:
                new = np.tanh(inner + (reset * h) @ inner_r.T + inner_bias)
            return ((1 - z) * new + z * h,)

        return _scan(step, x, w, r, b, [first_h], attributes)


class RNN(OpRun):
    """ONNX operator RNN."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        r: np.ndarray,
        b: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        first_h: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray, ...]:
        _check(attributes, lengths, ("Tanh",))

        def step(
            x_part: np.ndarray, r: np.ndarray, bias: np.ndarray, h: np.ndarray
        ) -> tuple[np.ndarray, ...]:
            return (np.tanh(x_part + h @ r.T + bias),)

        return _scan(step, x, w, r, b, [first_h], attributes)


def _scan(
    step: Step,
    x: np.ndarray,
    w: np.ndarray,
    r: np.ndarray,
    b: np.ndarray | None,
    first: list[np.ndarray | None],
    attributes: dict[str, Any],
) -> tuple[np.ndarray, ...]:
    """Y (T, directions, N, H) and the last states (directions, N, H)."""
    directions, size = r.shape[0], r.shape[2]
    if b is None:
        b = np.zeros((directions, 2 * r.shape[1]), x.dtype)
    outputs, lasts = [], []
    for d in range(directions):
        backwards = d == 1 or attributes.get("direction") == "reverse"
        states = [
            np.zeros((x.shape[1], size), x.dtype) if state is None else state[d] for state in first
        ]
        input_bias, bias = np.split(b[d], 2)
        hidden = []
        for x_t in x[::-1] if backwards else x:
            states = list(step(x_t @ w[d].T + input_bias, r[d], bias, *states))
            hidden.append(states[0])
        outputs.append(np.stack(hidden[::-1] if backwards else hidden))
        lasts.append(states)
    return (np.stack(outputs, axis=1), *(np.stack(last) for last in zip(*lasts)))


def _check(
    attributes: dict[str, Any], lengths: np.ndarray | None, default: tuple[str, ...]
) -> None:
    activations = [name.lower() for name in attributes.get("activations") or default]
    usual = [name.lower() for name in default] * (len(activations) // len(default))
    if activations != usual or attributes.get("clip") or attributes.get("layout"):
        raise NotImplementedError("a recurrent operator with other activations, clip or layout")
    if lengths is not None:
        raise NotImplementedError("a recurrent operator with sequences of different lengths")


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


RECURRENT = [GRU, LSTM, RNN]
