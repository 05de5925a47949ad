"""The two ways of the paper's Sec. 3 held against each other: every fixture, both targets.

    .venv/bin/python -m tools.encapsulations [--t-scope all-linear] [--granularity channel] [NAME...]

Each model is converted with twin operators (Sec. 3.1) and with T put into the gradient graph (Sec. 3.2), both
differentiated by our own rules, and both train the same steps on one thread. Losses, parameters, running
statistics and r are compared to the bit, and the nodes of the two training graphs counted by operator.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import svgd_onnx
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.virtualize.settings import ENCAPSULATIONS, VirtualGradientSettings
from tools.fixtures.trainings import SIZES, options_for

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
GRAPHS = {"ort-training": "training_model.onnx", "onnx": "training_step.onnx"}
BATCH_SIZE, STEPS, LEARNING_RATE = 4, 3, 0.1


@dataclass(frozen=True)
class Run:
    """What some steps left: losses and the checkpoint's tensors, and the operators that made them."""

    arrays: Mapping[str, np.ndarray]
    operators: Counter[tuple[str, str]]
    twins: int


def trained(
    model: onnx.ModelProto | Path, batch: Mapping[str, np.ndarray], target: str, **options: Any
) -> Run:
    """Converts a model, by rules of our own, and trains it on one batch."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = svgd_onnx.convert(
            model, folder, target=target, differentiator="own", force=True, **options
        )
        trainer = svgd_onnx.Trainer(folder, seed=0, threads=1)
        losses = [trainer.train_step(batch, LEARNING_RATE) for _ in range(STEPS)]
        names = [*(each.name for each in manifest.parameters), *manifest.r]
        nodes = onnx.load(Path(folder) / GRAPHS[target]).graph.node
        return Run(
            {"losses": np.array(losses), **{name: trainer.tensor(name).copy() for name in names}},
            Counter((node.domain, node.op_type) for node in nodes),
            len(manifest.r),
        )


def difference(one: Run, other: Run) -> float:
    """The largest, relative to the largest entry of the array; 0 if all bits are the same."""
    assert one.arrays.keys() == other.arrays.keys()
    return max(
        0.0
        if array.tobytes() == other.arrays[name].tobytes()
        else float(np.abs(array - other.arrays[name]).max() / max(np.abs(array).max(), 1e-30))
        for name, array in one.arrays.items()
    )


def main() -> None:
    """Prints a row for each model and target, and what they come to."""
    parser = argparse.ArgumentParser(prog="python -m tools.encapsulations")
    parser.add_argument("names", nargs="*", help="parts of names; all fixtures if none")
    parser.add_argument("--t-scope", action="append")
    parser.add_argument("--granularity", default=VirtualGradientSettings.granularity)
    given = parser.parse_args()
    scope = given.t_scope or VirtualGradientSettings.t_scope
    differences: list[float] = []
    print("| model | target | twins | difference | nodes |\n| --- | --- | ---: | ---: | --- |")
    for path in sorted(FIXTURES.glob("*.onnx")):
        if given.names and not any(name in path.stem for name in given.names):
            continue
        loss = options_for(path.stem)
        batch = example_batch(path, batch_size=BATCH_SIZE, random_size=SIZES, **loss)
        options = {**loss, "t_scope": scope, "granularity": given.granularity}
        for target in TARGETS:
            runs = [
                trained(path, batch, target, encapsulation=each, **options)
                for each in ENCAPSULATIONS
            ]
            differences.append(difference(*runs))
            same = "the same" if runs[0].operators == runs[1].operators else "others"
            print(
                f"| {path.stem} | {target} | {runs[1].twins} | {differences[-1]:.1e} | {same} |",
                flush=True,
            )
    equal = sum(each == 0 for each in differences)
    print(
        f"{equal} of {len(differences)} are equal to the bit; the largest difference is "
        f"{max(differences):.1e}."
    )


if __name__ == "__main__":
    main()
