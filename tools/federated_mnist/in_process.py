"""The rounds of a federation in one process, by the functions that clients and server of Flower call."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import svgd_onnx
from svgd_onnx.federated import (
    Exchange,
    device_folder,
    own_share,
    parameters_of,
    set_parameters,
    train_round,
)


def accuracies_of_rounds(
    artifacts: Path, train: Path, test: Path, clients: int, config: Mapping[str, object]
) -> list[float]:
    """The server's accuracy before the first round, and after each.

    Args:
        artifacts: the server's, from which clients have theirs.
        train: an `.npz` file that clients divide among themselves.
        test: what the server evaluates on.
        clients: how many, all of which train in each round.
        config: as of a run of Flower's.
    """
    exchange = Exchange(r=bool(config.get("send-r", False)))
    server, held_out = svgd_onnx.Trainer(artifacts, threads=1), svgd_onnx.load_data(test)
    with np.load(train) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    split = {"classes_per_client": config["classes-per-client"], "seed": config["split-seed"]}
    shares = [own_share(whole, number, clients, **split) for number in range(clients)]
    shutil.rmtree(f"{artifacts}.clients", ignore_errors=True)  # of another run
    places = [f"{artifacts}.clients/client-{number}" for number in range(clients)]
    trainers = [svgd_onnx.Trainer(device_folder(artifacts, each), threads=1) for each in places]
    options = {
        "epochs": config["local-epochs"],
        "batch_size": config["batch-size"],
        "learning_rate": config["learning-rate"],
    }
    accuracies = [server.evaluate(held_out)["accuracy"]]
    for _ in range(int(str(config["num-server-rounds"]))):
        sent = parameters_of(server, exchange)
        sums, examples = {name: np.zeros(each.shape) for name, each in sent.items()}, 0
        for trainer, share in zip(trainers, shares):
            set_parameters(trainer, sent, exchange)
            done = train_round(trainer, share, **options)
            for name, array in parameters_of(trainer, exchange).items():
                sums[name] += done.examples * array.astype(np.float64)
            examples += done.examples
        mean = {name: (each / examples).astype(np.float32) for name, each in sums.items()}
        set_parameters(server, mean, exchange)
        accuracies.append(server.evaluate(held_out)["accuracy"])
    return accuracies
