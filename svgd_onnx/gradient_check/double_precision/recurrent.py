"""LSTM, GRU and RNN in NumPy: in both directions, of sequence lengths, with every activation.

The references of the onnx package know one direction only before its version 1.21, and of activations
and lengths none but the usual.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

Functions = list[Callable[[np.ndarray], np.ndarray]]
# From the direction, x_t W + its bias (N, gates * H), the other bias, the activations and the states before
# to the states after.
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
        coupled = bool(attributes.get("input_forget"))

        def step(
            d: int,
            x_part: np.ndarray,
            bias: np.ndarray,
            functions: Functions,
            h: np.ndarray,
            c: np.ndarray,
        ) -> tuple[np.ndarray, ...]:
            gate, update, result = functions
            p_i, p_o, p_f = (0, 0, 0) if peepholes is None else np.split(peepholes[d], 3)
            i, o, f, g = np.split(x_part + h @ r[d].T + bias, 4, axis=1)
            i = gate(i + p_i * c)
            f = 1 - i if coupled else gate(f + p_f * c)
            c = f * c + i * update(g)
            return gate(o + p_o * c) * result(c), c

        usual = ("sigmoid", "tanh", "tanh")
        return _scan(step, usual, x, w, r, b, lengths, [first_h, first_c], attributes)


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
        late = bool(attributes.get("linear_before_reset"))

        def step(
            d: int, x_part: np.ndarray, bias: np.ndarray, functions: Functions, h: np.ndarray
        ) -> tuple[np.ndarray, ...]:
            gate, update = functions
            size = h.shape[1]
            gates = x_part[:, : 2 * size] + h @ r[d][: 2 * size].T + bias[: 2 * size]
            z, reset = np.split(gate(gates), 2, axis=1)
            inner, inner_bias, inner_r = x_part[:, 2 * size :], bias[2 * size :], r[d][2 * size :]
            if late:
                new = update(inner + reset * (h @ inner_r.T + inner_bias))
            else:
                new = update(inner + (reset * h) @ inner_r.T + inner_bias)
            return ((1 - z) * new + z * h,)

        return _scan(step, ("sigmoid", "tanh"), x, w, r, b, lengths, [first_h], attributes)


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
        def step(
            d: int, x_part: np.ndarray, bias: np.ndarray, functions: Functions, h: np.ndarray
        ) -> tuple[np.ndarray, ...]:
            return (functions[0](x_part + h @ r[d].T + bias),)

        return _scan(step, ("tanh",), x, w, r, b, lengths, [first_h], attributes)


def _scan(
    step: Step,
    usual: tuple[str, ...],
    x: np.ndarray,
    w: np.ndarray,
    r: np.ndarray,
    b: np.ndarray | None,
    lengths: np.ndarray | None,
    first: list[np.ndarray | None],
    attributes: dict[str, Any],
) -> tuple[np.ndarray, ...]:
    """Y (T, directions, N, H), 0 behind a sequence's end, and the last states (directions, N, H)."""
    directions, size = r.shape[0], r.shape[2]
    if b is None:
        b = np.zeros((directions, 2 * r.shape[1]), x.dtype)
    functions = _functions(attributes, usual, directions)
    outputs, lasts = np.zeros((len(x), directions, x.shape[1], size), x.dtype), []
    for d in range(directions):
        backwards = d == 1 or attributes.get("direction") == "reverse"
        states = [
            np.zeros((x.shape[1], size), x.dtype) if state is None else state[d] for state in first
        ]
        input_bias, bias = np.split(b[d], 2)
        for t in reversed(range(len(x))) if backwards else range(len(x)):
            # the sequences that have a step t
            on = np.full(x.shape[1], True) if lengths is None else t < lengths
            new = step(d, x[t] @ w[d].T + input_bias, bias, functions[d], *states)
            states = [np.where(on[:, None], *pair) for pair in zip(new, states)]
            outputs[t, d, on] = states[0][on]
        lasts.append(states)
    return (outputs, *(np.stack(last) for last in zip(*lasts)))


def _functions(
    attributes: dict[str, Any], usual: tuple[str, ...], directions: int
) -> list[Functions]:
    """The activations of each direction; those that take numbers take the next of those given."""
    names = [name.lower() for name in attributes.get("activations") or usual]
    names = (names * directions)[: len(usual) * directions]
    alphas, betas = (iter(attributes.get(f"activation_{name}") or ()) for name in ("alpha", "beta"))
    clip = attributes.get("clip") or np.inf
    found: list[Callable[[np.ndarray], np.ndarray]] = []
    for place, name in enumerate(names):
        function, *numbers = ACTIVATIONS[name]
        given = [next(values, usually) for values, usually in zip((alphas, betas), numbers)]
        # onnxruntime does not clip the memory of an LSTM
        bound = clip if place % len(usual) < 2 else np.inf
        found.append(partial(_bounded, function, given, bound))
    return [found[d : d + len(usual)] for d in range(0, len(found), len(usual))]


def _bounded(
    function: Callable[..., np.ndarray], numbers: list[float], clip: float, x: np.ndarray
) -> np.ndarray:
    return function(np.clip(x, -clip, clip), *numbers)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


# By name: the function, and its alpha and beta, where it takes them, by default.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "affine": (lambda x, alpha, beta: alpha * x + beta, 0.0, 0.0),
    "elu": (lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x), 1.0),
    "hardsigmoid": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), 0.2, 0.5),
    "leakyrelu": (lambda x, alpha: np.where(x < 0, alpha * x, x), 0.01),
    "relu": (lambda x: np.maximum(x, 0),),
    "scaledtanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), 0.0, 0.0),
    "sigmoid": (_sigmoid,),
    "softplus": (lambda x: np.logaddexp(0, x),),
    "softsign": (lambda x: x / (1 + np.abs(x)),),
    "tanh": (np.tanh,),
    "thresholdedrelu": (lambda x, alpha: np.where(x > alpha, x, 0), 1.0),
}

RECURRENT = [GRU, LSTM, RNN]
