"""The PyTorch side of `tools.lora_beside_torch`: exports a network, and trains adapters beside its layers.

python -m tools.lora_beside_torch.torch_side export|train NETWORK FOLDER
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.numpy import load_file
from torch import nn

BATCH, FEATURES, TOKENS, WIDTH, CLASSES = 32, 20, 12, 32, 5

# A and B by the name of the layer that they stand beside.
Factors = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Mlp(nn.Module):
    """x (batch, 20) -> logits (batch, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 64)
        self.second = nn.Linear(64, 64)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


class Transformer(nn.Module):
    """x (batch, 12, 20) -> logits (batch, 5), by one layer of attention of four heads."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(FEATURES, WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        normalized = self.norm1(x)
        query, key, value = (
            each(normalized).reshape(-1, TOKENS, 4, WIDTH // 4).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(2, 3) / (WIDTH // 4) ** 0.5, -1)
        x = x + self.out((weights @ value).transpose(1, 2).reshape(-1, TOKENS, WIDTH))
        x = x + self.down(torch.relu(self.up(self.norm2(x))))
        return self.head(x.mean(1))


class Adapted(nn.Module):
    """A linear layer with two factors beside it: W x + b + scaling B A x."""

    def __init__(self, layer: nn.Linear, down: np.ndarray, up: np.ndarray, scaling: float) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.from_numpy(down.T.copy()))
        self.up = nn.Parameter(torch.from_numpy(up.T.copy()))
        self.scaling = scaling

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = nn.functional.linear(nn.functional.linear(x, self.down), self.up)
        return self.layer(x) + self.scaling * change


NETWORKS = {"mlp": (Mlp, (FEATURES,)), "transformer": (Transformer, (TOKENS, FEATURES))}


def main() -> None:
    what, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    torch.manual_seed(0)
    kind, shape = NETWORKS[name]
    module = kind().eval()
    x = torch.randn(BATCH, *shape)
    labels = torch.randint(0, CLASSES, (BATCH,))
    if what == "export":
        axes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(
            module,
            (x,),
            folder / "model.onnx",
            input_names=["x"],
            dynamo=True,
            dynamic_shapes=axes,
        )
        np.savez(folder / "batch.npz", x=x.numpy(), labels=labels.numpy())
        return
    recipe = json.loads((folder / "recipe.json").read_text())
    factors = _factors(folder, module)
    losses = {"PyTorch": _train(_written_out(module, factors, recipe), x, labels, recipe)}
    if importlib.util.find_spec("peft") is not None:
        torch.manual_seed(0)
        losses["PEFT"] = _train(_by_peft(kind().eval(), factors, recipe), x, labels, recipe)
    (folder / "losses.json").write_text(json.dumps(losses))


def _factors(folder: Path, module: nn.Module) -> Factors:
    """A and B by the name of the layer, which is the one that has the weight beside which they stand."""
    adapter = load_file(folder / "adapter.safetensors")
    stored = {
        each.name: onnx.numpy_helper.to_array(each)
        for each in onnx.load(folder / "model.onnx").graph.initializer
    }
    found = {}
    for name in sorted({each.rpartition(".lora_")[0] for each in adapter}):
        for layer, each in module.named_modules():
            if not isinstance(each, nn.Linear):
                continue
            weight = each.weight.detach().numpy()
            if any(np.array_equal(turned, stored[name]) for turned in (weight, weight.T)):
                found[layer] = adapter[f"{name}.lora_A"], adapter[f"{name}.lora_B"]
    assert 2 * len(found) == len(adapter)
    return found


def _written_out(module: nn.Module, factors: Factors, recipe: Mapping[str, Any]) -> nn.Module:
    module.requires_grad_(requires_grad=False)
    for name, (down, up) in factors.items():
        setattr(
            module, name, Adapted(getattr(module, name), down, up, recipe["alpha"] / recipe["rank"])
        )
    return module


def _by_peft(module: nn.Module, factors: Factors, recipe: Mapping[str, Any]) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=recipe["rank"], lora_alpha=recipe["alpha"], target_modules=list(factors))
    wrapped = get_peft_model(module, config)
    with torch.no_grad():
        for name, (down, up) in factors.items():
            layer = wrapped.base_model.model.get_submodule(name)
            layer.lora_A["default"].weight.copy_(torch.from_numpy(down.T.copy()))
            layer.lora_B["default"].weight.copy_(torch.from_numpy(up.T.copy()))
    return wrapped


def _train(
    module: nn.Module, x: torch.Tensor, labels: torch.Tensor, recipe: Mapping[str, Any]
) -> list[float]:
    """The loss before each step."""
    trained = [each for each in module.parameters() if each.requires_grad]
    given = recipe["hyper_parameters"]
    if recipe["optimizer"] == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(trained, lr=recipe["rate"])
    else:
        optimizer = torch.optim.AdamW(
            trained,
            lr=recipe["rate"],
            betas=(given["beta_1"], given["beta_2"]),
            eps=given["stability"],
            weight_decay=given["weight_decay"],
        )
    losses = []
    for _ in range(recipe["steps"]):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


if __name__ == "__main__":
    main()
