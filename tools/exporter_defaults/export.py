"""Exports one network, and writes down what autograd makes of a batch.

python -m tools.exporter_defaults.export NAME new|moved FOLDER
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tools.exporter_defaults.networks import NETWORKS, Network, folded, joined, moved

MODEL, BATCH, VALUES = "model.onnx", "batch.npz", "values.npz"
GRADIENTS, GRADIENTS_IN_SINGLE = "gradients.npz", "gradients_in_single.npz"


def main() -> None:
    name, kind, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    torch.manual_seed(0)
    network = NETWORKS[name]()
    if kind == "moved":
        moved(network)
    _export(network, folder / MODEL)
    inputs = {key: value.numpy() for key, value in network.inputs.items()}
    np.savez(folder / BATCH, labels=network.labels.numpy(), **inputs)
    double = folded(network.module)
    single = copy.deepcopy(double).float()
    _save(folder / VALUES, single, dict(single.named_parameters()))
    _save(folder / GRADIENTS, double, _gradients(network, double))
    _save(folder / GRADIENTS_IN_SINGLE, single, _gradients(network, single))


def _export(network: Network, path: Path) -> None:
    """`torch.onnx.export` as it is called by default."""
    options = {} if network.open_axes is None else {"dynamic_shapes": network.open_axes}
    kwargs = dict(network.inputs)
    torch.onnx.export(network.module, (), path, kwargs=kwargs, dynamo=True, **options)


def _gradients(network: Network, module: nn.Module) -> dict[str, torch.Tensor]:
    """By parameter."""
    network.loss(module).backward()
    return {
        name: each.grad.float() for name, each in module.named_parameters() if each.grad is not None
    }


def _save(path: Path, module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    arrays = {name: each.detach().numpy() for name, each in joined(module, tensors).items()}
    np.savez(path, **arrays)


if __name__ == "__main__":
    main()
