"""The paper's first experiment (Sec. 6.1, Table 1): its MLP on MNIST, with its schedules.

`python -m tools.paper.mlp_mnist --data FOLDER`, where the folder holds the four files of MNIST.

With `--target onnx --artifacts FOLDER` the artifacts are made in FOLDER where they are not there yet, and
trained from there: made in an environment that converts, they train in one with a stock onnxruntime.

The test error is given twice: with BatchNormalization's running statistics, as `svgd-onnx evaluate`
has it, and with the statistics of the test images themselves, as the paper's authors have it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import svgd_onnx
from tools.networks import paper_mlp
from tools.paper import mnist

SET_ASIDE = 5_000  # of the 60,000
BATCH_SIZE = 32
L1 = 1e-4
LAST_STEPS, EVALUATE_EVERY = 600, 100


@dataclass(frozen=True)
class Recipe:
    """Learning rates from step 0, 1,600 and 3,600 on, T's scale, and the paper's test error."""

    rates: tuple[float, float, float]
    paper_error: float
    scale: float = 1.0


RECIPES = {
    "svgd": Recipe((0.01, 0.005, 0.001), 0.0160, scale=0.1),
    "sgd": Recipe((0.1, 0.05, 0.01), 0.0176),
    "rmsprop": Recipe((1e-3, 5e-4, 5e-5), 0.0180),
    "adamw": Recipe((1e-3, 5e-5, 5e-5), 0.0194),  # the paper's Adam: no weight decay
}


@dataclass(frozen=True)
class Result:
    """Test errors over the last 600 steps, and seconds of training.

    Attributes:
        running: with running statistics.
        batch: with the test images' own statistics.
        seconds: without evaluations.
    """

    running: list[float]
    batch: list[float]
    seconds: float


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.paper.mlp_mnist", description="The paper's MLP on MNIST."
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with MNIST's files")
    parser.add_argument("--optimizer", choices=RECIPES, default="svgd", help="(default svgd)")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs (default 3)")
    parser.add_argument("--steps", type=int, default=6000, help="of each run (default 6000)")
    parser.add_argument("--t-kernel", choices=("fused", "portable"))
    parser.add_argument("--target", choices=("ort-training", "onnx"), default="ort-training")
    parser.add_argument("--artifacts", type=Path, help="where artifacts are kept, or come from")
    arguments = parser.parse_args()
    for name in ("seeds", "steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    try:
        train, test = mnist.load(arguments.data)
        report(arguments, arrays(train, SET_ASIDE), arrays(test))
    except (mnist.MnistError, svgd_onnx.UserError) as error:
        sys.exit(str(error))


def arrays(examples: mnist.Examples, start: int = 0) -> dict[str, np.ndarray]:
    """Pixels in [0, 1] and labels, from an example on, under the names that training wants."""
    images = examples.images[start:].reshape(-1, mnist.SIDE**2).astype(np.float32) / 255
    return {"image": images, "labels": examples.labels[start:].astype(np.int64)}


def report(
    arguments: argparse.Namespace, train: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> None:
    """Runs every seed and prints a line for each, then their mean."""
    row = "{:>4}  {:>9}  {:>9}  {:>9}  {:>9}  {:>7}"
    print(
        f"{arguments.optimizer}, {arguments.steps} steps, onnxruntime {onnxruntime.__version__}, "
        "test error in %:"
    )
    print("      running statistics    batch statistics")
    print(row.format("seed", "final", "last 600", "final", "last 600", "seconds"))
    rows = []
    for seed in range(arguments.seeds):
        result = run(arguments, seed, train, test)
        errors = [
            100 * error
            for series in (result.running, result.batch)
            for error in (series[-1], np.mean(series))
        ]
        rows.append([*errors, result.seconds])
        print(row.format(seed, *_digits(rows[-1])), flush=True)
    print(row.format("mean", *_digits(np.mean(rows, axis=0))))
    print(f"the paper (batch statistics): {RECIPES[arguments.optimizer].paper_error:.2%}")


def run(
    arguments: argparse.Namespace,
    seed: int,
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
) -> Result:
    """One run; the seed is that of the weights and of the order of the examples."""
    recipe = RECIPES[arguments.optimizer]
    seconds = 0.0
    running: list[float] = []
    batch: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, exported = Path(temporary) / "artifacts", Path(temporary) / "trained.onnx"
        made = (arguments.artifacts or Path(temporary)) / f"{arguments.optimizer}-{seed}"
        if not made.exists():
            svgd_onnx.convert(
                paper_mlp.build(seed),
                made,
                optimizer=arguments.optimizer,
                scale=recipe.scale,
                l1=L1,
                t_kernel=arguments.t_kernel,
                target=arguments.target,
            )
        shutil.copytree(made, folder)
        trainer = svgd_onnx.Trainer(folder, seed=seed)
        for step in evaluated_steps(arguments.steps):
            start = time.perf_counter()
            trainer.train(
                train,
                steps=step,
                batch_size=BATCH_SIZE,
                learning_rate=recipe.rates[0],
                schedule={1_600: recipe.rates[1], 3_600: recipe.rates[2]},
                resume=trainer.step > 0,
            )
            seconds += time.perf_counter() - start
            trainer.export(exported)
            running.append(1 - trainer.evaluate(test)["accuracy"])
            batch.append(error_with_batch_statistics(onnx.load(exported), test))
    return Result(running, batch, seconds)


def evaluated_steps(steps: int) -> list[int]:
    """Every 100th of the last 600 steps, the last one always."""
    return [step for step in range(steps, steps - LAST_STEPS, -EVALUATE_EVERY) if step > 0][::-1]


def error_with_batch_statistics(model: onnx.ModelProto, test: Mapping[str, np.ndarray]) -> float:
    """The test error when BatchNormalization takes mean and variance of all test images."""
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("training_mode", 1))
            node.output.extend(
                f"{node.output[0]}.{name}" for name in ("batch_mean", "batch_variance")
            )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (probabilities,) = session.run(None, {"image": test["image"]})
    return float(np.mean(probabilities.argmax(axis=1) != test["labels"]))


def _digits(values: list[float] | np.ndarray) -> list[str]:
    *errors, seconds = values
    return [*(f"{error:.2f}" for error in errors), f"{seconds:.1f}"]


if __name__ == "__main__":
    main()
