"""Learning rates, step by step, against their formulas; and schedules as text."""

from __future__ import annotations

import math
from pathlib import Path

import models
import numpy as np
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.schedules import (
    SCHEDULES,
    Cosine,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Rates,
    Steps,
    as_schedule,
)

ALPHA, STEPS = 0.2, 40


def rates(schedule: object, steps: int = STEPS) -> np.ndarray:
    """All rates of a training."""
    given = Rates(as_schedule(schedule), ALPHA, steps)  # type: ignore[arg-type]
    return np.array([given.rate(step) for step in range(steps)])


def test_a_rate_holds_from_its_step_on() -> None:
    schedule = Rates(as_schedule({20: 0.1, 10: 0.2}), 0.5, 10**10)
    assert [schedule.rate(step) for step in (0, 9, 10, 19, 20, 10**9)] == [
        *[0.5, 0.5],
        *[0.2, 0.2],
        *[0.1, 0.1],
    ]


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("cosine", lambda t: ALPHA * np.cos(np.pi * t / STEPS / 2) ** 2),
        ("cosine,min=0.05", lambda t: 0.05 + 0.15 * np.cos(np.pi * t / STEPS / 2) ** 2),
        ("linear", lambda t: ALPHA * (1 - t / STEPS)),
        ("linear,min=0.3", lambda t: ALPHA + 0.1 * t / STEPS),
        ("polynomial,power=2", lambda t: ALPHA * (1 - t / STEPS) ** 2),
        ("polynomial,power=0.5,min=0.1", lambda t: 0.1 + 0.1 * np.sqrt(1 - t / STEPS)),
        ("plateau", lambda t: ALPHA + 0 * t),
    ],
)
def test_rates_follow_their_formula(text: str, formula: object) -> None:
    np.testing.assert_allclose(rates(text), formula(np.arange(STEPS)), rtol=1e-12)  # type: ignore[operator]


def test_one_cycle_rises_to_alpha_and_falls_below_where_it_began() -> None:
    """Half cosines between its corners: 0.3 of 40 steps end at step 11, the rest at step 39."""
    found = rates("one-cycle")
    corners = {0: ALPHA / 25, 11: ALPHA, 39: ALPHA / 25 / 1e4}
    for step, rate in corners.items():
        assert found[step] == pytest.approx(rate, rel=1e-12), step
    assert found[25] == pytest.approx((ALPHA + corners[39]) / 2, rel=1e-12)  # half of the way down
    assert np.all(np.diff(found[:12]) > 0) and np.all(np.diff(found[11:]) < 0)
    other = rates("one-cycle,pct-start=0.5,div-factor=10,final-div-factor=5")
    assert other[[0, 19, 39]] == pytest.approx([ALPHA / 10, ALPHA, ALPHA / 50], rel=1e-12)


def test_one_cycle_of_few_steps_is_finite() -> None:
    for steps in range(1, 8):
        assert np.all(np.isfinite(rates("one-cycle", steps)))


@pytest.mark.parametrize("text", ["", "cosine", "one-cycle", "20:0.1", "plateau"])
def test_warm_up_rises_in_equal_parts_to_the_first_rate_of_what_follows(text: str) -> None:
    warm = rates(",".join(filter(None, ["warmup=9", text])))
    first = rates(text)[0]
    np.testing.assert_allclose(warm[:10], first * np.arange(1, 11) / 10, rtol=1e-12)
    if text == "20:0.1":  # which names steps by their numbers, warm-up or not
        np.testing.assert_array_equal(warm[10:], rates(text)[10:])
    else:
        np.testing.assert_allclose(warm[9:], rates(text, STEPS - 9), rtol=1e-12)


def plateau(values: list[float], **settings: object) -> float:
    return Plateau(**settings).peak(ALPHA, values) / ALPHA  # type: ignore[arg-type]


def test_a_plateau_lowers_the_rate_after_more_epochs_than_its_patience() -> None:
    stuck = [1.0, 0.5, 0.5, 0.5, 0.5]
    assert [plateau(stuck[:n], patience=2, factor=0.5) for n in range(6)] == [1, 1, 1, 1, 1, 0.5]
    # counting begins anew then, and what is better by no more than the threshold is not better
    assert plateau([*stuck, 0.49998, 0.5, 0.5], patience=2, factor=0.5) == 0.25
    assert plateau([*stuck, 0.4, 0.5, 0.5], patience=2, factor=0.5) == 0.5
    assert plateau([0.5, math.nan, math.nan], patience=1) == pytest.approx(0.1)


