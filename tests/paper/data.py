"""Small data sets of the right shapes, for short runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.paper import mlp_mnist, resnet20_cifar10, vgg_cifar10
from tools.paper.experiment import Data, Experiment

MLP, VGG, RESNET20 = (
    replace(module.EXPERIMENT, batch_size=8, test_batch_size=16)
    for module in (mlp_mnist, vgg_cifar10, resnet20_cifar10)
)
TRAIN, TEST = 160, 32  # examples


def small(experiment: Experiment) -> Data:
    """A random picture for each class, and noise."""
    random = np.random.default_rng(0)
    shape = (784,) if experiment is MLP else (3, 32, 32)
    labels = random.integers(0, 10, TRAIN + TEST)
    patterns = random.integers(0, 100, (10, *shape))
    images = (patterns[labels] + random.integers(0, 100, (TRAIN + TEST, *shape))).astype(np.uint8)
    test = experiment.prepare(images[TRAIN:], random)
    return Data(images[:TRAIN], labels[:TRAIN], {"image": test, "labels": labels[TRAIN:]})
