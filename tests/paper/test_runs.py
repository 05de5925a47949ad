"""Short runs of the three networks: they learn, go on after an interruption, and say what they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from data import MLP, RESNET20, VGG, small

import svgd_onnx
from tools.networks import NETWORKS
from tools.paper import command, runner, study
from tools.paper.batch_statistics import with_batch_statistics
from tools.paper.experiment import Experiment
from tools.paper.result import Result
from tools.paper.runner import Run

ROOT = Path(__file__).parents[2]


class InterruptionError(Exception):
    pass


def interrupt(*_: Any) -> None:
    raise InterruptionError


def train(run: Run, folder: Path, **options: Any) -> Result:
    data = small(run.experiment)
    return runner.train(run, data, folder / "work", folder / "result.csv", threads=1, **options)


def parameters(folder: Path) -> dict[str, np.ndarray]:
    trainer = svgd_onnx.Trainer(folder / "work" / runner.ARTIFACTS)
    states = [each.state for each in trainer.manifest.operations if each.state]
    names = [*(each.name for each in trainer.manifest.parameters), *states]
    return {name: trainer.tensor(name) for name in names}


@pytest.mark.parametrize("optimizer", MLP.recipes)
def test_the_mlp_learns_with_each_optimizer(tmp_path: Path, optimizer: str) -> None:
    result = train(Run.of(MLP, optimizer, 0, steps=100, evaluate_every=50), tmp_path)
    first, last = result.tests
    assert last.training_loss < first.training_loss
    assert last.batch_error < 0.5  # chance is 0.9
    assert last.running_error < 0.5
    assert Result.load(tmp_path / "result.csv").finished


@pytest.mark.parametrize("experiment", [VGG, RESNET20], ids=lambda each: each.name)
@pytest.mark.parametrize("optimizer", ["svgd", "sgd"])
def test_the_networks_of_cifar10_train(
    tmp_path: Path, experiment: Experiment, optimizer: str
) -> None:
    result = train(Run.of(experiment, optimizer, 0, steps=2, evaluate_every=1), tmp_path)
    assert [test.step for test in result.tests] == [1, 2]
    assert np.isfinite([test.batch_loss for test in result.tests]).all()
    assert (result.r_below_epsilon is not None) == (optimizer == "svgd")
    assert len(result.operations) == (0 if optimizer == "sgd" else 6 if experiment is VGG else 20)


@pytest.mark.parametrize("experiment", [MLP, VGG], ids=lambda each: each.name)
@pytest.mark.parametrize("where", ["after the checkpoint", "before the checkpoint"])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: Experiment, where: str
) -> None:
    run = Run.of(experiment, "svgd", 3, steps=7, evaluate_every=2)
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(run, straight)
    with monkeypatch.context() as patch, pytest.raises(InterruptionError):
        if where == "before the checkpoint":
            patch.setattr(svgd_onnx.Trainer, "save", interrupt)
        train(run, resumed, tested=interrupt)
    assert len(Result.load(resumed / "result.csv").tests) == 1
    train(run, resumed)
    lines = [(folder / "result.csv").read_text().splitlines()[1:] for folder in (straight, resumed)]
    assert lines[0] == lines[1]
    expected = parameters(straight)
    for name, value in parameters(resumed).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_run_goes_on_elsewhere_from_the_state_beside_its_result(tmp_path: Path) -> None:
    run = Run.of(MLP, "svgd", 3, steps=5, evaluate_every=2)
    here, there = tmp_path / "here", tmp_path / "there"
    train(run, tmp_path / "straight")
    with pytest.raises(InterruptionError):
        train(run, here, tested=interrupt, keep_state=True)
    there.mkdir()
    for name in ("result.csv", "result.state.txt"):
        (here / name).rename(there / name)
    train(run, there)
    assert not (there / "result.state.txt").exists()
    lines = [
        (folder / "result.csv").read_text().splitlines()[1:]
        for folder in (tmp_path / "straight", there)
    ]
    assert lines[0] == lines[1]


def test_a_damaged_state_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    run = Run.of(MLP, "svgd", 3, steps=5, evaluate_every=2)
    with pytest.raises(InterruptionError):
        train(run, tmp_path, tested=interrupt, keep_state=True)
    shutil.rmtree(tmp_path / "work")
    state = tmp_path / "result.state.txt"
    state.write_text(state.read_text()[:-5000])
    with pytest.raises(svgd_onnx.UserError, match="is no state of a run"):
        train(run, tmp_path)
    assert not (tmp_path / "work").exists()


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    run = Run.of(MLP, "sgd", 0, steps=2)
    train(run, tmp_path)
    before = (tmp_path / "result.csv").read_bytes()
    train(run, tmp_path, tested=interrupt)
    assert (tmp_path / "result.csv").read_bytes() == before


def test_the_command_says_that_a_run_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--data", ".", "--output", str(tmp_path / "results"), "--work", str(tmp_path)]
    arguments = command.parser(MLP).parse_args([*places, "--optimizer", "sgd", "--steps", "2"])
    experiment = replace(MLP, load=lambda _: small(MLP))
    command.run_all(experiment, arguments)
    assert "is not run again" not in capsys.readouterr().out
    command.run_all(experiment, arguments)
    out = capsys.readouterr().out
    assert "sgd-steps-2-0.csv' is finished, tested each 100 steps; it is not run again." in out
    assert "test error" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "sgd", "--scale", "5"], "--scale is of T, which sgd has not"),
        (["--optimizer", "adamw", "--t-scope", "all-linear"], "--t-scope is of T"),
        (["--device", "cuda"], "add --target onnx"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: list[str], message: str) -> None:
    arguments = command.parser(MLP).parse_args(["--data", ".", *options])
    with pytest.raises(svgd_onnx.UserError, match=message):
        command.run_all(MLP, arguments)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seeds", "0", "must be 1 or more, not 0"),
        ("--first-seed", "-1", "must be 0 or more, not -1"),
        ("--steps", "1.5", "must be a whole number, not '1.5'"),
    ],
)
def test_numbers_that_count_nothing_are_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.parser(MLP).parse_args([option, value])
    assert f"argument {option}: {message}" in capsys.readouterr().err


def test_the_penalty_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    weights = {}
    for l1 in (0.0, 0.01):
        folder = tmp_path / str(l1)
        train(Run.of(MLP, "sgd", 0, steps=1, l1=l1), folder)
        weights[l1] = parameters(folder)["fc1.weight"]
    rate = MLP.rate("sgd", 0, 1)
    before = onnx.numpy_helper.to_array(
        next(x for x in NETWORKS["paper_mlp"](0).graph.initializer if x.name == "fc1.weight")
    )
    np.testing.assert_allclose(
        weights[0.0] - weights[0.01], rate * 0.01 * np.sign(before), atol=1e-6
    )


def test_options_that_nothing_converts_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="epsilon"):
        train(Run.of(MLP, "svgd", 0, steps=2, epsilon=-1.0), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [2, 4])
def test_a_run_that_diverges_in_its_last_step_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    run = Run.of(MLP, "sgd", 0, steps=steps, evaluate_every=2)
    rates = [0.01] * (steps - 1) + [1e39]  # beyond float32, which training would refuse
    monkeypatch.setattr("svgd_onnx.training.trainer.check_rate", float)
    monkeypatch.setattr(Experiment, "rate", lambda self, optimizer, step, steps: rates[step])
    path = tmp_path / "result.csv"
    for _ in range(2):
        with pytest.raises(svgd_onnx.UserError, match="NaN or infinite"):
            train(run, tmp_path)
        assert (len(Result.load(path).tests) if path.exists() else 0) == steps / 2 - 1


def test_a_study_says_which_runs_did_not_come_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(study.EXPERIMENTS, MLP.name, replace(MLP, load=lambda _: small(MLP)))
    variants = [{"target": "onnx", "epsilon": -1.0}, {"target": "onnx"}]
    monkeypatch.setitem(study.VARIANTS, MLP.name, variants)
    places = ["--data", ".", "--output", str(tmp_path), "--work", str(tmp_path / "work")]
    arguments = study.parser().parse_args([MLP.name, "--seeds", "1", "--steps", "2", *places])
    unfinished = r"Not finished.*: svgd-steps-2-epsilon--1\.0-target-onnx-0\.$"
    with pytest.raises(svgd_onnx.UserError, match=unfinished):
        study.run_all(arguments)
    assert Result.load(tmp_path / MLP.name / "svgd-steps-2-target-onnx-0.csv").finished


def test_going_on_with_other_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        train(Run.of(MLP, "svgd", 0, steps=4, evaluate_every=2), tmp_path, tested=interrupt)
    with pytest.raises(svgd_onnx.UserError, match="begun with steps 4, not 6"):
        train(Run.of(MLP, "svgd", 0, steps=6, evaluate_every=2), tmp_path)


def test_going_on_with_other_kernels_is_refused(tmp_path: Path) -> None:
    run = Run.of(MLP, "svgd", 0, steps=4, evaluate_every=2)
    with pytest.raises(InterruptionError):
        train(run, tmp_path, tested=interrupt, kernels="standard")
    assert Result.load(tmp_path / "result.csv").settings["kernels"] == "standard"
    with pytest.raises(svgd_onnx.UserError, match="begun with kernels standard, not fast"):
        train(run, tmp_path, kernels="fast")


def test_a_checkpoint_without_its_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        train(Run.of(MLP, "sgd", 0, steps=4, evaluate_every=2), tmp_path, tested=interrupt)
    (tmp_path / "result.csv").unlink()
    with pytest.raises(svgd_onnx.UserError, match="has been trained for 2 steps"):
        train(Run.of(MLP, "sgd", 0, steps=4, evaluate_every=2), tmp_path)


def test_both_targets_train_alike(tmp_path: Path) -> None:
    tests = [
        train(Run.of(MLP, "svgd", 0, steps=3, target=target), tmp_path / target).tests[-1]
        for target in ("ort-training", "onnx")
    ]
    assert tests[0].training_loss == pytest.approx(tests[1].training_loss, rel=1e-3)


def test_running_statistics_do_not_matter_to_batch_statistics() -> None:
    model = NETWORKS["paper_mlp"](0)
    images = np.random.default_rng(0).random((64, 784), np.float32)
    session = onnxruntime.InferenceSession(with_batch_statistics(model).SerializeToString())
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    (logits,) = session.run(None, {"image": images, **values})
    # The same network in NumPy.
    hidden = images.astype(np.float64)
    for layer in range(1, 5):
        hidden = hidden @ values[f"fc{layer}.weight"].T + values[f"fc{layer}.bias"]
        deviation = np.sqrt(hidden.var(axis=0) + 1e-3)
        hidden = np.maximum(0, (hidden - hidden.mean(axis=0)) / deviation)
    np.testing.assert_allclose(
        logits, hidden @ values["fc5.weight"].T + values["fc5.bias"], rtol=1e-3, atol=1e-4
    )


def test_artifacts_made_before_train_where_nothing_converts(tmp_path: Path) -> None:
    run = Run.of(MLP, "svgd", 0, steps=2, target="onnx")
    runner.make(run, tmp_path / "work")
    script = f"""
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnx_ir"]))  # importing either fails
sys.path[:0] = {[str(ROOT / "tests" / "paper"), str(ROOT)]}
from pathlib import Path
from data import MLP, small
from tools.paper import runner
run = runner.Run.of(MLP, "svgd", 0, steps=2, target="onnx")
folder = Path({str(tmp_path)!r})
assert runner.train(run, small(MLP), folder / "work", folder / "result.csv").finished
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert Result.load(tmp_path / "result.csv").finished


