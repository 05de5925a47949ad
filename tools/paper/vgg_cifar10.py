"""The paper's second experiment (Sec. 6.2, Table 2): its VGG on CIFAR-10.

`python -m tools.paper.vgg_cifar10 --data FOLDER`, where the folder holds CIFAR-10's binary version.
"""

from __future__ import annotations

from tools.paper import cifar10
from tools.paper.command import main
from tools.paper.experiment import Experiment, Recipe
from tools.paper.pictures import augment_and_standardize

EXPERIMENT = Experiment(
    name="vgg_cifar10",
    title="VGG on CIFAR-10",
    network="paper_vgg",
    load=cifar10.load,
    prepare=augment_and_standardize,
    batch_size=128,
    l1=1e-5,
    steps=35_000,
    boundaries=(12_000, 24_000),
    evaluate_every=500,
    averaged_tests=1,
    test_batch_size=1_000,
    recipes={
        "rmsprop": Recipe((0.02, 0.01, 0.002), 0.1778),
        "adamw": Recipe((0.02, 0.01, 0.005), 0.1802),
        "sgd": Recipe((2.0, 0.5, 0.005), 0.1732),
        "svgd": Recipe((2.0, 0.5, 0.005), 0.1707, scale=0.001),
    },
    log="vgg",
)

if __name__ == "__main__":
    main(EXPERIMENT)
