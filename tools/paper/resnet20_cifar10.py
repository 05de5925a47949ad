"""The paper's third experiment (Sec. 6.3, Table 3): its ResNet-20 on CIFAR-10.

`python -m tools.paper.resnet20_cifar10 --data FOLDER`, where the folder holds CIFAR-10's binary
version. The paper has no momentum SGD: its learning rates, and momentum 0.9, are those of the authors'
published code.
"""

from __future__ import annotations

from tools.paper import cifar10
from tools.paper.command import main
from tools.paper.experiment import Experiment, Recipe
from tools.paper.pictures import augment_and_standardize

EXPERIMENT = Experiment(
    name="resnet20_cifar10",
    title="ResNet-20 on CIFAR-10",
    network="paper_resnet20",
    load=cifar10.load,
    prepare=augment_and_standardize,
    batch_size=128,
    l1=1e-4,
    steps=50_000,
    boundaries=(32_000, 42_000),
    evaluate_every=500,
    averaged_tests=1,
    test_batch_size=1_000,
    recipes={
        "rmsprop": Recipe((1e-3, 1e-4, 1e-4), 0.1118),
        "adamw": Recipe((1e-3, 1e-4, 5e-5), 0.1112),
        "sgd": Recipe((0.1, 0.01, 0.001), 0.1069),
        "momentum": Recipe((0.1, 0.01, 0.001), None, boundaries=(32_000, 48_000)),
        "svgd": Recipe((0.5, 0.02, 0.01), 0.0862, scale=0.01),
    },
    log="resnet",
)

if __name__ == "__main__":
    main(EXPERIMENT)
