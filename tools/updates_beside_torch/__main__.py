"""Updates of parameters beside PyTorch's: each optimizer, weight decay, rates by group, clipping, averages.

    python -m tools.updates_beside_torch [--torch PYTHON]

A small network of two layers takes 50 steps by each setting, for both targets and with the kernels of either
form, and in PyTorch, which may be in another environment: the Python there. LAMB and Lion, which PyTorch has
not, are written out in `pytorch_worker`. "Difference" is the largest relative one of the batches' losses, "at
the end" that of the loss over all batches by the final parameters, or by their average. Ends with exit code 1
if one is more than 1e-4.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from rich.console import Console
from rich.table import Table

import svgd_onnx
from svgd_onnx.targets import TARGETS
from tools.updates_beside_torch.settings import (
    BATCH_SIZE,
    CLASSES,
    HIDDEN,
    INPUTS,
    RATES,
    SETTINGS,
    STEPS,
)

BAR = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default=sys.executable, help="a Python with PyTorch")
    arguments = parser.parse_args()
    table = Table("setting", "target", "kernels", "last loss", "difference", "at the end")
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = made_up_data()
        np.savez(folder / "data.npz", **data)
        worker = "tools.updates_beside_torch.pytorch_worker"
        files = (folder / "data.npz", folder / "losses.npz")
        subprocess.run([arguments.torch, "-m", worker, *map(str, files)], check=True)
        with np.load(folder / "losses.npz") as expected:
            for name, options in SETTINGS.items():
                for target in TARGETS:
                    artifacts = folder / f"{name} {target}"
                    svgd_onnx.convert(
                        network(data), artifacts, target=target, verify=False, **options
                    )
                    for kernels in ("standard", "fast"):
                        found = losses(artifacts, data, RATES[options["optimizer"]], kernels)
                        apart = np.abs(found / expected[name] - 1)
                        worst = max(worst, apart.max())
                        numbers = (f"{apart[:-1].max():.1e}", f"{apart[-1]:.1e}")
                        table.add_row(name, target, kernels, f"{found[-2]:.5f}", *numbers)
    Console(width=110).print(table)
    print(f"The largest difference is {worst:.1e}.")
    sys.exit(int(worst > BAR))


def made_up_data() -> dict[str, np.ndarray]:
    """Batches, and the parameters to begin with."""
    random = np.random.default_rng(0)
    x = random.standard_normal((STEPS, BATCH_SIZE, INPUTS)).astype(np.float32)
    rule = random.standard_normal((INPUTS, CLASSES))
    shapes = {
        "first.weight": (HIDDEN, INPUTS),
        "first.bias": (HIDDEN,),
        "second.weight": (CLASSES, HIDDEN),
        "second.bias": (CLASSES,),
    }
    weights = {name: 0.2 * random.standard_normal(shape) for name, shape in shapes.items()}
    return {
        "x": x,
        "labels": (x @ rule).argmax(-1),
        **{name: array.astype(np.float32) for name, array in weights.items()},
    }


def network(data: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The network as an exporter writes it."""
    names = ("first.weight", "first.bias", "second.weight", "second.bias")
    nodes = [
        helper.make_node("Gemm", ["x", *names[:2]], ["hidden"], transB=1),
        helper.make_node("Tanh", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", *names[2:]], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", INPUTS])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(data[name], name) for name in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def losses(folder: Path, data: dict[str, np.ndarray], rate: float, kernels: str) -> np.ndarray:
    """The loss of each batch, and that of all of them at the end."""
    trainer = svgd_onnx.Trainer(folder, threads=1, kernels=kernels)
    found = [
        trainer.train_step({"x": data["x"][step], "labels": data["labels"][step]}, rate)
        for step in range(STEPS)
    ]
    whole = {"x": data["x"].reshape(-1, INPUTS), "labels": data["labels"].reshape(-1)}
    return np.array([*found, trainer.evaluate(whole)["loss"]])


if __name__ == "__main__":
    main()
