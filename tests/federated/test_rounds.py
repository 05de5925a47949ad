"""Rounds of clients and a server, as Flower runs them, beside the same in NumPy."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.federated import device_folder, parameters_of, set_parameters, train_round
from svgd_onnx.federated.rounds import check_proximal
from svgd_onnx.targets import TARGETS

RATE = 0.05


def linear() -> onnx.ModelProto:
    """y = x w, whose gradient by w of the mean squared error is x' (x w - target) * 2 / numbers."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="y")
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})


def data(seed: int, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"x": (count, 6), "target": (count, 4)}
    return {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def descent(w: np.ndarray, examples: dict[str, np.ndarray], steps: int, mu: float) -> np.ndarray:
    """Steps of all examples at once, in float64, drawn to where they begin."""
    begun, x = w, examples["x"].astype(np.float64)
    for _ in range(steps):
        gradient = x.T @ (x @ w - examples["target"]) * 2 / (4 * len(x))
        w = w - RATE * (gradient + mu * (w - begun))
    return w


@pytest.mark.parametrize("mu", [0.0, 3.0])
def test_federated_averaging_is_that_of_the_papers(mu: float, trainer_of: MakeTrainer) -> None:
    """McMahan et al.'s, and with mu Li et al.'s: local descent, and a mean weighted by examples."""
    options = {"target": "onnx", "loss": "mse", "optimizer": "sgd", "proximal": mu}
    clients = [trainer_of(linear(), **options) for _ in range(2)]
    owned = [data(1, 4), data(2, 12)]
    sent = parameters_of(clients[0])
    expected = sent["w"].astype(np.float64)
    for _ in range(3):
        weighted = {name: np.zeros(array.shape) for name, array in sent.items()}
        for client, examples in zip(clients, owned):
            set_parameters(client, sent)
            done = train_round(client, examples, epochs=5, batch_size=99, learning_rate=RATE)
            assert (done.examples, done.steps) == (len(examples["x"]), 5)
            for name, array in parameters_of(client).items():
                weighted[name] += array * (done.examples / 16)
        sent = weighted
        trained = [descent(expected, examples, 5, mu) for examples in owned]
        expected = trained[0] * 4 / 16 + trained[1] * 12 / 16
    np.testing.assert_allclose(sent["w"], expected, rtol=1e-5, atol=1e-6)


def test_what_a_device_keeps_outlives_its_process(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    """A round with another trainer on the same folder is one with the same trainer, r and moments included."""
    converted = trainer_of(models.mlp(), target="onnx", optimizer="adam")
    examples = models.examples(models.mlp(), 8)
    folders = [device_folder(converted._folder, tmp_path / name) for name in ("one", "two")]
    begun = parameters_of(converted)
    same = svgd_onnx.Trainer(folders[0], threads=1)
    for _ in range(2):
        anew = svgd_onnx.Trainer(folders[1], threads=1)
        for trainer in (same, anew):
            set_parameters(trainer, begun)
            train_round(trainer, examples, epochs=1, batch_size=4, learning_rate=RATE)
    assert anew.step == same.step == 4
    for name, array in parameters_of(same).items():
        np.testing.assert_array_equal(anew.tensor(name), array)
    np.testing.assert_array_equal(converted.tensor("fc1.weight"), begun["fc1.weight"])


def test_a_copy_of_other_artifacts_is_refused(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    folders = [trainer_of(models.mlp(), target="onnx", scale=scale)._folder for scale in (1, 2)]
    device_folder(folders[0], tmp_path / "copy")
    device_folder(folders[0], tmp_path / "copy")
    with pytest.raises(UserError, match="a client's copy of other artifacts"):
        device_folder(folders[1], tmp_path / "copy")


def test_an_epoch_is_of_whole_steps(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    trainer = trainer_of(model, target="onnx", accumulation_steps=2)
    examples = models.examples(model, 11)
    assert train_round(trainer, examples, epochs=3, batch_size=3, learning_rate=RATE).steps == 8
    with pytest.raises(UserError, match="batch_size is 0"):
        train_round(trainer, examples, epochs=1, batch_size=0, learning_rate=RATE)
    with pytest.raises(UserError, match="fewer than the 2 batches of a step"):
        train_round(trainer, examples, epochs=1, batch_size=11, learning_rate=RATE)


@pytest.mark.parametrize(
    ("proximal", "asked", "fits"), [(0.0, 0.0, True), (0.01, 0.01, True), (0.0, 0.1, False)]
)
def test_server_and_step_have_one_proximal_term(
    proximal: float, asked: float, fits: bool, trainer_of: MakeTrainer
) -> None:
    manifest = trainer_of(models.mlp(), target="onnx", proximal=proximal).manifest
    if fits:
        check_proximal(manifest, asked)
        return
    with pytest.raises(UserError, match="a proximal term of 0.1, and the step of these artifacts"):
        check_proximal(manifest, asked)


def test_a_round_needs_neither_onnx_nor_a_framework(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    model = models.mlp()
    folder = trainer_of(model, target="onnx")._folder
    np.savez(tmp_path / "data.npz", **models.examples(model, 8))
    program = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
sys.modules.update(onnx=None, onnx_ir=None, torch=None, tensorflow=None, sklearn=None)
import svgd_onnx
from svgd_onnx.federated import parameters_of, set_parameters, train_round
trainer = svgd_onnx.Trainer({str(folder)!r})
set_parameters(trainer, parameters_of(trainer))
examples = svgd_onnx.load_data({str(tmp_path / "data.npz")!r})
train_round(trainer, examples, epochs=1, batch_size=4, learning_rate=0.1)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("before", [0, 3, 5])
def test_a_round_takes_each_example_once_an_epoch(before: int, trainer_of: MakeTrainer) -> None:
    """Also on a copy of a server's folder, to whose checkpoint rounds count as steps."""
    model = linear()
    trainer = trainer_of(model, target="onnx", loss="mse", optimizer="sgd")
    set_parameters(trainer, parameters_of(trainer), steps=before)
    seen: list[int] = []

    class Rows:
        """Examples that say when they are taken."""

        def __len__(self) -> int:
            return 40

        def __getitem__(self, row: int) -> dict[str, np.ndarray]:
            seen.append(row)
            return {name: array[row] for name, array in data(1, 40).items()}

    rows = Rows()
    seen.clear()
    for _ in range(2):
        begun = len(seen)
        train_round(trainer, rows, epochs=1, batch_size=8, learning_rate=RATE)
        taken = seen[begun:]
        assert set(taken) == set(range(40))
        assert all(
            taken.count(row) == 1 for row in range(1, 40)
        )  # the first is looked at before too


def test_what_a_server_saves_ends_a_whole_step(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(models.mlp(), target="onnx", accumulation_steps=2)
    set_parameters(trainer, parameters_of(trainer), steps=2)
    with pytest.raises(UserError, match="steps is 3, but must be 0 or a multiple of 2"):
        set_parameters(trainer, parameters_of(trainer), steps=3)


@pytest.mark.parametrize("target", TARGETS)
def test_a_round_begins_a_step_of_several_batches(target: str, trainer_of: MakeTrainer) -> None:
    """What was accumulated before was the gradient of other parameters."""
    options = {"target": target, "loss": "mse", "optimizer": "sgd", "accumulation_steps": 2}
    trainer = trainer_of(linear(), **options)
    trainer.train_step(data(7, 4), RATE)
    begun = parameters_of(trainer)
    set_parameters(trainer, begun)
    examples = data(1, 8)
    for _ in range(2):
        expected = descent(parameters_of(trainer)["w"].astype(np.float64), examples, 1, 0.0)
        done = train_round(trainer, examples, epochs=1, batch_size=4, learning_rate=RATE)
        assert done.steps == 2
        np.testing.assert_allclose(trainer.tensor("w"), expected, rtol=1e-5, atol=1e-6)
    assert trainer.skipped == 1
    trainer.save()


def test_a_client_may_lack_a_class(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 2, 3), output="y")
    trainer = trainer_of(net.model({"x": ("N", 2)}, {"y": ("N", 3)}), target="onnx")

    def table(kinds: str) -> Any:
        rows = "\n".join(f"{at},{-at},{kind}" for at, kind in enumerate(kinds.split()))
        (tmp_path / "t.csv").write_text(f"u,v,labels\n{rows}\n")
        return svgd_onnx.load_data(tmp_path / "t.csv", columns={"x": ["u", "v"]})

    trainer.train(table("ape bee cat"), steps=1, batch_size=3, learning_rate=RATE)
    done = train_round(trainer, table("bee cat"), epochs=1, batch_size=2, learning_rate=0.0)
    rows = np.arange(2, dtype=np.float32)
    numbered = {"x": np.stack([rows, -rows], axis=1), "labels": np.array([1, 2])}
    assert done.loss == pytest.approx(trainer.evaluate(numbered)["loss"])


def test_several_make_a_clients_folder_at_once(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    artifacts = trainer_of(models.mlp(), target="onnx")._folder
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda _: device_folder(artifacts, tmp_path / "copy"), range(4))
        assert set(made) == {tmp_path / "copy"}
