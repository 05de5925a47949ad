"""What goes to and fro between a client and a server, on every target."""

from __future__ import annotations

from typing import Any

import models
import numpy as np
import pytest
from conftest import MakeTrainer

from svgd_onnx.errors import UserError
from svgd_onnx.federated import Exchange, parameters_of, set_parameters
from svgd_onnx.targets import TARGETS

RATE = 0.1
MODEL = models.mlp()
TRAINED = {"fc1.weight", "fc1.bias", "bn.scale", "bn.shift", "fc2.weight", "fc2.bias"}
STATISTICS = {"bn.mean", "bn.variance"}
R = {"svgd.r.fc1.weight", "svgd.r.fc2.weight"}

each_target = pytest.mark.parametrize("target", TARGETS)


@pytest.mark.parametrize(
    ("exchange", "names"),
    [
        (Exchange(), TRAINED | STATISTICS),
        (Exchange(statistics=False), TRAINED),
        (Exchange(r=True), TRAINED | STATISTICS | R),
    ],
)
def test_what_is_sent(exchange: Exchange, names: set[str], trainer_of: MakeTrainer) -> None:
    assert parameters_of(trainer_of(MODEL, target="onnx"), exchange).keys() == names


def test_the_order_is_the_manifests_and_what_is_frozen_stays(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL, target="onnx", train=["fc2.*", "bn.scale"])
    manifest = [each.name for each in trainer.manifest.parameters]
    wanted = {"fc2.weight", "fc2.bias", "bn.scale", *STATISTICS}
    assert list(parameters_of(trainer)) == [name for name in manifest if name in wanted]


@each_target
def test_who_takes_all_goes_on_as_who_sent_it(target: str, trainer_of: MakeTrainer) -> None:
    """Bit for bit, as plain descent has no state but what is sent."""
    sender, receiver = (trainer_of(MODEL, target=target) for _ in range(2))
    for step in range(3):
        sender.train_step(models.examples(MODEL, seed=step), RATE)
    exchange = Exchange(r=True)
    set_parameters(receiver, parameters_of(sender, exchange), exchange)
    batch = models.examples(MODEL, seed=9)
    assert receiver.evaluate(batch) == sender.evaluate(batch)
    for each in (sender, receiver):
        each.train_step(batch, RATE)
    sent, taken = (parameters_of(each, exchange) for each in (sender, receiver))
    for name, array in sent.items():
        np.testing.assert_array_equal(taken[name], array, err_msg=name)


@each_target
def test_r_stays_where_it_is(target: str, trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL, target=target)
    begun = parameters_of(trainer)
    trainer.train_step(models.examples(MODEL), RATE)
    r = trainer.tensor("svgd.r.fc1.weight")
    assert r.any()
    set_parameters(trainer, begun)
    np.testing.assert_array_equal(trainer.tensor("fc1.weight"), begun["fc1.weight"])
    np.testing.assert_array_equal(trainer.tensor("svgd.r.fc1.weight"), r)


def test_what_was_sent_is_arrays_by_name(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL)
    arrays: Any = list(parameters_of(trainer).values())
    with pytest.raises(UserError, match="arrays is .*, but must be a dictionary"):
        set_parameters(trainer, arrays)


@each_target
def test_a_proximal_term_draws_to_what_was_sent(target: str, trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL, target=target, optimizer="sgd", proximal=2.0)
    sent = {name: array + 1 for name, array in parameters_of(trainer).items()}
    set_parameters(trainer, sent)
    np.testing.assert_array_equal(trainer.tensor("fc1.weight.anchor"), sent["fc1.weight"])
    assert not {name for name in parameters_of(trainer) if name.endswith(".anchor")}


@each_target
def test_what_was_taken_is_saved(target: str, trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL, target=target)
    begun = parameters_of(trainer)
    sent = {name: array + 1 for name, array in begun.items()}
    set_parameters(trainer, sent, steps=2)
    trainer.save()
    opened, initial = (
        type(trainer)(trainer._folder, checkpoint=name) for name in ("last", "initial")
    )
    assert opened.step == 2 and initial.step == 0
    np.testing.assert_array_equal(opened.tensor("fc1.weight"), sent["fc1.weight"])
    np.testing.assert_array_equal(initial.tensor("fc1.weight"), begun["fc1.weight"])


class TestRefusals:
    @each_target
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"fc1.bias": np.zeros(3)}, r"'fc1.bias' is to become float64 of shape \(3,\)"),
            ({"fc1.bias": np.full(8, np.nan)}, "'fc1.bias' is to become NaN or infinite"),
            ({"fc1.bias": np.full(8, 1e300)}, "'fc1.bias' is to become NaN or infinite"),
            ({"fc1.bias": np.full(8, "a")}, "'fc1.bias' is to become <U1"),
            ({"other": np.zeros(3)}, "missing: none; strange: other"),
        ],
        ids=str,
    )
    def test_nothing_changes(
        self, change: dict[str, np.ndarray], sentence: str, target: str, trainer_of: MakeTrainer
    ) -> None:
        trainer = trainer_of(MODEL, target=target)
        before = parameters_of(trainer)
        size = before["fc1.bias"].shape
        given = {name: array + 1 for name, array in before.items()}
        fitting = {
            name: np.resize(array, size) if array.shape == (8,) else array
            for name, array in change.items()
        }
        with pytest.raises(UserError, match=sentence):
            set_parameters(trainer, {**given, **fitting})
        for name, array in before.items():
            np.testing.assert_array_equal(trainer.tensor(name), array)

    def test_another_choice_of_what_is_sent(self, trainer_of: MakeTrainer) -> None:
        trainer = trainer_of(MODEL, target="onnx")
        arrays = parameters_of(trainer, Exchange(statistics=False))
        with pytest.raises(UserError, match=r"missing: bn.mean, bn.variance; strange: none"):
            set_parameters(trainer, arrays)

    def test_artifacts_that_do_not_say_what_a_statistic_is(self, trainer_of: MakeTrainer) -> None:
        trainer = trainer_of(MODEL, target="onnx")
        trainer.manifest.format = 2
        with pytest.raises(UserError, match="convert the model again"):
            parameters_of(trainer)

    def test_moving_averages(self, trainer_of: MakeTrainer) -> None:
        with pytest.raises(UserError, match="convert without ema"):
            parameters_of(trainer_of(MODEL, target="onnx", ema=0.9))
