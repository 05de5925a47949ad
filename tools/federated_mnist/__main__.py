"""Accuracy by round of federated clients, beside central training, and of two real processes.

    python -m tools.federated_mnist [--mnist FOLDER] [--rounds N] [--local-epochs N] [--seeds N ...]
                                    [--trainings NAME ...] [--in-process] [--short]

In an environment with `svgd-onnx[convert,train,federated-simulation]`; FOLDER has MNIST's four files, without
it the data are the digits of scikit-learn. 10 simulated clients have a tenth of the data each, at random (IID)
or of two classes, and train by SVGD, SGD and Adam, and by SVGD with a proximal term. Then a SuperLink and two
SuperNodes make a run that has to come to the same bits as its simulation. All is on loopback, and in one
temporary folder. Tables are Markdown. A seed is that of the initial weights and of which client has which
examples; of several the tables have the mean and the standard deviation. --in-process leaves Flower out, and
makes the same rounds by the functions that its apps call: sums are in float64 and in the order of clients.
--short is of the digits, SVGD and a round or two, for which a minute and a half is enough.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import svgd_onnx
from svgd_onnx.federated import device_folder, own_share, parameters_of
from svgd_onnx.federated.new_app import write_app
from tools.federated_mnist.data import Files, write
from tools.federated_mnist.flower import Flower, Rows
from tools.federated_mnist.in_process import accuracies_of_rounds

CLIENTS, BATCH_SIZE = 10, 32
SPLITS = {"IID": 0, "2 classes a client": 2}


@dataclass(frozen=True)
class Training:
    """How clients, or one trainer for all data, train.

    Attributes:
        learning_rate: alpha.
        options: of `convert`.
        settings: of a run, beside those that all have; it is of clients alone where there are any.
    """

    learning_rate: float
    options: Mapping[str, Any]
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_of_clients(self) -> bool:
        """Whether there is nothing like it in central training."""
        return bool(self.settings) or "proximal" in self.options


# The paper's learning rates for its MLP on MNIST (Table 1), Adam's that of RMSProp.
TRAININGS = {
    "SVGD": Training(0.01, {"scale": 0.1}),
    "SGD": Training(0.1, {"optimizer": "sgd"}),
    "Adam": Training(0.001, {"optimizer": "adam"}),
    "SVGD, r sent": Training(0.01, {"scale": 0.1}, {"send-r": True}),
    "SVGD, μ = 0.1": Training(0.01, {"scale": 0.1, "proximal": 0.1}),
}


@dataclass(frozen=True)
class Work:
    """What is done by one seed: in which folder, and what is in it."""

    seed: int
    folder: Path
    files: Files
    app: Path
    flower: Flower
    rounds: int
    local_epochs: int
    in_process: bool

    def converted(self, name: str, training: Training) -> Path:
        """New artifacts."""
        folder = self.folder / f"{name}-artifacts"
        svgd_onnx.convert(self.files.model, folder, target="onnx", force=True, **training.options)
        return folder

    def config(self, artifacts: Path, training: Training, classes: int) -> dict[str, object]:
        """Of a run."""
        return {
            "artifacts": artifacts,
            "num-server-rounds": self.rounds,
            "local-epochs": self.local_epochs,
            "batch-size": BATCH_SIZE,
            "learning-rate": training.learning_rate,
            "classes-per-client": classes,
            "split-seed": self.seed,
            "threads": 1,
            **training.settings,
        }


def main() -> int:
    """Runs all; exit code 1 if the real processes come to something else than their simulation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", type=Path, help="a folder with MNIST's files")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--local-epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="federated-") as temporary:
        works = [_work(Path(temporary), seed, given) for seed in given.seeds]
        names = given.trainings[:1] if given.short else given.trainings
        for split, classes in list(SPLITS.items())[given.short :]:
            columns = {name: [_simulated(work, name, classes) for work in works] for name in names}
            _show(f"{split}, {CLIENTS} clients", columns)
        central = [name for name in names if not TRAININGS[name].is_of_clients]
        _show("central", {name: [_central(work, name) for work in works] for name in central})
        if given.in_process:
            return 0
        return 0 if _same_as_real(replace(works[0], rounds=1 if given.short else 2)) else 1


