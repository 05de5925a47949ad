"""What the paper leaves open: SVGD with one thing different at a time.

`python -m tools.paper.study mlp_mnist --data FOLDER` runs each variant below on one experiment, learning
rates and all else as in the paper. It goes on after an interruption and skips what is finished. A variant
that diverges is reported, and the others run.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import svgd_onnx
from tools.paper import mlp_mnist, resnet20_cifar10, vgg_cifar10
from tools.paper.command import GOES_ON, add_places, at_least, describe, print_last, train
from tools.paper.errors import told_in_a_sentence
from tools.paper.runner import Run

EXPERIMENTS = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (mlp_mnist, vgg_cifar10, resnet20_cifar10)
}

EPSILONS = [{"epsilon": epsilon} for epsilon in (1e-10, 1e-8, 1e-4)]
OTHERS: list[dict[str, Any]] = [{"t_scope": "all-linear"}, {"gradient": "example"}]
# In a network of dense layers an r for each channel is the same as one for each element.
CHANNEL = {"granularity": "channel"}

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "mlp_mnist": [
        {},
        *({"scale": scale} for scale in (0.01, 0.03, 0.3, 1.0)),
        *EPSILONS,
        *OTHERS,
    ],
    "vgg_cifar10": [
        {},
        CHANNEL,
        *({"scale": scale} for scale in (0.0003, 0.003)),
        *EPSILONS,
        *OTHERS,
    ],
    "resnet20_cifar10": [{}, CHANNEL, *OTHERS],
}


def parser() -> argparse.ArgumentParser:
    """The command line of the study."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.paper.study", description="SVGD with one thing different at a time."
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=at_least(1), default=3, help="of each variant (default 3)")
    parser.add_argument("--steps", type=at_least(1), help="of each run, in place of the paper's")
    parser.add_argument("--evaluate-every", type=at_least(1), help="steps between two tests")
    add_places(parser)
    return parser


def main() -> None:
    """Runs the command line."""
    arguments = parser().parse_args()
    with told_in_a_sentence(GOES_ON):
        run_all(arguments)


def run_all(arguments: argparse.Namespace) -> None:
    """Runs each variant with each seed.

    Raises:
        DataError: the data is not there or damaged.
        UserError: no data folder is given, or runs did not come to their end; the others have.
    """
    if arguments.data is None:
        raise svgd_onnx.UserError("Give the folder of the data set with --data.")
    experiment = EXPERIMENTS[arguments.experiment]
    data = experiment.load(arguments.data)
    lengths = {"steps": arguments.steps, "evaluate_every": arguments.evaluate_every}
    unfinished = []
    for variant in VARIANTS[experiment.name]:
        for seed in range(arguments.seeds):
            run = Run.of(experiment, "svgd", seed, **lengths, **variant)
            print(f"{run.name}: {describe(run)}")
            try:
                print_last(train(run, data, arguments))
            except svgd_onnx.UserError as error:
                print(error, file=sys.stderr)
                unfinished.append(run.name)
    if unfinished:
        raise svgd_onnx.UserError(f"Not finished, as said above: {', '.join(unfinished)}.")


if __name__ == "__main__":
    main()