@pytest.mark.parametrize(
    ("steps", "step", "rate"),
    [(35_000, 11_999, 2.0), (35_000, 12_000, 0.5), (35_000, 24_000, 0.005), (3_500, 1_200, 0.5)],
)
def test_a_shortened_schedule_changes_in_proportion(steps: int, step: int, rate: float) -> None:
    assert VGG.rate("svgd", step, steps) == rate


def test_momentum_sgd_changes_its_rate_where_the_authors_code_does() -> None:
    assert RESNET20.changes("momentum", 5_000) == [3_200, 4_800]
    assert RESNET20.changes("sgd", 5_000) == [3_200, 4_200]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "svgd-0"),
        ({"steps": 3_500, "granularity": "channel"}, "svgd-steps-3500-granularity-channel-0"),
        ({"scale": 0.001}, "svgd-0"),
        ({"scale": 0.01, "target": "onnx"}, "svgd-scale-0.01-target-onnx-0"),
        ({"l1": 1e-5, "epsilon": 1.0}, "svgd-epsilon-1.0-0"),
        ({"l1": 0.01, "scale": 1.0}, "svgd-l1-0.01-scale-1.0-0"),
    ],
)
def test_a_result_is_named_by_what_differs_from_the_paper(
    options: dict[str, Any], name: str
) -> None:
    assert Run.of(VGG, "svgd", 0, **options).name == name
