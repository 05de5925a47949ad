"""Gradients that travel as float16: what rounding loses is not lost, and all ranks have the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from safetensors.numpy import load_file
from thread_ranks import ThreadRank, on_ranks

import svgd_onnx
from svgd_onnx.distributed import ALONE
from svgd_onnx.distributed.compression import CompressedSum
from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.step_names import RESIDUAL
from svgd_onnx.targets.standard_onnx.data_parallel import DataParallelSession

COUNT, ROUNDING = 50, 2.0**-11
MODEL = models.convolutional()
EXAMPLES = models.examples(MODEL, 64)
OPTIONS: dict[str, Any] = {"batch_size": 12, "learning_rate": 0.1}


def numbers_of(rank: int, step: int = 0) -> np.ndarray:
    return np.random.default_rng([rank, step]).normal(size=COUNT).astype(np.float32)


def summed(rank: ThreadRank, numbers: np.ndarray) -> np.ndarray:
    CompressedSum(rank, len(numbers)).all_reduce(numbers)
    return numbers


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_sums_are_those_of_float32_but_for_rounding_and_the_same_on_all_ranks(size: int) -> None:
    found = on_ranks(size, lambda rank: summed(rank, numbers_of(rank.rank)))
    assert all(np.array_equal(each, found[0]) for each in found)
    terms = np.array([numbers_of(rank) for rank in range(size)], np.float64)
    error = np.abs(found[0] - terms.sum(axis=0))
    assert (error <= ROUNDING * (np.abs(terms).sum(axis=0) + np.abs(found[0]))).all()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-20, 1e20, 1e38])
def test_numbers_of_any_size_keep_their_digits(scale: float) -> None:
    """What one message holds may be of other sizes too: here a thousandth of the largest."""
    given = np.float32(scale) * np.array([1, -0.5, 1e-3] * 6, np.float32)
    for found in on_ranks(2, lambda rank: summed(rank, given * np.float32(0.5))):
        np.testing.assert_allclose(found, given, rtol=2 * ROUNDING, atol=1e-45)


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, np.uint32(2**31 - 1).view(np.float32)])
def test_what_is_not_finite_on_one_rank_is_so_on_all(wrong: float) -> None:
    def run(rank: ThreadRank) -> np.ndarray:
        numbers = numbers_of(rank.rank)
        numbers[7] = wrong if rank.rank == 1 else numbers[7]
        return summed(rank, numbers)

    for found in on_ranks(3, run):
        assert not np.isfinite(found[7])


def test_sums_of_all_steps_and_residuals_are_what_was_summed() -> None:
    steps = 200

    def run(rank: ThreadRank) -> tuple[np.ndarray, np.ndarray]:
        compressed, total = CompressedSum(rank, COUNT), np.zeros(COUNT)
        for step in range(steps):
            numbers = numbers_of(rank.rank, step)
            compressed.all_reduce(numbers)
            compressed.keep()
            total += numbers
        return total, compressed.settle()

    found, left = on_ranks(4, run)[0]
    expected = np.sum(
        [numbers_of(rank, step).astype(float) for rank in range(4) for step in range(steps)], 0
    )
    np.testing.assert_allclose(found + left, expected, atol=steps * 2e-6)
    assert np.abs(left).max() < 8 * ROUNDING  # of some steps, and not of all


def test_a_sum_that_does_not_count_leaves_nothing() -> None:
    compressed = CompressedSum(ALONE, COUNT)
    once, again = numbers_of(0), numbers_of(0)
    compressed.all_reduce(once)
    compressed.all_reduce(again)
    np.testing.assert_array_equal(once, again)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "artifacts"
    svgd_onnx.convert(MODEL, folder, target="onnx", data_parallel=True)
    return folder


def train(
    source: Path,
    place: Path,
    size: int,
    steps: int,
    compress: str | None = "float16",
    **options: Any,
) -> Path:
    """A copy of a folder, after a training by so many ranks."""
    folder = Path(shutil.copytree(source, place))

    def run(rank: ThreadRank) -> None:
        trainer = svgd_onnx.Trainer(folder, communicator=rank, threads=1, compress=compress)
        trainer.train(EXAMPLES, steps=steps, **{**OPTIONS, **options})

    on_ranks(size, run)
    return folder


def losses(folder: Path) -> np.ndarray:
    return np.loadtxt(folder.with_suffix(".csv"), delimiter=",", skiprows=1, usecols=3)


def test_losses_of_100_steps_stay_near_those_of_float32(converted: Path, tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("compressed.csv", "plain.csv")]
    rate = {"learning_rate": 0.03}
    first = train(converted, tmp_path / "compressed", 2, 100, log=logs[0], **rate)
    second = train(converted, tmp_path / "plain", 2, 100, None, log=logs[1], **rate)
    found, expected = losses(first), losses(second)
    assert expected[-8:].mean() < 0.9 * expected[:8].mean()
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert not np.array_equal(found, expected)


def test_half_the_bytes_of_gradients_travel(converted: Path) -> None:
    manifest = Manifest.load(converted)
    arrays = [EXAMPLES[each.name][:4] for each in manifest.arrays]

    def sent(compress: str | None) -> int:
        session = DataParallelSession(ALONE, compress, converted, manifest, 1)
        session.train_step(arrays, 0.1)
        return session.traffic.bytes

    sizes = [each.gradients.nbytes for each in pieces(converted, manifest)]
    assert sent("float16") == sent(None) - sum(sizes) // 2 + 2 * np.count_nonzero(sizes)


def pieces(folder: Path, manifest: Manifest) -> list[Any]:
    buckets: list[Any] = DataParallelSession(ALONE, None, folder, manifest, 1)._session.buckets
    return buckets


def test_a_training_that_goes_on_comes_to_the_bits_of_one_that_never_stopped(
    converted: Path, tmp_path: Path
) -> None:
    whole = train(converted, tmp_path / "whole", 3, 8, checkpoint_every=4)
    half = train(converted, tmp_path / "half", 3, 4)
    on = train(half, tmp_path / "on", 3, 8)
    name = "checkpoint.safetensors"
    assert (on / name).read_bytes() == (whole / name).read_bytes()
    left = [array for key, array in load_file(on / name).items() if key.startswith(RESIDUAL)]
    assert any(array.any() for array in left)


def test_others_go_on_from_it_without_what_is_left(converted: Path, tmp_path: Path) -> None:
    half = train(converted, tmp_path / "half", 2, 4)
    trainer = svgd_onnx.Trainer(half, threads=1)
    trainer.train(EXAMPLES, steps=5, **OPTIONS)
    assert not [name for name in load_file(half / "checkpoint.safetensors") if RESIDUAL in name]
    train(half, tmp_path / "compressed again", 4, 6)


def test_a_step_that_is_left_out_leaves_nothing_either(converted: Path) -> None:
    manifest = Manifest.load(converted)
    arrays = [EXAMPLES[each.name][:4] for each in manifest.arrays]
    spoiled = [np.full_like(arrays[0], np.inf), *arrays[1:]]

    def run(with_spoiled: bool) -> list[float]:
        session = DataParallelSession(ALONE, "float16", converted, manifest, 1)
        return [
            session.train_step(each, 0.1)
            for each in ([arrays, *[spoiled] * with_spoiled, arrays, arrays])
        ]

    left_out, plain = run(True), run(False)
    assert not np.isfinite(left_out.pop(1))
    assert left_out == plain


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"compress": "float16"}, "this process trains alone"),
        ({"compress": "float8", "communicator": ALONE}, "Unknown compress"),
    ],
)
def test_what_cannot_be_compressed_is_refused(
    options: dict[str, Any], words: str, converted: Path
) -> None:
    with pytest.raises(UserError, match=words):
        svgd_onnx.Trainer(converted, **options)