def test_epochs_after_a_change_do_not_count_while_it_cools_down() -> None:
    assert plateau([0.5] * 4, patience=0, factor=0.5) == 0.125
    assert plateau([0.5] * 4, patience=0, factor=0.5, cooldown=2) == 0.5
    assert plateau([0.5] * 5, patience=0, factor=0.5, cooldown=2) == 0.25


def test_a_plateau_knows_what_is_better_and_where_to_end() -> None:
    rising = [0.1, 0.2, 0.3]
    assert plateau(rising, patience=0, metric="accuracy") == 1
    assert plateau(rising, patience=0) == pytest.approx(0.01)
    assert plateau(rising, patience=0, min=0.1) == pytest.approx(0.5)


def test_text_is_what_python_says() -> None:
    assert as_schedule("1600:0.005, 3600:0.001") == Steps(changes={1600: 0.005, 3600: 0.001})
    assert as_schedule("warmup=5,1600:0.005") == Steps(changes={1600: 0.005}, warmup=5)
    assert as_schedule("cosine,min=0.1,warmup=5") == Cosine(min=0.1, warmup=5)
    assert as_schedule("one-cycle,pct-start=0.5") == OneCycle(pct_start=0.5)
    assert as_schedule("plateau,metric=accuracy,patience=3") == Plateau(
        metric="accuracy", patience=3
    )
    assert as_schedule("linear") == Linear() and as_schedule("polynomial") == Polynomial()
    assert as_schedule(None) == as_schedule("") == as_schedule({}) == Steps()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("cosin", "'cosin', which is not STEP:RATE, one of cosine, linear"),
        ("cosine,power=2", "'power=2', but cosine has warmup, min only: write 1600:0.005"),
        ("min=2", "but STEP:RATE has warmup only"),
        ("cosine,min=low", "'min=low', but min is a number"),
        ("warmup=1.5", "'warmup=1.5', but warmup is a whole number"),
        ("cosine,linear", "which is several"),
        ("cosine,5:0.1", "which is several"),
        ("5:0.1,5:0.2", "'5:0.2', which is not STEP:RATE, .* or is there twice"),
        ("cosine,min=-1", "min=-1.0, but it must be 0 or more"),
        ("polynomial,power=0", "power=0.0, but it must be above 0"),
        ("one-cycle,pct-start=1", "pct-start=1.0, but it must be above 0 and below 1"),
        ("plateau,factor=1", "factor=1.0"),
        ("plateau,metric=f2", "There is no metric 'f2'"),
        ("plateau,metric=confusion-matrix", "is a table"),
        ("warmup=-1", "warmup=-1"),
        ("cosine,warmup=40", "warmup=40, but there are 40 steps"),
        ("cosine,,", "has ''"),
        ({-1: 0.1}, "step -1"),
        ({1: math.nan}, "learning rate is nan"),
        (7, "schedule is 7: give rates by step"),
    ],
)
def test_what_cannot_be_read_is_refused_with_how_to_write_it(given: object, sentence: str) -> None:
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        rates(given)


def test_every_schedule_is_in_the_table_under_its_name() -> None:
    assert all(kind.name == name for name, kind in SCHEDULES.items())


class Halved(svgd_onnx.Schedule):
    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        return learning_rate / 2


def test_a_training_takes_its_rates_from_a_schedule_of_the_users(tmp_path: Path) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "a", verify=False, target="onnx")
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    options = {"steps": 3, "batch_size": 8, "learning_rate": ALPHA, "log": tmp_path / "log.csv"}
    trainer.train(models.examples(model, 8), schedule=Halved(warmup=1), **options)
    lines = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert [float(line.split(",")[2]) for line in lines] == [ALPHA / 4, ALPHA / 2, ALPHA / 2]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "rate", [-0.1, float("nan"), float("inf"), None, "a", np.array([0.1]), np.float16("inf"), True]
)
@pytest.mark.parametrize("warmup", [0, 2])
def test_a_rate_that_is_none_is_refused_before_its_step(
    rate: object, warmup: int, target: str, trainer_of: MakeTrainer
) -> None:
    class Odd(svgd_onnx.Schedule):
        def rate(self, step: int, learning_rate: float, steps: int) -> float:
            return rate  # type: ignore[return-value]

    trainer = trainer_of(models.mlp(), target=target)
    before = trainer.tensor("fc1.weight")
    options = {"steps": 3, "batch_size": 8, "learning_rate": ALPHA}
    with pytest.raises(svgd_onnx.UserError, match=r"^Odd.rate gives .* for step 0, but a rate"):
        trainer.train(models.examples(models.mlp(), 8), schedule=Odd(warmup=warmup), **options)
    assert trainer.step == 0
    np.testing.assert_array_equal(trainer.tensor("fc1.weight"), before)
