"""What a gradient should be: derivatives along random directions, by central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tools.node_cases.cases import LOSS, NotApplicableError, Problem, seed_of
from tools.node_cases.double import Double

DIRECTIONS = 2
_SMALLEST_SIZE = 1e-2
# What differences of float64 numbers of size 1 leave of the derivative.
_NOISE = 1e-9
_MOVES = (1e-3, 3e-3, 1e-2)

Loss = Callable[[Mapping[str, np.ndarray]], float]


@dataclass(frozen=True)
class Differences:
    """How central differences are taken.

    Attributes:
        steps: parts of the input's size, each a tenth of the one before; the last is taken only where
            the others do not agree.
        agreement: how well they must, relative to the derivative.
        kink: derivatives from both sides that differ more, relative to the derivative, are a kink's.
        unsettled: how far off the derivative may be.
        slack: how far off a gradient may be from it besides.
    """

    steps: Sequence[float]
    agreement: float
    kink: float
    unsettled: float
    slack: float


_FINE = Differences((1e-5, 1e-6, 1e-7), agreement=1e-7, kink=1e-5, unsettled=1e-4, slack=0.0)
# For references that compute in float32 all the same.
_COARSE = Differences((1e-2, 1e-3), agreement=1.0, kink=2e-2, unsettled=1e-2, slack=5e-3)


@dataclass(frozen=True)
class Derivatives:
    """Of the loss by one input.

    Attributes:
        directions: (DIRECTIONS, ...), of the input's shape each; 0 where the input is not finite.
        values: (DIRECTIONS,), along them.
        uncertainty: by how much these may be off.
        kink: by how much derivatives from both sides differ.
        noise: what a derivative that is 0 may come out as.
        loss: the loss itself.
        how: the differences that were taken.
    """

    directions: np.ndarray
    values: np.ndarray
    uncertainty: float
    kink: float
    noise: float
    loss: float
    how: Differences

    @property
    def scale(self) -> float:
        return float(np.abs(self.values).max())

    @property
    def is_zero(self) -> bool:
        return self.scale <= self.noise

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.values).all())

    @property
    def is_settled(self) -> bool:
        kink = self.how.kink * self.scale + self.noise
        unsettled = self.how.unsettled * self.scale + self.noise
        return self.is_finite and self.kink <= kink and self.uncertainty <= unsettled

    @property
    def allowed(self) -> float:
        """How far off a right gradient may seem for these differences' sake."""
        return 20 * self.uncertainty + self.noise + self.how.slack * self.scale


def derivatives(problem: Problem) -> tuple[Problem, dict[str, Derivatives | str]]:
    """The derivatives by each input, or why there are none.

    Where the loss has a kink, which one-sided differences show, the input is moved a little.

    Returns:
        The problem where the derivatives are those of, and the derivatives.
    """
    loss = _loss(problem)
    random = np.random.default_rng(seed_of(problem.name) + 1)
    found = {name: _along(loss, problem.point, name, random) for name in problem.point}
    for distance in _MOVES:
        kinked = [
            name
            for name, each in found.items()
            if isinstance(each, Derivatives) and each.is_finite and not each.is_settled
        ]
        if not kinked:
            break
        moved = problem.at({name: _moved(problem.point[name], distance, random) for name in kinked})
        again = {name: _along(loss, moved.point, name, random) for name in moved.point}
        lost = [
            name
            for name in again
            if isinstance(again[name], str) and not isinstance(found[name], str)
        ]
        if not lost:
            problem, found = moved, again
    for name, each in found.items():
        if isinstance(each, Derivatives) and each.is_finite and not each.is_settled:
            found[name] = _along(loss, problem.point, name, random, _COARSE)
    return problem, {name: _settled(each) for name, each in found.items()}


def _settled(found: Derivatives | str) -> Derivatives | str:
    if isinstance(found, str) or found.is_settled:
        return found
    return (
        "central differences do not settle"
        if found.is_finite
        else "a derivative that is not finite"
    )


