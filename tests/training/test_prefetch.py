"""Batches that are prepared ahead come in their order, and what goes wrong comes where its turn is."""

from __future__ import annotations

import threading
import time

import pytest

from svgd_onnx.errors import UserError
from svgd_onnx.training.prefetch import Prefetched


def slow(task: int) -> int:
    """The later, the faster."""
    time.sleep(0.02 / (task + 1))
    return task * 10


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_their_tasks(workers: int) -> None:
    with Prefetched(slow, range(8), workers) as made:
        assert list(made) == [(task, task * 10) for task in range(8)]
    assert made.waited > 0


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_where_its_turn_is(workers: int) -> None:
    def make(task: int) -> int:
        if task == 2:
            raise UserError("broken")
        return task

    with Prefetched(make, range(5), workers) as made:
        assert [next(made) for _ in range(2)] == [(0, 0), (1, 1)]
        with pytest.raises(UserError, match="broken"):
            next(made)


def test_no_more_are_prepared_than_there_are_workers() -> None:
    begun: list[int] = []
    with Prefetched(lambda task: begun.append(task), range(100), 2) as made:
        next(made)
        time.sleep(0.05)
        assert len(begun) == 3
    assert len(begun) == 3
    assert not [each for each in threading.enumerate() if each.name.startswith("svgd-onnx-data")]


def test_preparing_goes_on_while_a_result_is_in_use() -> None:
    with Prefetched(lambda task: time.sleep(0.02), range(5), 1) as made:
        next(made)
        waited = made.waited
        for _ in range(4):
            time.sleep(0.04)
            next(made)
    assert made.waited - waited < 0.04
