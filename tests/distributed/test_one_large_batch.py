"""Several ranks make the steps that one makes of the whole batch; ranks are threads here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from thread_ranks import ThreadRank, on_ranks

import svgd_onnx
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.standard_onnx.data_parallel import DataParallelSession
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession

BATCH, STEPS, RATE = 8, 3, 0.1
Tensors = dict[str, np.ndarray]

# Models with BatchNormalization are apart.
MODELS = {
    "convolutional": models.convolutional,
    "larger outputs than weights": models.large_outputs,
    "a weight used twice": models.shared_weight,
    "MatMul and Add": models.matmul_add,
    "a sequence": models.sequence,
    "Gemm of whatever sort": models.gemm,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "momentum"},
    "T from standard operators": {"t_kernel": "portable"},
    "gradients of examples": {"gradient": "example"},
    "a sum": {"loss_settings": LossSettings(reduction="sum")},
    "gradients of examples of a sum": {
        "gradient": "example",
        "loss_settings": LossSettings(reduction="sum"),
    },
    "T by channel, wherever it may act": {"granularity": "channel", "t_scope": ("all-linear",)},
    "twins": {"encapsulation": "operators"},
    "all that changes gradients": {"clip_norm": 0.5, "clip_value": 0.2, "l1": 0.01, "ema": 0.9},
    "several batches a step": {"accumulation_steps": 2},
    "a proximal term": {"proximal": 0.5},
    "a proximal term, several batches a step": {"proximal": 0.5, "accumulation_steps": 2},
    "low-rank adapters": {"lora": 2},
    "some frozen": {"freeze": ["*.bias"]},
    "recomputed": {"recompute": True},
    "products in float16": {"compute": "float16"},
    "class weights": {"loss_settings": LossSettings(class_weights=(1.0, 2.0, 0.0, 0.5))},
    "labels that are ignored": {"loss_settings": LossSettings(ignore_index=1)},
}


def convert(model: onnx.ModelProto, folder: Path, **settings: Any) -> Manifest:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        return svgd_onnx.convert(
            model, folder, target="onnx", data_parallel=True, force=True, **settings
        )


def names_of(manifest: Manifest) -> list[str]:
    states = [each.state for each in manifest.operations if each.state is not None]
    return [each.name for each in (*manifest.parameters, *manifest.states)] + states


def steps_of(
    session: InferenceTrainingSession, manifest: Manifest, arrays: list[np.ndarray], steps: int
) -> tuple[list[float], Tensors]:
    losses = [session.train_step(arrays, RATE) for _ in range(steps)]
    return losses, {name: session.tensor(name).copy() for name in names_of(manifest)}


def of_one(folder: Path, manifest: Manifest, arrays: list[np.ndarray], steps: int = STEPS) -> Any:
    return steps_of(InferenceTrainingSession(folder, manifest, 1, "cpu"), manifest, arrays, steps)


def of_ranks(
    size: int, folder: Path, manifest: Manifest, arrays: list[np.ndarray], steps: int = STEPS
) -> Any:
    """As `of_one`, after it was seen that all ranks have the same bits."""

    def run(rank: ThreadRank) -> Any:
        session = DataParallelSession(rank, None, folder, manifest, 1)
        count = BATCH // size
        share = [array[rank.rank * count :][:count] for array in arrays]
        return steps_of(session, manifest, share, steps)

    first, *others = on_ranks(size, run)
    for losses, tensors in others:
        np.testing.assert_array_equal(losses, first[0])
        assert all(np.array_equal(tensors[name], first[1][name]) for name in tensors)
    return first


def arrays_of(model: onnx.ModelProto, manifest: Manifest) -> list[np.ndarray]:
    examples = models.examples(model, BATCH)
    return [examples[each.name] for each in manifest.arrays]


def assert_same(found: Any, expected: Any) -> None:
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for name, tensor in expected[1].items():
        largest = np.abs(tensor).max() if tensor.size else 0
        np.testing.assert_allclose(found[1][name], tensor, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize("model", MODELS)
def test_two_ranks_are_one_large_batch(model: str, tmp_path: Path) -> None:
    made = MODELS[model]()
    manifest = convert(made, tmp_path)
    arrays = arrays_of(made, manifest)
    assert_same(of_ranks(2, tmp_path, manifest, arrays), of_one(tmp_path, manifest, arrays))


@pytest.mark.parametrize("settings", SETTINGS)
def test_four_ranks_are_one_large_batch_by_any_settings(settings: str, tmp_path: Path) -> None:
    model = models.convolutional()
    manifest = convert(model, tmp_path, **SETTINGS[settings])
    arrays = arrays_of(model, manifest)
    assert_same(of_ranks(4, tmp_path, manifest, arrays), of_one(tmp_path, manifest, arrays))


@pytest.mark.parametrize("network", [models.mlp, models.residual])
def test_synchronized_statistics_are_those_of_the_whole_batch(
    network: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = network()
    manifest = convert(model, tmp_path, batch_norm="synchronized")
    arrays = arrays_of(model, manifest)
    arrays[0] = arrays[0] * 3 + 5  # far from the running mean, which is 0
    assert_same(of_ranks(4, tmp_path, manifest, arrays), of_one(tmp_path, manifest, arrays))


def test_local_statistics_are_averaged(tmp_path: Path) -> None:
    model = models.mlp()
    manifest = convert(model, tmp_path)
    arrays = arrays_of(model, manifest)
    _, found = of_ranks(2, tmp_path, manifest, arrays, steps=1)
    halves = [[array[half] for array in arrays] for half in (slice(0, 4), slice(4, 8))]
    ones = [of_one(tmp_path, manifest, half, steps=1)[1] for half in halves]
    for name in ("bn.mean", "bn.variance"):
        mean = (ones[0][name] + ones[1][name]) / 2
        np.testing.assert_allclose(found[name], mean, rtol=1e-5)


def test_local_r_is_the_exact_one_after_a_step_from_the_same_state(tmp_path: Path) -> None:
    model = models.convolutional()
    manifest = convert(model, tmp_path / "local", r="local")
    arrays = arrays_of(model, manifest)
    _, found = of_ranks(2, tmp_path / "local", manifest, arrays, steps=1)
    _, exact = of_one(tmp_path / "local", manifest, arrays, steps=1)
    for operation in manifest.operations:
        if operation.state is not None:
            np.testing.assert_allclose(
                found[operation.state], exact[operation.state], rtol=1e-4, atol=1e-9
            )
    assert not np.allclose(found["conv1.weight"], exact["conv1.weight"], rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "settings", "pieces"),
    [
        (models.matmul_add, {"optimizer": "sgd"}, 2),
        (models.matmul_add, {}, 2),  # one factor a channel comes after the gradient
        (models.convolutional, {"r": "local"}, 2),
        (models.convolutional, {}, 3),  # an r of each pixel: before the gradient
        (models.mlp, {"batch_norm": "synchronized", "optimizer": "sgd"}, 4),
    ],
)
def test_there_are_as_many_reductions_as_it_takes(
    model: Any, settings: dict[str, Any], pieces: int, tmp_path: Path
) -> None:
    manifest = convert(model(), tmp_path, **settings)
    assert manifest.data_parallel is not None
    assert manifest.data_parallel.pieces == pieces


def test_a_step_that_float16_does_not_hold_is_left_out_by_all(tmp_path: Path) -> None:
    model = models.convolutional()
    manifest = convert(model, tmp_path, compute="float16")
    arrays = arrays_of(model, manifest)

    def run(rank: ThreadRank) -> dict[str, np.ndarray]:
        session = DataParallelSession(rank, None, tmp_path, manifest, 1)
        session.set_tensor("svgd.loss_scale", np.array(2.0**22, np.float32))
        session.train_step([array[4 * rank.rank :][:4] for array in arrays], RATE)
        return {name: session.tensor(name).copy() for name in names_of(manifest)}

    _, before = of_one(tmp_path, manifest, arrays, steps=0)
    for found in on_ranks(2, run):
        assert found["svgd.loss_scale"] == 2.0**21
        assert found["svgd.loss_scale.left_out"] == 1
        np.testing.assert_array_equal(found["conv1.weight"], before["conv1.weight"])


def test_one_rank_that_is_not_finite_stops_all(tmp_path: Path) -> None:
    model = models.convolutional()
    manifest = convert(model, tmp_path)
    arrays = arrays_of(model, manifest)
    arrays[0] = arrays[0].copy()
    arrays[0][-1] = np.inf
    losses, found = of_ranks(4, tmp_path, manifest, arrays, steps=1)
    assert not np.isfinite(losses[0])
    _, before = of_one(tmp_path, manifest, arrays, steps=0)
    assert all(np.array_equal(found[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"target": "ort-training"}, "is of the target onnx"),
        ({"loss": "triplet"}, "compares examples"),
        ({"gradient_norms": True}, "are not summed over ranks"),
        ({"r": "local", "gradient": "example"}, "does not go with"),
        ({"r": "none"}, "Unknown r"),
        ({"data_parallel": False, "r": "local"}, "give data_parallel too"),
    ],
)
def test_what_has_no_such_step_is_refused(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    model = models.convolutional()
    given = {"target": "onnx", "data_parallel": True, **settings}
    with pytest.raises(UserError, match=words):
        svgd_onnx.convert(model, tmp_path / "artifacts", **given)
    assert not (tmp_path / "artifacts").exists()