def _loss(problem: Problem) -> Loss:
    model, outputs = _with_outputs(problem.model)
    double = Double(model)

    def loss(point: Mapping[str, np.ndarray]) -> float:
        results = double.run(point)
        if any(np.shape(results[name]) != shape for name, shape in outputs.items()):
            raise ValueError("an output has another shape")
        return float(results[LOSS])

    return loss


def _with_outputs(model: ir.Model) -> tuple[ir.Model, dict[str, tuple[int, ...]]]:
    """A copy with the outputs that the loss adds up, and their shapes."""
    copy = model.clone()
    shapes = {}
    for node in copy.graph:
        if (node.name or "").startswith(f"{LOSS}/product"):
            output, factors = node.inputs
            assert output is not None and factors is not None and factors.const_value is not None
            copy.graph.outputs.append(output)
            shapes[output.name or ""] = tuple(factors.const_value.shape.numpy())
    return copy, shapes


def _along(
    loss: Loss,
    point: Mapping[str, np.ndarray],
    name: str,
    random: np.random.Generator,
    how: Differences = _FINE,
) -> Derivatives | str:
    center = point[name].astype(np.float64)
    if not center.size:
        return "no elements"
    finite = np.isfinite(center)
    size = _size(center)
    directions = np.where(finite, random.normal(size=(DIRECTIONS, *center.shape)), 0)
    middle = loss(point)

    def sides(direction: np.ndarray, step: float) -> tuple[float, float]:
        change = np.where(finite, step * size * direction, 0)
        above, below = (loss({**point, name: center + sign * change}) for sign in (1, -1))
        return (above - middle) / (step * size), (middle - below) / (step * size)

    first, second, *smaller = how.steps
    values, changes, kinks = [], [], []
    try:
        for direction in directions:
            pairs = [sides(direction, step) for step in (first, second)]
            if abs(sum(pairs[0]) - sum(pairs[1])) > how.agreement * abs(sum(pairs[1])):
                pairs.extend(sides(direction, step) for step in smaller)
            central = [sum(pair) / 2 for pair in pairs]
            differences = np.abs(np.diff(central))
            best = int(np.argmin(differences))
            values.append(central[best + 1] if best else central[0])
            changes.append(differences[best])
            apart = [above - below for above, below in pairs]
            kinks.append(abs(10 * apart[1] - apart[0]) / 9)
    except Exception as error:  # whatever an operator raises for an input of another meaning
        return f"other values have outputs of other shapes ({type(error).__name__})"
    noise = _NOISE * (1 + abs(middle)) / size
    return Derivatives(directions, np.array(values), max(changes), max(kinks), noise, middle, how)


def _size(array: np.ndarray) -> float:
    finite = array[np.isfinite(array)]
    rms = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
    return max(rms, _SMALLEST_SIZE)


def _moved(array: np.ndarray, distance: float, random: np.random.Generator) -> np.ndarray:
    change = random.uniform(-1, 1, array.shape) * distance * _size(array.astype(np.float64))
    return np.where(np.isfinite(array), array + change, array).astype(np.float32)


def check_reference(problem: Problem, expected: list[np.ndarray], lenient: bool) -> None:
    """Refuses a case of which the reference evaluator does not get the outputs.

    Raises:
        NotApplicableError: says so.
    """
    model, outputs = _with_outputs(problem.model)
    try:
        found = Double(model).run(problem.point)
    except Exception as error:
        said = str(error).splitlines() or [""]
        raise NotApplicableError(
            f"no reference: {type(error).__name__}: {said[0][:100]}"
        ) from error
    tolerance = 3e-2 if lenient else 2e-3
    for name, right in zip(outputs, expected):
        if np.shape(found[name]) != right.shape or not np.allclose(
            found[name], right, rtol=tolerance, atol=tolerance * 0.1, equal_nan=True
        ):
            raise NotApplicableError("the reference evaluator gives other outputs than the case")
