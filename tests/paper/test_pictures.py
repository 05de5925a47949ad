"""Augmentation and standardization."""

from __future__ import annotations

import numpy as np
import pytest

from tools.paper.pictures import PADDING, augment, standardize


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (64, 3, 32, 32), np.uint8)


def test_each_picture_is_a_crop_of_its_padded_self_mirrored_or_not(images: np.ndarray) -> None:
    augmented = augment(images, np.random.default_rng(1))
    found = set()
    for image, result in zip(images, augmented):
        padded = np.pad(image, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
        found.add(
            next(
                (down, right, mirrored)
                for down in range(5)
                for right in range(5)
                for mirrored in (False, True)
                if np.array_equal(
                    padded[:, down : down + 32, right : right + 32],
                    result[:, :, ::-1] if mirrored else result,
                )
            )
        )
    downs, rights, mirrored = (set(each) for each in zip(*found))
    assert downs == rights == set(range(5))
    assert mirrored == {False, True}


def test_the_same_seed_gives_the_same_pictures(images: np.ndarray) -> None:
    first, again, other = (augment(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_standardized_picture_has_mean_0_and_deviation_1(images: np.ndarray) -> None:
    result = standardize(images).astype(np.float64)
    assert result.shape == images.shape
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_a_picture_of_one_color_becomes_0() -> None:
    assert not standardize(np.full((1, 3, 32, 32), 7, np.uint8)).any()