def _work(temporary: Path, seed: int, given: argparse.Namespace) -> Work:
    folder = temporary / f"seed{seed}"
    folder.mkdir()
    files = write(folder, None if given.short else given.mnist, seed)
    app = write_app("app", folder, data=files.train, test_data=files.test)
    rounds = 2 if given.short else given.rounds
    settings = (rounds, given.local_epochs, given.in_process)
    return Work(seed, folder, files, app, Flower(folder / "flower"), *settings)


def _simulated(work: Work, name: str, classes: int) -> list[float]:
    training, start = TRAININGS[name], time.monotonic()
    artifacts = work.converted(name, training)
    config = work.config(artifacts, training, classes)
    if work.in_process:
        accuracies = accuracies_of_rounds(
            artifacts, work.files.train, work.files.test, CLIENTS, config
        )
    else:
        accuracies = _accuracies(work.flower.simulate(work.app, CLIENTS, config))
    title = f"{name}, {classes or 'all'} classes a client, seed {work.seed}"
    _note(f"{title}: {accuracies[-1]:.2%} at last, {time.monotonic() - start:.0f} s")
    return accuracies


def _central(work: Work, name: str) -> list[float]:
    """Accuracies after as many epochs over all data."""
    training = TRAININGS[name]
    trainer = svgd_onnx.Trainer(work.converted(name, training), seed=work.seed, threads=1)
    train, test = (svgd_onnx.load_data(path) for path in (work.files.train, work.files.test))
    accuracies = [trainer.evaluate(test)["accuracy"]]
    for number in range(1, work.rounds + 1):
        options = {"batch_size": BATCH_SIZE, "learning_rate": training.learning_rate}
        trainer.train(train, epochs=number * work.local_epochs, **options)
        accuracies.append(trainer.evaluate(test)["accuracy"])
    return accuracies


def _same_as_real(work: Work) -> bool:
    """Whether a SuperLink and two SuperNodes come to the parameters that their simulation comes to."""
    training = TRAININGS["SVGD"]
    with np.load(work.files.train) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    nodes = []
    original = work.converted("real", training)
    for number in range(2):
        data = work.folder / f"node{number}.npz"
        np.savez(data, **own_share(whole, number, 2, seed=work.seed))
        own = device_folder(original, work.folder / f"node{number}")
        nodes.append({"artifacts": own, "data": data})
    simulated = device_folder(original, work.folder / "simulated")
    start = time.monotonic()
    work.flower.simulate(work.app, 2, work.config(simulated, training, 0))
    between = time.monotonic()
    rows = work.flower.deploy(work.app, nodes, work.config(original, training, 0))
    _note(f"2 clients: simulated {between - start:.0f} s, real {time.monotonic() - between:.0f} s")
    trained, expected = (parameters_of(svgd_onnx.Trainer(each)) for each in (original, simulated))
    same = all(np.array_equal(trained[name], array) for name, array in expected.items())
    print(
        f"\nA SuperLink and two SuperNodes: accuracy {_accuracies(rows)[-1]:.2%} after round {work.rounds}, "
        f"and {'bit for bit the parameters' if same else 'OTHER parameters than those'} of their simulation."
    )
    return same


def _accuracies(rows: Rows) -> list[float]:
    return [row["server_accuracy"] for row in rows]


def _show(title: str, columns: Mapping[str, list[list[float]]]) -> None:
    """A row for each round; columns have the accuracies by seed."""
    print(f"\n| {title}: round | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    by_round = {name: list(zip(*seeds)) for name, seeds in columns.items()}
    for number, row in enumerate(zip(*by_round.values())):
        print(f"| {number} | {' | '.join(map(_cell, row))} |", flush=True)


def _cell(accuracies: Sequence[float]) -> str:
    spread = f" ± {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return f"{mean(accuracies):.2%}{spread}"


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
