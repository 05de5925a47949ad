"""The target onnx: one step as a model of standard operators, on an inference session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MakeTrainer
from decompositions import MODELS, options

import svgd_onnx
from svgd_onnx import LossSettings
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession
from svgd_onnx.training.data import check
from svgd_onnx.transforms.optimizers import OPTIMIZER_NAMES

NETWORKS = {
    name: getattr(models, name)
    for name in ("mlp", "convolutional", "large_outputs", "residual", "shared_weight", "sequence")
}


def both_losses(
    trainer_of: MakeTrainer,
    model: onnx.ModelProto,
    batch: dict[str, np.ndarray],
    steps: int = 5,
    rate: float = 0.05,
    **options: Any,
) -> tuple[list[float], list[float]]:
    """Losses of the same steps on a training session and on an inference session."""
    session, inference = (
        [trainer.train_step(batch, rate) for _ in range(steps)]
        for trainer in (
            trainer_of(model, **options),
            trainer_of(model, target="onnx", **options),
        )
    )
    return session, inference


class TestLossesAreThoseOfTheTrainingSession:
    @pytest.mark.parametrize("network", NETWORKS)
    @pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
    def test_with_each_optimizer(
        self, network: str, optimizer: str, trainer_of: MakeTrainer
    ) -> None:
        model = NETWORKS[network]()
        descends = optimizer in ("svgd", "sgd", "momentum", "nesterov")
        rate = 0.05 if descends else 0.01
        session, inference = both_losses(
            trainer_of, model, models.examples(model), 10, rate, optimizer=optimizer
        )
        assert inference == pytest.approx(session, rel=1e-4)

    @pytest.mark.parametrize("name", MODELS)
    def test_for_each_operator(self, name: str, trainer_of: MakeTrainer) -> None:
        model, told = MODELS[name](), options(name)
        batch = example_batch(model, loss=told["loss"], batch_size=3)
        session, inference = both_losses(trainer_of, model, batch, 3, 0.01, optimizer="sgd", **told)
        assert inference == pytest.approx(session, rel=1e-4)

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"ignore_index": 2},
            {"ignore_index": -100},
            {"class_weights": (1.0, 2.0, 0.5, 3.0)},
            {"class_weights": (1.0, 2.0, 0.5, 3.0), "ignore_index": 1},
            {"label_smoothing": 0.1},
            {"label_smoothing": 0.1, "ignore_index": 2},
        ],
        ids=str,
    )
    def test_for_each_form_of_cross_entropy(
        self, reduction: str, settings: dict[str, Any], trainer_of: MakeTrainer
    ) -> None:
        model = models.mlp()
        batch = models.examples(model)
        batch["labels"][0] = settings.get("ignore_index", 0)
        session, inference = both_losses(
            trainer_of,
            model,
            batch,
            rate=0.01,
            loss_settings=LossSettings(reduction=reduction, **settings),
        )
        assert inference == pytest.approx(session, rel=1e-4)

    @pytest.mark.parametrize(
        ("spatial", "attributes"),
        [
            ((9,), {}),
            ((9,), {"strides": [2], "pads": [1, 2], "dilations": [2]}),
            ((8, 8), {"group": 2}),
            ((8, 8), {"group": 4, "pads": [1, 1, 1, 1]}),
            ((9, 8), {"strides": [2, 3], "pads": [0, 1, 1, 0], "group": 2}),
            ((8, 8), {"pads": [4, 4, 4, 4]}),
            ((6, 5, 6), {"pads": [1, 1, 1, 1, 1, 1]}),
            ((6, 7, 6), {"strides": [2, 2, 2]}),
            (("height", "width"), {"pads": [1, 1, 1, 1]}),
            (("height", "width"), {"strides": [2, 2], "dilations": [2, 1], "group": 2}),
            ((200, 300), {}),
        ],
        ids=str,
    )
    def test_for_each_kind_of_convolution(
        self, spatial: tuple[Any, ...], attributes: dict[str, Any], trainer_of: MakeTrainer
    ) -> None:
        net = models.Network()
        dims = len(spatial)
        kernel = [3] * dims
        group = attributes.get("group", 1)
        first = net.weight("first", 4, 2, *[1] * dims)
        value = net.node("Relu", net.node("Conv", "x", first, net.weight("first.bias", 4)))
        weights = net.weight("second", 8, 4 // group, *kernel), net.weight("second.bias", 8)
        value = net.node("Conv", value, *weights, kernel_shape=kernel, **attributes)
        value = net.node("Flatten", net.node("GlobalAveragePool", value))
        net.node("MatMul", value, net.weight("last", 8, 3), output="y")
        model = net.model({"x": ("N", 2, *spatial)}, {"y": ("N", 3)})
        sizes = [size if isinstance(size, int) else 11 for size in spatial]
        random = np.random.default_rng(0)
        batch = {
            "x": random.standard_normal((3, 2, *sizes), np.float32),
            "labels": np.array([0, 2, 1]),
        }
        session, inference = both_losses(trainer_of, model, batch, granularity="channel")
        assert inference == pytest.approx(session, rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_all_operators_are_standard(network: str, optimizer: str, tmp_path: Path) -> None:
    svgd_onnx.convert(
        NETWORKS[network](), tmp_path / "a", target="onnx", optimizer=optimizer, verify=False
    )
    step = onnx.load(tmp_path / "a" / "training_step.onnx")
    onnx.checker.check_model(step, full_check=True)
    assert {node.domain for node in step.graph.node} == {""}
    assert [item.domain for item in step.opset_import] == [""]


def test_the_fused_kernel_does_too(trainer_of: MakeTrainer) -> None:
    model = models.residual()
    batch = models.examples(model)
    portable, fused = (
        trainer_of(model, target="onnx", t_kernel=kernel) for kernel in ("portable", "fused")
    )
    for _ in range(10):
        assert fused.train_step(batch, 0.05) == pytest.approx(
            portable.train_step(batch, 0.05), rel=1e-4
        )


def test_running_statistics_and_r_are_those_of_the_training_session(
    trainer_of: MakeTrainer,
) -> None:
    model = models.residual()
    trainers = trainer_of(model), trainer_of(model, target="onnx")
    for step in range(5):
        for trainer in trainers:
            trainer.train_step(models.examples(model, seed=step), 0.05)
    manifest = trainers[0].manifest
    names = [item.name for item in manifest.parameters]
    names += [item.state for item in manifest.operations if item.state]
    for name in names:
        expected = trainers[0].tensor(name)
        np.testing.assert_allclose(
            trainers[1].tensor(name), expected, rtol=1e-3, atol=1e-6, err_msg=name
        )


def test_the_same_run_gives_the_same_bits(tmp_path: Path) -> None:
    model = models.residual()
    for name in ("first", "second"):
        svgd_onnx.convert(model, tmp_path / name, target="onnx")
        trainer = svgd_onnx.Trainer(tmp_path / name, threads=1)
        trainer.train(models.examples(model, 40), epochs=2, batch_size=8, learning_rate=0.1)
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("first", "second")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
def test_a_resumed_run_ends_as_an_uninterrupted_one(optimizer: str, tmp_path: Path) -> None:
    model = models.dropout()
    data = models.examples(model, 40)
    settings: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.01}
    for name in ("whole", "parts"):
        svgd_onnx.convert(model, tmp_path / name, target="onnx", optimizer=optimizer, verify=False)
    svgd_onnx.Trainer(tmp_path / "whole", threads=1).train(data, steps=13, **settings)
    svgd_onnx.Trainer(tmp_path / "parts", threads=1).train(data, steps=6, **settings)
    resumed = svgd_onnx.Trainer(tmp_path / "parts", threads=1)
    resumed.train(data, steps=13, resume=True, **settings)
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_are_averaged_over_the_batches_of_a_step(
    target: str, trainer_of: MakeTrainer
) -> None:
    """Three batches of four are a batch of twelve, where neither T nor statistics see the batch."""
    model = models.convolutional()
    whole = models.examples(model, 12)
    at_once = trainer_of(model, target=target, optimizer="momentum")
    in_parts = trainer_of(model, target=target, optimizer="momentum", accumulation_steps=3)
    names = [item.name for item in at_once.manifest.parameters]
    for _ in range(3):
        at_once.train_step(whole, 0.1)
        before = [in_parts.tensor(name) for name in names]
        for part in range(3):
            rows = slice(4 * part, 4 * part + 4)
            assert all(
                np.array_equal(in_parts.tensor(name), array) for name, array in zip(names, before)
            )
            in_parts.train_step({name: array[rows] for name, array in whole.items()}, 0.1)
    for name in names:
        np.testing.assert_allclose(
            in_parts.tensor(name), at_once.tensor(name), rtol=1e-4, atol=1e-6, err_msg=name
        )


def test_a_loss_that_is_not_finite_changes_nothing(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    trainer = trainer_of(model, target="onnx")
    batch = models.examples(model)
    trainer.train_step(batch, 0.1)
    names = [item.name for item in trainer.manifest.parameters]
    names += [item.state for item in trainer.manifest.operations if item.state]
    before = {name: trainer.tensor(name) for name in names}
    image = next(name for name in batch if name != "labels")
    bad = {**batch, image: np.full_like(batch[image], 3e38)}
    with pytest.raises(svgd_onnx.UserError, match="NaN or infinite at step 2"):
        trainer.train_step(bad, 0.1)
    assert all(np.array_equal(trainer.tensor(name), before[name]) for name in names)


class TestStepsCopyNothing:
    """What a step changes is written where the next one reads it."""

    @pytest.fixture(params=OPTIMIZER_NAMES)
    def folder(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        options = {"optimizer": request.param, "target": "onnx"}
        svgd_onnx.convert(models.residual(), tmp_path / "a", **options)
        return tmp_path / "a"

    def test_all_tensors_stay_in_the_same_two_places(self, folder: Path) -> None:
        model = models.residual()
        trainer = svgd_onnx.Trainer(folder)
        session = trainer._session
        changing = session._changing
        assert {item.name for item in trainer.manifest.parameters} <= set(changing)

        def places() -> list[int]:
            return [session._current[name].data_ptr() for name in changing]

        def bound() -> list[int]:
            outputs = session._bound[1 - session._half].get_outputs()[1:]
            return [value.data_ptr() for value in outputs]

        seen = [places()]
        for _ in range(4):
            trainer.train_step(models.examples(model), 0.05)
            seen.append(places())
            assert bound() == seen[-1]  # what the step was bound to write is what is current
        assert seen[0] == seen[2] == seen[4]
        assert seen[1] == seen[3]
        assert not set(seen[0]) & set(seen[1])

    @pytest.mark.skipif(
        not has_training(),
        reason="a stock onnxruntime runs SoftmaxCrossEntropyLoss as a function, which ends in an Identity",
    )
    def test_no_operator_only_copies(self, folder: Path, tmp_path: Path) -> None:
        manifest = Manifest.load(folder)
        session = InferenceTrainingSession(
            folder, manifest, threads=1, device="cpu", profile=tmp_path / "profile"
        )
        session.train_step(
            check(models.examples(models.residual()), manifest).take(slice(None)), 0.05
        )
        events = json.loads(session.end_profile().read_text())
        operators = {event["args"]["op_name"] for event in events if event["cat"] == "Node"}
        assert operators & {"AdaptiveDescent", "Descent"}
        assert not operators & {"Identity", "MemcpyFromHost", "MemcpyToHost"}


class TestExport:
    @pytest.mark.parametrize("network", NETWORKS)
    def test_it_says_what_evaluation_says(
        self, network: str, trainer_of: MakeTrainer, tmp_path: Path
    ) -> None:
        model = NETWORKS[network]()
        batch = models.examples(model)
        trainer = trainer_of(model, target="onnx")
        for _ in range(3):
            trainer.train_step(batch, 0.05)
        trainer.export(tmp_path / "trained.onnx")
        onnx.checker.check_model(tmp_path / "trained.onnx", full_check=True)
        session = onnxruntime.InferenceSession(tmp_path / "trained.onnx")
        arrays = check(batch, trainer.manifest).take(slice(None))
        inputs = {item.name: batch[item.name] for item in trainer.manifest.inputs}
        expected = trainer._session.eval_step(arrays)[1]
        np.testing.assert_allclose(session.run(None, inputs)[0], expected, rtol=1e-5, atol=1e-6)

    def test_it_has_the_operators_that_came_in(
        self, trainer_of: MakeTrainer, tmp_path: Path
    ) -> None:
        model = models.residual()
        trainer_of(model, target="onnx").export(tmp_path / "untrained.onnx")
        exported = onnx.load(tmp_path / "untrained.onnx").graph
        assert [n.op_type for n in exported.node] == [n.op_type for n in model.graph.node]
        assert [value.name for value in exported.input] == ["image"]

    def test_a_saved_folder_exports_the_same(self, tmp_path: Path) -> None:
        model = models.mlp()
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")
        trainer = svgd_onnx.Trainer(tmp_path / "a")
        trainer.train_step(models.examples(model), 0.1)
        trainer.save()
        trainer.export(tmp_path / "session.onnx")
        from svgd_onnx.training.export import export

        export(tmp_path / "a", tmp_path / "folder.onnx")
        assert (tmp_path / "session.onnx").read_bytes() == (tmp_path / "folder.onnx").read_bytes()


class TestBadInput:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx")
        return tmp_path / "a"

    def test_no_such_target(self, tmp_path: Path) -> None:
        with pytest.raises(svgd_onnx.UserError, match="Unknown target 'web'"):
            svgd_onnx.convert(models.mlp(), tmp_path / "a", target="web")

    def test_steps_of_no_batches(self, tmp_path: Path) -> None:
        with pytest.raises(svgd_onnx.UserError, match="accumulation_steps is 0, but must be 1"):
            svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", accumulation_steps=0)
        assert not (tmp_path / "a").exists()

    def test_a_device_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(svgd_onnx.UserError, match="has no CUDA"):
            svgd_onnx.Trainer(folder, device="cuda")
        with pytest.raises(svgd_onnx.UserError, match="Unknown device 'tpu'"):
            svgd_onnx.Trainer(folder, device="tpu")

    def test_gradients_are_not_kept(self, folder: Path) -> None:
        with pytest.raises(svgd_onnx.UserError, match="keep no gradients"):
            svgd_onnx.Trainer(folder).gradient("fc1.weight")

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\xff" * 64])
    def test_a_damaged_checkpoint(self, content: bytes, folder: Path) -> None:
        (folder / "checkpoint.safetensors").write_bytes(content)
        with pytest.raises(svgd_onnx.UserError, match="is damaged"):
            svgd_onnx.Trainer(folder)

    @pytest.mark.parametrize("name", ["training_step.onnx", "checkpoint.safetensors"])
    def test_a_missing_file(self, name: str, folder: Path) -> None:
        (folder / name).unlink()
        with pytest.raises(svgd_onnx.UserError, match=name):
            svgd_onnx.Trainer(folder, kernels="standard")

    def test_a_damaged_step(self, folder: Path) -> None:
        (folder / "training_step.onnx").write_bytes(b"\x08no model")
        with pytest.raises(svgd_onnx.UserError, match="is not the file that was made"):
            svgd_onnx.Trainer(folder, kernels="standard")
