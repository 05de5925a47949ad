"""T's factors by operation, beside their formula in float64, and what a training says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import MakeTrainer, Run

import svgd_onnx
from svgd_onnx.training.factors import Factors, factors_of

MODEL = models.mlp()
DATA = models.examples(MODEL, 32)


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_they_are_those_of_the_formula(target: str, trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(MODEL, target=target, scale=0.02, epsilon=1e-4)
    trainer.train(DATA, steps=5, batch_size=8, learning_rate=0.1)
    found = trainer.factors()
    assert [each.parameters for each in found] == [("fc1.weight",), ("fc2.weight",)]
    for each in found:
        r = trainer.tensor(each.state).astype(np.float64)
        factors = 0.02 / np.sqrt(r + 1e-4)
        assert each.count == r.size and each.name == each.parameters[0]
        assert each.below_epsilon == np.mean(r < 1e-4)
        assert (each.lowest, each.highest) == pytest.approx(
            (factors.min(), factors.max()), rel=1e-12
        )
        assert each.mean == pytest.approx(factors.mean(), rel=1e-12)
        assert each.limit == pytest.approx(2.0) and each.highest_r == r.max()


def test_they_are_the_factors_that_a_step_has_used(trainer_of: MakeTrainer) -> None:
    """The step's own virtual gradient over its own plain gradient, in an r with an entry a column."""
    with_t, without = (
        trainer_of(MODEL, target="ort-training", **how) for how in ({}, {"optimizer": "sgd"})
    )
    batch = {name: array[:8] for name, array in DATA.items()}
    for each in (with_t, without):
        each.train_step(batch, 0.1)
    ratio = with_t.gradient("fc2.weight") / without.gradient("fc2.weight")
    (found,) = [each for each in with_t.factors() if each.name == "fc2.weight"]
    assert (ratio.min(), ratio.max()) == pytest.approx((found.lowest, found.highest), rel=1e-4)


def test_operations_that_share_a_parameter_have_factors_each(trainer_of: MakeTrainer) -> None:
    names = [each.name for each in trainer_of(models.shared_weight()).factors()]
    assert len(names) == len(set(names)) > 1


def test_without_t_there_are_none(trainer_of: MakeTrainer) -> None:
    assert trainer_of(MODEL, optimizer="adamw").factors() == []


def factors(r: list[float], epsilon: float = 1e-6) -> Factors:
    manifest: Any = type("Manifest", (), {})()
    manifest.hyper_parameters = {"scale": 0.01, "epsilon": epsilon}
    operation: Any = type("Operation", (), {"state": "svgd.r.w", "parameter": "w"})
    manifest.operations = [operation]
    (found,) = factors_of(manifest, lambda _: np.array(r, np.float32))
    return found


@pytest.mark.parametrize(
    ("r", "constant", "of_epsilon"),
    [
        ([0.0, 1e-8, 1.9e-8], True, True),  # 1 / sqrt(1.019) is 0.9906
        ([0.0, 1e-8, 3e-8], False, False),
        ([1.0, 1.0, 1.01], True, False),
        ([1.0, 1.0, 1.03], False, False),
        ([5.0], False, False),  # one factor, which changes from step to step
        ([1e-9], True, True),
    ],
)
def test_what_is_a_constant(r: list[float], constant: bool, of_epsilon: bool) -> None:
    found = factors(r)
    assert (found.are_constant, found.are_of_epsilon) == (constant, of_epsilon)


@pytest.fixture
def train(run: Run, tmp_path: Path) -> Any:
    np.savez(tmp_path / "data.npz", **DATA)

    def train(*more: object, **options: Any) -> Any:
        folder = tmp_path / "artifacts"
        if options:
            svgd_onnx.convert(MODEL, folder, verify=False, **options)
        data = ("--data", tmp_path / "data.npz", "--validation", tmp_path / "data.npz")
        fixed = ("--batch-size", 8, "--learning-rate", 0.1)
        return run("train", folder, *data, *fixed, *more)

    return train


def test_training_says_where_t_was_a_constant(train: Any) -> None:
    said = train("--epochs", 1, epsilon=100.0).out
    assert "T was practically a constant in 2 of 2 operations" in said
    assert "in fc1.weight (times 0.001), fc2.weight (times 0.001): a smaller --epsilon" in said


def test_training_says_nothing_of_t_where_it_adapts(train: Any) -> None:
    assert "constant" not in train("--epochs", 1, epsilon=1e-9).out


def test_the_table_at_the_end_of_a_run(train: Any, tmp_path: Path) -> None:
    log = ("--log", tmp_path / "log.csv")
    said = train("--epochs", 2, *log, epsilon=1e-9).out
    assert "8 steps, epochs 1 to 2, " in said and "steps a second" in said
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    losses = [float(row[3]) for row in rows]
    best = min(losses)
    (line,) = [line for line in said.splitlines() if "loss of a batch" in line]
    cells = [cell.strip() for cell in line.split("│")[2:-1]]
    assert cells == [
        *(f"{each:.6g}" for each in (losses[0], losses[-1], best)),
        str(losses.index(best) + 1),
    ]
    assert "validation accuracy" in said
    assert f"Checkpoint of step 8: {tmp_path / 'artifacts' / 'checkpoint'}" in said
    assert "steps a second" not in train("--epochs", 2).out  # no step was left


def test_json_has_the_end_of_a_run_by_name(train: Any) -> None:
    facts = train("--epochs", 2, "--json", epsilon=100.0).facts
    assert (facts["steps"], facts["epochs"], facts["checkpoint_step"]) == (8, [1, 2], 8)
    assert Path(facts["checkpoint"]).is_file()
    assert facts["steps_per_second"] == pytest.approx(8 / facts["seconds"])
    assert facts["curves"]["loss"]["last"] == facts["loss"]
    accuracy = facts["curves"]["validation_accuracy"]
    assert accuracy["best"] == max(accuracy["first"], accuracy["last"])
    assert [each["parameters"] for each in facts["factors"]] == [["fc1.weight"], ["fc2.weight"]]
    assert all(each["constant"] and each["below_epsilon"] == 1 for each in facts["factors"])
    assert train("--epochs", 2, "--json").facts["factors"] == []


def test_quiet_says_nothing(train: Any) -> None:
    assert train("--epochs", 1, "--quiet", epsilon=100.0).out == ""
