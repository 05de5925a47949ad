"""Steps of fast kernels: their gradients in float64, and that the other form of a step may go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from convolutional_networks import NETWORKS, sliced
from fast_forms import (
    OPTIONS,
    SETTINGS,
    assert_a_spoiled_batch_changes_nothing,
    assert_conversion_keeps_it,
    converted,
    operators,
)
from reference import virtual_gradients

import svgd_onnx
from svgd_onnx.targets import TARGETS
from tools.networks import NETWORKS as LARGE_NETWORKS

STEPS, RATE = 2, 1.0
TOLERANCE = 5e-5


def batch_of(model: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    return models.examples(model, count=8, seed=seed)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_those_of_float64(name: str, target: str, tmp_path: Path) -> None:
    """What each step changes parameters and r by, r carried along, and all that convolves is ours."""
    model = NETWORKS[name]()
    folder = converted(model, tmp_path / "artifacts", target)
    left = operators(folder, target)
    assert left["Convolution"] and not left["Conv"] + left["ConvGrad"] + left["ConvTranspose"]
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=2)
    assert trainer.kernels == "fast"
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    values = {name: trainer.tensor(name).copy() for name in trainable}
    states = None
    for step in range(STEPS):
        batch = batch_of(model, step)
        loss = trainer.train_step(batch, RATE)
        expected = virtual_gradients(
            _with_values(model, values),
            {"image": batch["image"]},
            batch["labels"],
            loss="cross_entropy",
            output="logits",
            trainable=trainable,
            states=states,
            **SETTINGS,
        )
        states = expected.states
        assert loss == pytest.approx(expected.loss, rel=1e-5)
        for name in trainable:
            before, values[name] = values[name], trainer.tensor(name).copy()
            change = (before.astype(np.float64) - values[name]) / RATE
            # a bias before a normalization has a gradient of rounding alone
            size = max(np.abs(expected.gradients[name]).max(), 1e-2)
            np.testing.assert_allclose(
                change, expected.gradients[name], atol=TOLERANCE * size, rtol=0
            )
    used = {(item.parameter, item.output): item.state for item in trainer.manifest.operations}
    for key, state in states.items():
        found = trainer.tensor(used[key])
        np.testing.assert_allclose(found, state, rtol=0, atol=TOLERANCE * np.abs(state).max())


def _with_values(model: onnx.ModelProto, values: dict[str, np.ndarray]) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for tensor in other.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    return other


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("first", ["fast", "standard"])
def test_one_form_goes_on_from_the_checkpoint_of_the_other(
    first: str, target: str, tmp_path: Path
) -> None:
    model = NETWORKS["normalized"]()
    folder = converted(model, tmp_path / "artifacts", target, optimizer="svgd", momentum=0.5)
    trainer = svgd_onnx.Trainer(folder, kernels=first, threads=1)
    for step in range(3):
        trainer.train_step(batch_of(model, step), 0.1)
    trainer.save()
    other = svgd_onnx.Trainer(folder, kernels="standard" if first == "fast" else "fast", threads=1)
    assert other.step == 3 and other.kernels != first
    batch = batch_of(model, 3)
    trainer.train_step(batch, 0.1)
    other.train_step(batch, 0.1)
    for item in trainer.manifest.parameters:
        wanted = trainer.tensor(item.name)
        np.testing.assert_allclose(other.tensor(item.name), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_of_resnet_20_transposes_its_images_alone(target: str, tmp_path: Path) -> None:
    folder = converted(LARGE_NETWORKS["paper_resnet20"](0), tmp_path / "artifacts", target)
    found = operators(folder, target)
    assert found["Transpose"] == 1
    assert found["Convolution"] == found["ConvolutionWeightGradient"] == 19
    assert found["BatchNormalizationTraining"] == found["BatchNormalizationGradient"] == 19
    assert not found["Relu"]
    assert (
        found["VirtualGradient"] == 1
    )  # of the last layer: the others are multiplied as they are read


@pytest.mark.parametrize("target", TARGETS)
def test_additions_before_a_relu_are_part_of_normalizations(target: str, tmp_path: Path) -> None:
    folder = converted(NETWORKS["residual"](), tmp_path / "artifacts", target)
    graph = onnx.load(folder / TARGETS[target].fast_step).graph
    forward = [
        len(node.input) for node in graph.node if node.op_type == "BatchNormalizationTraining"
    ]
    backward = [
        len(node.output) for node in graph.node if node.op_type == "BatchNormalizationGradient"
    ]
    assert sorted(forward) == [5, 5, 6, 6]
    assert sorted(backward) == [3, 3, 4, 4]
    assert not [node.name for node in graph.node if node.op_type == "Relu"]


MORE_OPTIONS: dict[str, dict[str, Any]] = {
    **OPTIONS,
    "with frozen weights": {"freeze": ["a.weight", "stem.weight"]},
    "with L1": {"l1": 1e-3},
}


@pytest.mark.parametrize("option", MORE_OPTIONS)
def test_conversion_finds_both_forms_to_agree(
    option: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = NETWORKS["residual"]()
    assert_conversion_keeps_it(model, tmp_path / "artifacts", recwarn.list, **MORE_OPTIONS[option])


@pytest.mark.parametrize("target", TARGETS)
def test_parts_of_images_by_int32_bounds_run(
    target: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    assert_conversion_keeps_it(sliced(), tmp_path / "artifacts", recwarn.list, target=target)


@pytest.mark.parametrize("target", TARGETS)
def test_a_loss_that_is_not_finite_leaves_all_as_it_was(target: str, tmp_path: Path) -> None:
    model = NETWORKS["normalized"]()
    folder = converted(model, tmp_path / "artifacts", target)
    assert_a_spoiled_batch_changes_nothing(folder, batch_of(model, 0), batch_of(model, 1))
