"""How many steps there are."""

from __future__ import annotations

import pytest

import svgd_onnx
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.length import check_length


def test_epochs_are_as_many_steps_as_fill_batches() -> None:
    assert BatchOrder(30, 4, seed=0).steps(3) == 21


def test_epochs_or_steps_say_how_many_there_are() -> None:
    for epochs, steps in ((None, None), (1, 1), (0, None), (None, 0)):
        with pytest.raises(svgd_onnx.UserError):
            check_length(epochs, steps)
