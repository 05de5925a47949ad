"""The paper's first experiment (Sec. 6.1, Table 1): its MLP on MNIST.

`python -m tools.paper.mlp_mnist --data FOLDER`, where the folder holds the four files of MNIST.
"""

from __future__ import annotations

from tools.paper import mnist
from tools.paper.command import main
from tools.paper.experiment import Experiment, Recipe

EXPERIMENT = Experiment(
    name="mlp_mnist",
    title="MLP on MNIST",
    network="paper_mlp",
    load=mnist.load,
    prepare=lambda images, random: mnist.pixels(images),
    batch_size=32,
    l1=1e-4,
    steps=6_000,
    boundaries=(1_600, 3_600),
    evaluate_every=100,
    averaged_tests=6,
    test_batch_size=10_000,
    recipes={
        "rmsprop": Recipe((1e-3, 5e-4, 5e-5), 0.0180),
        "adamw": Recipe((1e-3, 5e-5, 5e-5), 0.0194),
        "sgd": Recipe((0.1, 0.05, 0.01), 0.0176),
        "svgd": Recipe((0.01, 0.005, 0.001), 0.0160, scale=0.1),
    },
    log="mlp",
)

if __name__ == "__main__":
    main(EXPERIMENT)
