"""One rank of a training, started by `jobs.train`; the first prints what it took and saves the parameters."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from svgd_onnx import Trainer
from svgd_onnx.distributed import ALONE, join
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.ranks import ShareOfOrder


def main(folder: Path, told: str) -> None:
    """Makes the steps."""
    options = json.loads(told)
    communicator = join(True) if options["ranks"] else None
    trainer = Trainer(
        folder / "artifacts",
        communicator=communicator,
        threads=options["threads"],
        device="cpu",
        compress=options["compress"],
    )
    data = np.load(folder / "data.npz")
    arrays = {name: data[name] for name in data}
    count = len(arrays["labels"])
    whole = BatchOrder(count, options["batch"], 0)
    order = ShareOfOrder(whole, communicator or ALONE)
    losses, seconds = [], []
    for step in range(options["steps"]):
        rows = order.rows(step)
        batch = {
            name: array[rows[::-1] if options["turned"] else rows] for name, array in arrays.items()
        }
        started = time.perf_counter()
        losses.append(trainer.train_step(batch, options["rate"]))
        seconds.append(time.perf_counter() - started)
    if communicator is not None:
        communicator.finish()
    if communicator is None or communicator.rank == 0:
        names = [each.name for each in trainer.manifest.parameters if each.trainable]
        np.savez(folder / "parameters.npz", **{name: trainer.tensor(name) for name in names})
        traffic = getattr(trainer._session, "traffic", None)
        told_of = {} if traffic is None else vars(traffic)
        print(json.dumps({"losses": losses, "seconds": seconds, "traffic": told_of}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
