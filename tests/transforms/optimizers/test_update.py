"""What becomes of gradients and parameters beside the rule: clipping, groups, averages; on every target."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.conversion.options import UpdateSettings
from svgd_onnx.conversion_arguments import parse_numbers
from svgd_onnx.errors import UserError
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.optimizers import OPTIMIZER_NAMES

RATE = 0.05
MODEL = models.mlp()
NAMES = ("fc1.weight", "fc1.bias", "bn.scale", "bn.shift", "fc2.weight", "fc2.bias")

each_target = pytest.mark.parametrize("target", TARGETS)


def affine() -> onnx.ModelProto:
    """The sum of scale * x + shift, whose gradients by scale and shift are those of x alone."""
    net = models.Network()
    scaled = net.node("Mul", "x", net.weight("scale", 3, 4, mean=1.0))
    shifted = net.node("Add", scaled, net.weight("shift", 4))
    net.node("ReduceSum", shifted, output="total", keepdims=0)
    return net.model({"x": ("batch", 3, 4)}, {"total": ()})


def gradients(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"scale": x.astype(np.float64).sum(0), "shift": np.full(4, 3.0 * len(x))}


def batches(count: int, size: int = 2) -> list[np.ndarray]:
    return list(np.random.default_rng(0).standard_normal((count, size, 3, 4), np.float32))


def changes(trainer: svgd_onnx.Trainer, x: np.ndarray) -> dict[str, np.ndarray]:
    """How far a step takes each parameter, in learning rates."""
    before = {name: trainer.tensor(name) for name in ("scale", "shift")}
    trainer.train_step({"x": x}, RATE)
    return {name: (array - trainer.tensor(name)) / RATE for name, array in before.items()}


@pytest.fixture
def trained_by(trainer_of: MakeTrainer) -> MakeTrainer:
    """A trainer of `affine`."""
    defaults = {"loss": "none", "optimizer": "sgd"}
    return lambda **options: trainer_of(affine(), **{**defaults, **options})


@each_target
class TestClipping:
    def test_a_norm_that_is_too_large_is_scaled_down(
        self, target: str, trained_by: MakeTrainer
    ) -> None:
        (x,) = batches(1)
        given = gradients(x)
        norm = np.sqrt(sum((array**2).sum() for array in given.values()))
        for most in (norm / 3, norm * 3):
            found = changes(trained_by(target=target, clip_norm=float(most)), x)
            for name, array in given.items():
                np.testing.assert_allclose(
                    found[name], array * min(1, most / norm), rtol=1e-4, atol=1e-5
                )

    def test_entries_are_cut_off(self, target: str, trained_by: MakeTrainer) -> None:
        (x,) = batches(1)
        found = changes(trained_by(target=target, clip_value=0.5), x)
        for name, array in gradients(x).items():
            np.testing.assert_allclose(found[name], array.clip(-0.5, 0.5), rtol=1e-4, atol=1e-5)

    def test_the_mean_of_a_step_is_clipped(self, target: str, trained_by: MakeTrainer) -> None:
        x = batches(2)
        trainer = trained_by(target=target, clip_value=1.0, accumulation_steps=2)
        start = trainer.tensor("scale")
        for batch in x:
            trainer.train_step({"x": batch}, RATE)
        mean = (gradients(x[0])["scale"] + gradients(x[1])["scale"]) / 2
        np.testing.assert_allclose(
            (start - trainer.tensor("scale")) / RATE, mean.clip(-1, 1), rtol=1e-4, atol=1e-5
        )

    def test_l1_is_in_what_is_clipped(self, target: str, trained_by: MakeTrainer) -> None:
        x = np.zeros((2, 3, 4), np.float32)
        trainer = trained_by(target=target, l1=5.0, clip_value=0.5)
        sign = np.sign(trainer.tensor("scale"))
        found = changes(trainer, x)["scale"]
        np.testing.assert_allclose(found, 0.5 * sign, rtol=1e-4)

    @pytest.mark.parametrize(
        ("size", "option"), [(3e38, "clip_value"), (3e38, "clip_norm"), (1e25, "clip_norm")]
    )
    def test_a_gradient_or_a_norm_that_is_infinite_is_no_step(
        self, size: float, option: str, target: str, trained_by: MakeTrainer
    ) -> None:
        trainer = trained_by(target=target, **{option: 1.0})
        before = trainer.tensor("scale")
        with pytest.raises(UserError, match="at step 1"):
            trainer.train_step({"x": np.full((2, 3, 4), size, np.float32)}, RATE)
        np.testing.assert_array_equal(trainer.tensor("scale"), before)


@each_target
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
class TestGroups:
    """Of one rule after another: groups of vectors stay apart, whether or not the rule takes them as one."""

    def test_each_group_has_its_rate(
        self, optimizer: str, target: str, trainer_of: MakeTrainer
    ) -> None:
        """By last match; a first step is proportional to the rate."""
        rate = {"*": 0.5, "fc*": 2.0, "*.bias": 0.25}
        expected = dict(zip(NAMES, (2.0, 0.25, 0.5, 0.5, 2.0, 0.25)))
        self.assert_first_steps(optimizer, target, trainer_of, {"rate": rate}, expected)

    def test_each_group_has_its_decay(
        self, optimizer: str, target: str, trainer_of: MakeTrainer
    ) -> None:
        batch = models.examples(MODEL)
        plain = trainer_of(MODEL, optimizer=optimizer, target=target)
        decay = {"*": 0.5, "*.bias": 0.0, "bn.*": 0.25}
        decayed = trainer_of(MODEL, optimizer=optimizer, target=target, weight_decay=decay)
        start = {name: plain.tensor(name) for name in NAMES}
        for trainer in (plain, decayed):
            trainer.train_step(batch, RATE)
        expected = dict(zip(NAMES, (0.5, 0.0, 0.25, 0.25, 0.5, 0.0)))
        for name, before in start.items():
            difference = (plain.tensor(name) - decayed.tensor(name)) / RATE
            # whose direction is made as long as the parameter with decay in it
            if optimizer == "lamb":
                assert np.any(difference) == bool(expected[name])
                continue
            np.testing.assert_allclose(difference, expected[name] * before, rtol=1e-3, atol=2e-5)

    def assert_first_steps(
        self,
        optimizer: str,
        target: str,
        trainer_of: MakeTrainer,
        options: dict[str, Any],
        factors: dict[str, float],
    ) -> None:
        batch = models.examples(MODEL)
        plain = trainer_of(MODEL, optimizer=optimizer, target=target)
        grouped = trainer_of(MODEL, optimizer=optimizer, target=target, **options)
        start = {name: plain.tensor(name) for name in NAMES}
        for trainer in (plain, grouped):
            trainer.train_step(batch, RATE)
        for name, before in start.items():
            wanted = (plain.tensor(name) - before) * factors[name]
            found = grouped.tensor(name) - before
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6, err_msg=name)


@each_target
@pytest.mark.parametrize(
    "options", [{}, {"accumulation_steps": 2}, {"rate": {"*.bias": 0.5}}], ids=str
)
class TestAverages:
    """A moving average of what parameters were after each update, of all of them the first."""

    def test_they_follow_the_parameters(
        self, target: str, options: dict[str, Any], trainer_of: MakeTrainer
    ) -> None:
        trainer = trainer_of(MODEL, optimizer="adamw", target=target, ema=0.8, **options)
        batches_of_step = options.get("accumulation_steps", 1)
        expected: dict[str, np.ndarray] = {}
        for step in range(4 * batches_of_step):
            trainer.train_step(models.examples(MODEL, seed=step), RATE)
            if (step + 1) % batches_of_step:
                continue
            for name in NAMES:
                now = trainer.tensor(name).astype(np.float64)
                expected[name] = 0.8 * expected[name] + 0.2 * now if name in expected else now
        for name in NAMES:
            np.testing.assert_allclose(
                trainer.tensor(f"{name}.average"), expected[name], rtol=1e-5, atol=1e-6
            )

    def test_they_are_evaluated_and_exported(
        self, target: str, options: dict[str, Any], trainer_of: MakeTrainer, tmp_path: Any
    ) -> None:
        trainer = trainer_of(MODEL, target=target, ema=0.8, **options)
        plain = trainer_of(MODEL, target=target, **{name: options[name] for name in options})
        batch = models.examples(MODEL)
        assert trainer.evaluate(batch) == plain.evaluate(batch)
        for step in range(4):
            for each in (trainer, plain):
                each.train_step(models.examples(MODEL, seed=step), RATE)
        of_parameters = plain.evaluate(batch)["loss"]
        assert trainer.evaluate(batch, trained=True)["loss"] == pytest.approx(of_parameters, 1e-5)
        assert trainer.evaluate(batch)["loss"] != pytest.approx(of_parameters, 1e-5)
        for trained, kind in ((False, ".average"), (True, "")):
            trainer.export(tmp_path / "model.onnx", trained=trained)
            exported = onnx.load(tmp_path / "model.onnx").graph.initializer
            arrays = {each.name: onnx.numpy_helper.to_array(each) for each in exported}
            np.testing.assert_array_equal(arrays["fc1.weight"], trainer.tensor(f"fc1.weight{kind}"))


@each_target
class TestProximalTerm:
    """The gradient of mu / 2 * |w - w0|^2, beside float64: that of the rest is of x alone."""

    @pytest.mark.parametrize("accumulation_steps", [1, 2])
    def test_of_plain_descent_it_is_the_step_of_fedprox(
        self, accumulation_steps: int, target: str, trained_by: MakeTrainer
    ) -> None:
        """w <- w - rate (gradient + mu (w - w0)), as Li et al.'s PerturbedGradientDescent has it."""
        mu, x = 3.0, batches(4 * accumulation_steps)
        trainer = trained_by(target=target, proximal=mu, accumulation_steps=accumulation_steps)
        start = {name: trainer.tensor(name).astype(np.float64) for name in ("scale", "shift")}
        expected = dict(start)
        for step in range(4):
            of_step = x[step * accumulation_steps : (step + 1) * accumulation_steps]
            for batch in of_step:
                trainer.train_step({"x": batch}, RATE)
            for name in start:
                mean = sum(gradients(batch)[name] for batch in of_step) / accumulation_steps
                away = expected[name] - start[name]
                expected[name] = expected[name] - RATE * (mean + mu * away)
        for name, array in expected.items():
            np.testing.assert_allclose(trainer.tensor(name), array, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(trainer.tensor(f"{name}.anchor"), np.float32(start[name]))

    def test_it_is_a_term_of_the_loss_to_every_rule(
        self, target: str, trained_by: MakeTrainer
    ) -> None:
        """Of adam it goes through the moments, as what Flower's clients add to the loss does."""
        mu, x = 3.0, batches(4)
        trainer = trained_by(target=target, proximal=mu, optimizer="adam")
        start = w = trainer.tensor("scale").astype(np.float64)
        first = second = np.zeros_like(w)
        for step, batch in enumerate(x, start=1):
            trainer.train_step({"x": batch}, RATE)
            gradient = gradients(batch)["scale"] + mu * (w - start)
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            root = np.sqrt(second / (1 - 0.999**step))
            w = w - RATE * first / (1 - 0.9**step) / (root + 1e-8)
        np.testing.assert_allclose(trainer.tensor("scale"), w, rtol=1e-4, atol=1e-5)

    def test_it_is_in_what_is_clipped(self, target: str, trained_by: MakeTrainer) -> None:
        trainer = trained_by(target=target, proximal=100.0, clip_value=0.5)
        x = np.ones((2, 3, 4), np.float32)
        trainer.train_step({"x": x}, RATE)
        found = changes(trainer, 0 * x)["scale"]
        np.testing.assert_allclose(found, np.full((3, 4), -0.5), rtol=1e-4)


@pytest.mark.parametrize("kernels", ["standard", "fast"])
@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_losses_of_all_together_are_those_of_the_first_target(
    optimizer: str, kernels: str, tmp_path: Any
) -> None:
    options = {
        "accumulation_steps": 2,
        "weight_decay": {"*": 0.1, "*.bias": 0.0},
        "rate": {"fc1.*": 0.5},
        "clip_norm": 0.5,
        "clip_value": 0.2,
        "ema": 0.9,
        "l1": 0.01,
        "proximal": 0.5,
    }
    trainers = []
    for target in TARGETS:
        folder = tmp_path / target
        svgd_onnx.convert(
            MODEL, folder, target=target, optimizer=optimizer, verify=False, **options
        )
        trainers.append(svgd_onnx.Trainer(folder, threads=1, kernels=kernels))
    for step in range(7):
        batch = models.examples(MODEL, seed=step)
        losses = [trainer.train_step(batch, RATE) for trainer in trainers]
        assert losses[1:] == pytest.approx(losses[:1], rel=1e-4)
    averages = [trainer.evaluate(models.examples(MODEL))["loss"] for trainer in trainers]
    assert averages[1:] == pytest.approx(averages[:1], rel=1e-4)


@each_target
@pytest.mark.parametrize("optimizer", ["lamb", "adafactor", "nesterov"])
def test_parameters_may_have_no_axes_and_names_like_those_of_states(
    optimizer: str, target: str, tmp_path: Any
) -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 4))
    value = net.node("Add", value, net.weight("w.average", 4))
    value = net.node("Add", value, net.weight("w.accumulated_gradient", 4))
    factor = net.constant("w.row_mean_square", np.array(2, np.float32))
    net.node("Mul", value, factor, output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    names = ["w", "w.average", "w.accumulated_gradient", "w.row_mean_square"]
    options = {"ema": 0.5, "accumulation_steps": 2, "clip_norm": 1.0, "weight_decay": 0.1}
    folder = tmp_path / "artifacts"
    manifest = svgd_onnx.convert(
        model, folder, target=target, optimizer=optimizer, train=names, **options
    )
    assert manifest.averages.keys() == set(names)
    trainer = svgd_onnx.Trainer(folder, threads=1)
    before = {name: trainer.tensor(name) for name in names}
    batch = {"x": np.ones((3, 6), np.float32), "labels": np.array([0, 1, 2])}
    for _ in range(2):
        trainer.train_step(batch, RATE)
    trainer.save()
    again = svgd_onnx.Trainer(folder, threads=1)
    for name, array in before.items():
        now = again.tensor(name)
        assert now.shape == array.shape and (now != array).any()
        np.testing.assert_array_equal(again.tensor(manifest.averages[name]), now)


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"weight_decay": -0.1}, "--weight-decay is -0.1, but must be 0 or more."),
            (
                {"weight_decay": {"a": float("nan")}},
                "--weight-decay is nan, but must be 0 or more.",
            ),
            ({"rate": {"a": 0.0}}, "--rate is 0.0, but must be more than 0."),
            ({"clip_norm": 0.0}, "--clip-norm is 0.0, but must be more than 0."),
            ({"clip_value": float("inf")}, "--clip-value is inf, but must be more than 0."),
            ({"ema": 1.0}, "--ema is 1.0, but must be at least 0 and below 1."),
            ({"proximal": -1.0}, "--proximal is -1.0, but must be 0 or more."),
        ],
        ids=str,
    )
    def test_what_is_out_of_range(self, given: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UserError) as refused:
            UpdateSettings(**given).check()
        assert refused.value.on_command_line() == sentence

    def test_numbers_by_globs_as_the_command_line_has_them(self) -> None:
        """One alone is for what no glob matches, wherever it stands; a glob that comes again counts there."""
        items = ["fc*=0.5", "*.bias=0", "0.1", "fc*=2"]
        found = parse_numbers("weight_decay", items, plain="*")
        assert list(found.items()) == [("*", 0.1), ("*.bias", 0.0), ("fc*", 2.0)]

    @pytest.mark.parametrize("option", ["rate", "weight_decay"])
    def test_a_glob_that_matches_nothing_trained(self, option: str, tmp_path: Any) -> None:
        with pytest.raises(UserError, match="'bn.mean' matches no parameter that is trained"):
            svgd_onnx.convert(MODEL, tmp_path / "a", **{option: {"bn.mean": 0.5}})
        assert not (tmp_path / "a").exists()

    def test_the_manifest_tells_of_what_was_given_alone(self, trainer_of: MakeTrainer) -> None:
        plain = trainer_of(MODEL, optimizer="svgd").manifest
        asked = trainer_of(
            MODEL, clip_norm=1.0, ema=0.9, rate={"fc1.*": 0.5}, weight_decay={"*": 0.1, "bn.*": 0.0}
        ).manifest
        added = {
            name: asked.conversion[name] for name in asked.conversion.keys() - plain.conversion
        }
        assert added == {
            "the optimizer's clip_norm": "1.0",
            "the optimizer's ema": "0.9",
            "the optimizer's weight_decay": "0.1",
            "the rate of fc1.*": "0.5",
            "the weight decay of *": "0.1",
            "the weight decay of bn.*": "0.0",
        }
