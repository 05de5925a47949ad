"""A share of the examples is set aside."""

from __future__ import annotations

import models
import numpy as np
import pytest
from conftest import MakeTrainer

from svgd_onnx.errors import UserError
from svgd_onnx.training.batches import Examples
from svgd_onnx.training.split import split

LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10)[np.random.default_rng(0).permutation(100)]
EXAMPLES = Examples((np.arange(100), LABELS), (0, 0))


def parts(fraction: float, seed: int = 0, labels: np.ndarray | None = LABELS) -> list[np.ndarray]:
    return [part.take(slice(None))[0] for part in split(EXAMPLES, labels, fraction, seed)]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_each_class_has_its_share(fraction: float) -> None:
    left, aside = parts(fraction)
    assert sorted([*left, *aside]) == list(range(100))
    counts = np.bincount(LABELS[aside])
    np.testing.assert_allclose(counts, np.array([60, 30, 10]) * fraction, atol=1)
    assert len(aside) == 100 * fraction


def test_the_seed_alone_chooses() -> None:
    assert parts(0.2)[1].tolist() == parts(0.2)[1].tolist() != parts(0.2, seed=1)[1].tolist()
    assert len(parts(0.2, labels=None)[1]) == 20


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 3.0, 0.001, 0.999, float("nan")])
def test_no_part_is_empty(fraction: float) -> None:
    with pytest.raises(UserError, match="validation is"):
        parts(fraction)


def test_a_part_knows_the_numbers_of_its_rows() -> None:
    _, aside = split(EXAMPLES, LABELS, 0.2, 0)
    rows = np.array([3, 0, 7])
    np.testing.assert_array_equal(aside.numbers(rows), aside.take(rows)[0])


def test_a_resumed_training_sets_the_same_aside(trainer_of: MakeTrainer) -> None:
    data = models.examples(models.mlp(), 40)
    whole, parts = (trainer_of(models.mlp()) for _ in range(2))
    options = {"batch_size": 4, "learning_rate": 0.1, "validation": 0.25}
    expected = whole.train(data, epochs=3, **options)
    parts.train(data, epochs=1, **options)
    assert parts.train(data, epochs=3, resume=True, **options) == expected
