"""The networks that are exported, each with a batch of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import transformers
from torch import nn
from torch.fx.experimental import optimization

from tools.exporter_defaults.resnet50 import ResNet50

BATCH, LENGTH = 2, 64


@dataclass(frozen=True)
class Network:
    """A module as it is exported.

    Attributes:
        module: in inference mode; gives logits, or has them as `.logits`.
        inputs: one batch, under the names of `forward`.
        labels: the classes of that batch.
        open_axes: the names of axes that may have any size, by input; None where the exporter's
            default, which fixes all, is left.
        class_axis: of the logits.
    """

    module: nn.Module
    inputs: Mapping[str, torch.Tensor]
    labels: torch.Tensor
    open_axes: Mapping[str, Mapping[int, str]] | None = None
    class_axis: int = 1

    def loss(self, module: nn.Module) -> torch.Tensor:
        """The mean cross-entropy that a module of the same inputs has on the batch."""
        dtype = next(module.parameters()).dtype
        inputs = {
            name: each.to(dtype) if each.is_floating_point() else each
            for name, each in self.inputs.items()
        }
        output = module(**inputs)
        logits = output if isinstance(output, torch.Tensor) else output.logits
        return nn.functional.cross_entropy(logits.movedim(self.class_axis, 1), self.labels)


class Recurrent(nn.Module):
    """Classes by the last output of an LSTM or GRU: (N, 32, 64) -> (N, 10)."""

    def __init__(self, layer: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.layer = layer(64, 128, batch_first=True, **options)
        self.head = nn.Linear(256 if options.get("bidirectional") else 128, 10)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(self.layer(sequence)[0][:, -1])


def _recurrent(layer: type[nn.Module], **options: Any) -> Network:
    inputs = {"sequence": torch.randn(BATCH, 32, 64)}
    return Network(Recurrent(layer, **options).eval(), inputs, torch.tensor([3, 8]))


def _gpt2() -> Network:
    config = transformers.GPT2Config(use_cache=False)
    tokens = torch.randint(0, config.vocab_size, (BATCH, LENGTH + 1))
    return Network(
        transformers.GPT2LMHeadModel(config).eval(),
        {"input_ids": tokens[:, :-1].contiguous()},
        tokens[:, 1:].contiguous(),
        class_axis=2,
    )


def _bert(*, is_open: bool) -> Network:
    config = transformers.BertConfig()
    inputs = {
        "input_ids": torch.randint(0, config.vocab_size, (BATCH, LENGTH)),
        "attention_mask": torch.ones(BATCH, LENGTH, dtype=torch.int64),
    }
    inputs["attention_mask"][1, LENGTH // 2 :] = 0
    axes = {name: {0: "batch", 1: "length"} for name in inputs} if is_open else None
    module = transformers.BertForSequenceClassification(config).eval()
    return Network(module, inputs, torch.tensor([0, 1]), axes)


def _resnet50() -> Network:
    inputs = {"image": torch.randn(BATCH, 3, 224, 224)}
    return Network(ResNet50().eval(), inputs, torch.tensor([17, 901]))


NETWORKS: Mapping[str, Callable[[], Network]] = {
    "lstm": partial(_recurrent, nn.LSTM),
    "gru": partial(_recurrent, nn.GRU),
    "lstm_two_layers_bidirectional": partial(_recurrent, nn.LSTM, num_layers=2, bidirectional=True),
    "resnet50": _resnet50,
    "bert": partial(_bert, is_open=False),
    "bert_open": partial(_bert, is_open=True),
    "gpt2": _gpt2,
}


# A channel's shift before a ReLU is moved by no more than this.
_NEAR = 0.1


def moved(network: Network) -> None:
    """Leaves a module as training may: no scales of 1 and shifts of 0, and statistics of the data.

    Of a new one the exporter drops biases of 0, and stores equal vectors once. No value of the batch is left
    at the kink of a ReLU: rounding would decide on which side it is, and so what the gradient is.
    """
    module = network.module
    with torch.no_grad():
        for parameter in module.parameters():
            if (parameter == parameter.flatten()[0]).all():
                parameter.add_(0.05 * torch.randn_like(parameter))
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.momentum = None  # the mean of all batches
                each.train()
        network.loss(module)
        module.eval()
        _leave_kinks(network)


def _leave_kinks(network: Network) -> None:
    """Moves the shift of each BatchNormalization so that 0 is amid the widest gap near it at the next ReLU."""
    last: list[nn.BatchNorm2d] = []

    def remember(module: nn.BatchNorm2d, *_: Any) -> None:
        last[:] = [module]

    def move(_: nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        shift = torch.stack([_from_gap(channel) for channel in given[0].transpose(0, 1)])
        last[0].bias.add_(shift)
        return (given[0] + shift[:, None, None],)

    hooks = []
    for each in network.module.modules():
        if isinstance(each, nn.BatchNorm2d):
            hooks.append(each.register_forward_hook(remember))
        elif isinstance(each, nn.ReLU):
            hooks.append(each.register_forward_pre_hook(move))
    network.loss(network.module)
    for hook in hooks:
        hook.remove()


def _from_gap(values: torch.Tensor) -> torch.Tensor:
    """How far the widest gap near 0 lies from it."""
    near = values[values.abs() < _NEAR]
    ends = torch.tensor([-_NEAR, _NEAR])
    edges = torch.cat([near, ends]).sort().values
    widest = edges.diff().argmax()
    return -(edges[widest] + edges[widest + 1]) / 2


def joined(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by parameter, as the exporter joins them: the biases of all directions of a recurrent layer.

    It puts gates into ONNX's order besides, which `matching` undoes by the numbers.
    """
    found = dict(tensors)
    for path, each in module.named_modules():
        if isinstance(each, nn.RNNBase):
            for layer in range(each.num_layers):
                names = [name for name in found if f"{path}.bias" in name and f"_l{layer}" in name]
                vectors = [found.pop(name) for name in names]
                found[f"{path}.bias_l{layer}"] = torch.cat(vectors)
    return found


def folded(module: nn.Module) -> nn.Module:
    """The module in float64, BatchNormalization in its convolutions, as the exporter folds it."""
    double = module.double()
    if any(isinstance(each, nn.BatchNorm2d) for each in module.modules()):
        double = optimization.fuse(double)
    return double.requires_grad_(True)
