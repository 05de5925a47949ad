"""What training on mapped data takes: resident memory, and the share of time that steps wait for data.

    python -m tools.bench.data_loading --gigabytes 6 --steps 200 --workers 2

Random images of 32 x 32 bytes lie in a folder of `.npy` files, which is made in a temporary folder (of
`--folder`) and removed at the end. The paper's VGG is trained on them, with random crops,
flips and normalization.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

import svgd_onnx
from tools.networks import NETWORKS
from tools.usual_models import memory

_IMAGE = (32, 32, 3)
_PIECE = 1 << 14  # images that are written at once
_TRANSFORM = "random-crop=32,pad=4,flip,normalize=imagenet"


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.data_loading",
        description="Train on mapped data; print memory and waiting.",
    )
    parser.add_argument("--gigabytes", type=float, default=6, help="of images (default 6)")
    parser.add_argument("--steps", type=int, default=200, help="of training (default 200)")
    parser.add_argument("--batch-size", type=int, default=128, help="default 128")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--folder", type=Path, help="where the data is put for a while")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        count = write_images(folder / "data", arguments.gigabytes)
        print(f"{count:,} images, {arguments.gigabytes:g} GB, batches of {arguments.batch_size}")
        print("workers   steps/s   waiting   memory of its own   with pages of files")
        for workers in arguments.workers:
            print(measured(folder, arguments.steps, arguments.batch_size, workers), flush=True)


def write_images(folder: Path, gigabytes: float) -> int:
    """Writes random images and labels; gives how many."""
    folder.mkdir()
    count = max(_PIECE, int(gigabytes * 1e9 / np.prod(_IMAGE)))
    random = np.random.default_rng(0)
    images = np.lib.format.open_memmap(folder / "image.npy", "w+", np.uint8, (count, *_IMAGE))
    for start in range(0, count, _PIECE):
        part = images[start : start + _PIECE]
        part[:] = np.frombuffer(random.bytes(part.size), np.uint8).reshape(part.shape)
    images.flush()
    np.save(folder / "labels.npy", random.integers(0, 10, count))
    return count


def measured(folder: Path, steps: int, batch_size: int, workers: int) -> str:
    """A line of the table: a training of its own, with so many workers."""
    artifacts = folder / f"artifacts-{workers}"
    onnx.save(NETWORKS["paper_vgg"](0), folder / "vgg.onnx")
    svgd_onnx.convert(folder / "vgg.onnx", artifacts, verify=False)
    trainer = svgd_onnx.Trainer(artifacts)
    data = svgd_onnx.load_data(folder / "data", transform=_TRANSFORM)
    options = {"batch_size": batch_size, "learning_rate": 0.01, "workers": workers}
    # what onnxruntime sets up at the first steps does not count
    trainer.train(data, steps=3, **options)
    before = memory.own(), memory.resident()
    started = time.perf_counter()
    trainer.train(data, steps=3 + steps, resume=True, **options)
    seconds = time.perf_counter() - started
    own, whole = (after - at for after, at in zip((memory.own(), memory.resident()), before))
    return (
        f"{workers:7} {steps / seconds:9.2f} {trainer.waiting:9.1%} {own / 1e6:+16.1f} MB "
        f"{whole / 1e6:+18.1f} MB"
    )


if __name__ == "__main__":
    main()
