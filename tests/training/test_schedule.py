"""How many steps, and at which rates."""

from __future__ import annotations

import pytest

import svgd_onnx
from svgd_onnx.training.schedule import Schedule, check_length, total_steps


def test_a_rate_holds_from_its_step_on() -> None:
    schedule = Schedule(0.5, {20: 0.1, 10: 0.2})
    assert [schedule.rate(step) for step in (0, 9, 10, 19, 20, 10**9)] == [
        *[0.5, 0.5],
        *[0.2, 0.2],
        *[0.1, 0.1],
    ]


@pytest.mark.parametrize(("rate", "changes"), [(-0.1, {}), (float("nan"), {}), (0.1, {-1: 0.1})])
def test_rates_and_steps_below_zero_are_refused(rate: float, changes: dict[int, float]) -> None:
    with pytest.raises(svgd_onnx.UserError):
        Schedule(rate, changes)


def test_epochs_or_steps_say_how_many_there_are() -> None:
    assert total_steps(3, None, 7) == 21
    assert total_steps(None, 5, 7) == 5
    for epochs, steps in ((None, None), (1, 1), (0, None), (None, 0)):
        with pytest.raises(svgd_onnx.UserError):
            check_length(epochs, steps)
