"""Low-rank adapters trained by svgd-onnx, beside the same written in PyTorch.

    python -m tools.lora_beside_torch [--torch PYTHON] [--steps N]

An MLP and a transformer are exported by `torch.onnx.export` with its defaults, converted with adapters of rank
4 on all linear layers but the head, for both targets, and trained by SGD and AdamW on one batch. In PyTorch
(torch_side.py) each linear layer has the same factors beside it, which begin with the same numbers: written
out, and where it is installed by PEFT too. "Difference" is the largest between losses of one step, of all
steps. The exit code is 1 if one is more than 1e-4.

PYTHON is an interpreter with torch, onnx and onnxscript; by default this one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import svgd_onnx
from svgd_onnx.errors import Advice
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.adapter_file import export_adapter

NETWORKS = ("mlp", "transformer")
RATES = {"sgd": 0.1, "adamw": 3e-3}
RANK, ALPHA = 4, 8
BAR = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lora_beside_torch", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", Advice)
    table = Table(title=f"rank {RANK}, alpha {ALPHA}, {arguments.steps} steps")
    for column in (
        "network",
        "optimizer",
        "target",
        "beside",
        "adapters",
        "first loss",
        "last loss",
    ):
        table.add_column(column)
    table.add_column("difference", justify="right")
    largest = 0.0
    for network in NETWORKS:
        for optimizer in RATES:
            with tempfile.TemporaryDirectory() as folder:
                for row, difference in _rows(Path(folder), network, optimizer, arguments):
                    table.add_row(*row, f"{difference:.1e}")
                    largest = max(largest, difference)
    Console(width=120).print(table)
    return int(not largest <= BAR)


def _rows(
    folder: Path, network: str, optimizer: str, arguments: argparse.Namespace
) -> list[tuple[list[str], float]]:
    def torch_side(*given: str) -> None:
        line = [arguments.torch, "-m", "tools.lora_beside_torch.torch_side"]
        subprocess.run([*line, *given, network, str(folder)], check=True, stdout=sys.stderr)

    torch_side("export")
    batch = dict(np.load(folder / "batch.npz"))
    losses, count = {}, 0
    for target in TARGETS:
        artifacts = folder / target
        manifest = svgd_onnx.convert(
            folder / "model.onnx",
            artifacts,
            target=target,
            optimizer=optimizer,
            weight_decay=0.01 if optimizer == "adamw" else 0.0,
            lora=RANK,
            lora_alpha=ALPHA,
        )
        assert manifest.lora is not None
        count = len(manifest.lora.adapters)
        export_adapter(artifacts, folder / "adapter.safetensors")
        trainer = svgd_onnx.Trainer(artifacts)
        losses[target] = [
            trainer.train_step(batch, RATES[optimizer]) for _ in range(arguments.steps)
        ]
    (folder / "recipe.json").write_text(
        json.dumps(
            {
                "optimizer": optimizer,
                "rate": RATES[optimizer],
                "steps": arguments.steps,
                "hyper_parameters": manifest.hyper_parameters,
                "rank": RANK,
                "alpha": ALPHA,
            }
        )
    )
    torch_side("train")
    found = json.loads((folder / "losses.json").read_text())
    return [
        (
            [network, optimizer, target, kind, str(count), f"{ours[0]:.6f}", f"{ours[-1]:.6f}"],
            float(np.abs(np.subtract(ours, others)).max()),
        )
        for target, ours in losses.items()
        for kind, others in found.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
