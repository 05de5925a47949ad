"""Which examples a step takes."""

from __future__ import annotations

import numpy as np

from svgd_onnx.training.batches import BatchOrder, Examples, shuffled_rows
from svgd_onnx.training.examples import one_pass


def test_steps_go_through_an_epochs_order_but_for_what_fills_no_batch() -> None:
    shuffled = BatchOrder(10, 4, seed=3)
    assert shuffled.steps_per_epoch == 2
    for epoch in range(3):
        rows = [shuffled.rows(2 * epoch + position) for position in range(2)]
        np.testing.assert_array_equal(np.concatenate(rows), shuffled_rows(10, 3, epoch)[:8])


def test_a_step_takes_the_same_examples_whatever_was_asked_before() -> None:
    asked, fresh = BatchOrder(10, 4, seed=3), BatchOrder(10, 4, seed=3)
    asked.rows(0)
    np.testing.assert_array_equal(asked.rows(5), fresh.rows(5))


def test_an_evaluation_takes_all_examples_in_order() -> None:
    examples = Examples((np.arange(5), np.arange(5) * 10), (0, 0))
    taken = list(one_pass(examples, 2, workers=0))
    assert [arrays[1].tolist() for _, arrays in taken] == [[0, 10], [20, 30], [40]]
