"""What became of a case: a gradient beside central differences, or why there is none."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.node_cases.builders import BUILDERS, Builder, Found, RefusedError, names_an_operator
from tools.node_cases.cases import NotApplicableError, Problem
from tools.node_cases.expected import Derivatives

# Where rounding may be this part of a derivative, the derivative tells little.
_TOO_FLAT = 0.05


class Kind(str, enum.Enum):
    """What became of it; of several the worst comes first."""

    CRASH = "crash"
    TRACEBACK = "traceback"
    WRONG = "wrong"
    UNNAMED = "refused without a name"
    REFUSED = "refused"
    RIGHT = "right"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Outcome:
    """Of one input of a case, or of all of it.

    Attributes:
        case: its name.
        operator: that it is about.
        builder: who differentiated.
        input: by which it was differentiated; empty where it did not come to that.
        kind: what became of it.
        detail: how far off it is, what was said, or where it broke.
    """

    case: str
    operator: str
    builder: str
    input: str
    kind: Kind
    detail: str = ""


def outcomes(
    operator: str, problem: Problem, expected: dict[str, Derivatives | str], name: str
) -> list[Outcome]:
    """What a builder makes of all inputs together, and of single ones by themselves.

    By themselves are differentiated those that it does not get right together, to tell which it is
    that it cannot do; and if the builder says so, all.
    """
    builder = BUILDERS[name]
    reasons = {each: why for each, why in expected.items() if isinstance(why, str)}
    wanted = {each: why for each, why in expected.items() if isinstance(why, Derivatives)}
    found = {each: (Kind.NOT_APPLICABLE, why) for each, why in reasons.items()}
    together = _judge(builder, problem, wanted) if wanted else {}
    found.update(together)
    alone = {
        each: _judge(builder, problem, {each: wanted[each]})[each]
        for each, (kind, _) in together.items()
        if len(wanted) > 1 and (builder.singly or kind not in (Kind.RIGHT, Kind.NOT_APPLICABLE))
    }
    explained = {kind for kind, _ in alone.values()}
    for each, result in alone.items():
        kind, detail = together[each]
        only_together = kind == Kind.WRONG or (
            kind == Kind.TRACEBACK and Kind.TRACEBACK not in explained
        )
        if only_together and result[0] == Kind.RIGHT:
            found[each] = kind, f"with the other inputs: {detail}"
        else:
            found[each] = result
    return [Outcome(problem.name, operator, name, each, *found[each]) for each in expected]


def _judge(
    builder: Builder, problem: Problem, expected: dict[str, Derivatives]
) -> dict[str, tuple[Kind, str]]:
    zero = [name for name, each in expected.items() if each.is_zero]
    try:
        found = builder.differentiate(problem, list(expected))
    except RefusedError as error:
        message = " ".join(str(error).split())
        if zero == list(expected):
            return dict.fromkeys(expected, (Kind.NOT_APPLICABLE, "the derivative is 0"))
        kind = Kind.REFUSED if names_an_operator(message) else Kind.UNNAMED
        return dict.fromkeys(expected, (kind, message))
    except NotApplicableError as reason:
        return dict.fromkeys(expected, (Kind.NOT_APPLICABLE, str(reason)))
    except Exception as error:
        return dict.fromkeys(expected, (Kind.TRACEBACK, _place(error)))
    return {name: _compare(builder, problem, found, name, each) for name, each in expected.items()}


def _compare(
    builder: Builder, problem: Problem, found: Found, name: str, expected: Derivatives
) -> tuple[Kind, str]:
    gradient = np.asarray(found.gradients[name], np.float64)
    value = problem.point[name]
    if gradient.shape != value.shape:
        return Kind.WRONG, f"the gradient of {value.shape} has the shape {gradient.shape}"
    finite = np.isfinite(value)
    gradient = np.where(finite, gradient, 0)
    if not np.isfinite(gradient).all():
        return Kind.WRONG, "the gradient is not finite"
    if abs(found.loss - expected.loss) > builder.tolerance * (1 + abs(expected.loss)):
        return Kind.WRONG, f"the loss is {found.loss:g} instead of {expected.loss:g}"
    norm = float(np.linalg.norm(gradient))
    rounding = builder.rounding * expected.noise
    allowed = expected.allowed + rounding
    axes: Sequence[int] = range(1, expected.directions.ndim)
    computed = np.sum(gradient * expected.directions, axis=tuple(axes))
    off = float(np.abs(computed - expected.values).max())
    scale = max(norm, expected.scale)
    if off > builder.tolerance * scale + allowed:
        return Kind.WRONG, f"off by {off / scale:.1e} of its size {scale:.1e}"
    if expected.is_zero:
        return Kind.NOT_APPLICABLE, "the derivative is 0"
    if rounding > _TOO_FLAT * expected.scale:
        return Kind.NOT_APPLICABLE, "the derivative is too small to tell from rounding"
    return Kind.RIGHT, f"{off / scale:.1e}"


def _place(error: Exception) -> str:
    """The type and message of an exception, and where it came out of this project."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if "/transforms/" in frame.filename or "svgd" in frame.filename
    ]
    last = (ours or list(frames))[-1]
    message = " ".join(str(error).split())[:300]
    file = "/".join(last.filename.split("/")[-2:])
    return f"{type(error).__name__}: {message} ({file}: {last.name})"
