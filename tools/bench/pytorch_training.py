"""The networks of tools/networks in PyTorch, and training steps of them, to compare with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

MODES = ("eager", "channels_last", "compile")
RHO, EPSILON = 0.9, 1e-6


def training_step(
    model: nn.Module,
    optimizer: str,
    mode: str,
    image: np.ndarray,
    labels: np.ndarray,
    device: str = "cpu",
) -> Callable[[], float]:
    """A function that does one step and returns the loss.

    Args:
        model: gives logits, classes on axis 1; it is changed.
        optimizer: "sgd", "rmsprop", "adam", or "svgd": SGD on gradients behind T, with an autograd
            function for each layer.
        mode: one of MODES.
        image: the batch, float32, or token ids.
        labels: int64.
        device: where the model and the batch are, as PyTorch calls it.
    """
    if optimizer == "svgd":
        _insert_virtual_gradients(model)
    model.to(device)
    inputs, targets = (torch.from_numpy(array).to(device) for array in (image, labels))
    if mode == "channels_last" and inputs.ndim == 4:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    rule = {
        "sgd": lambda: torch.optim.SGD(parameters, lr=1e-4, fused=True),
        "svgd": lambda: torch.optim.SGD(parameters, lr=1e-4, fused=True),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, lr=1e-4),
        "adam": lambda: torch.optim.Adam(parameters, lr=1e-4, fused=True),
    }[optimizer]()
    loss_function = nn.CrossEntropyLoss()

    def forward() -> torch.Tensor:
        return loss_function(model(inputs), targets)

    compiled = torch.compile(forward) if mode == "compile" else forward

    def step() -> float:
        rule.zero_grad()
        loss = compiled()
        loss.backward()
        rule.step()
        return float(loss.item())

    return step


class VirtualLinear(torch.autograd.Function):
    """A linear layer whose weight's gradient is taken behind T."""

    @staticmethod
    def forward(context: Any, value: Any, weight: Any, bias: Any, r: Any) -> Any:
        context.save_for_backward(value, weight)
        context.r = r
        return nn.functional.linear(value, weight, bias)

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:  # type: ignore[override]
        value, weight = context.saved_tensors
        virtual = _virtual_gradient(gradient, context.r).flatten(0, -2)
        axes = tuple(range(gradient.ndim - 1))
        return gradient @ weight, virtual.T @ value.flatten(0, -2), gradient.sum(axes), None


class VirtualConvolution(torch.autograd.Function):
    """A convolution whose weight's gradient is taken behind T."""

    @staticmethod
    def forward(context: Any, value: Any, weight: Any, bias: Any, r: Any, layer: Any) -> Any:
        context.save_for_backward(value, weight)
        context.r, context.layer = r, layer
        return nn.functional.conv2d(value, weight, bias, layer.stride, layer.padding)

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:  # type: ignore[override]
        value, weight = context.saved_tensors
        layer = context.layer

        def gradients(output_gradient: Any, wanted: list[bool]) -> Any:
            return torch.ops.aten.convolution_backward(
                output_gradient,
                value,
                weight,
                [weight.shape[0]],
                layer.stride,
                layer.padding,
                [1, 1],
                False,
                [0, 0],
                1,
                wanted,
            )

        below, _, bias = gradients(gradient, [True, False, layer.bias is not None])
        _, of_weight, _ = gradients(_virtual_gradient(gradient, context.r), [False, True, False])
        return below, of_weight, bias, None, None


def _virtual_gradient(gradient: torch.Tensor, r: list[torch.Tensor]) -> torch.Tensor:
    mean = gradient.square().mean(0)
    if not r:
        r.append(torch.zeros_like(mean))
    r[0].mul_(RHO).add_(mean, alpha=1 - RHO)
    return gradient * (r[0] + EPSILON).rsqrt()


def _insert_virtual_gradients(model: nn.Module) -> None:
    """Gives each linear layer and each convolution T, and an r."""
    for layer in model.modules():
        r: list[torch.Tensor] = []
        if isinstance(layer, nn.Linear):
            layer.forward = lambda value, layer=layer, r=r: VirtualLinear.apply(  # type: ignore
                value, layer.weight, layer.bias, r
            )
        elif isinstance(layer, nn.Conv2d):
            layer.forward = lambda value, layer=layer, r=r: VirtualConvolution.apply(  # type: ignore
                value, layer.weight, layer.bias, r, layer
            )


def paper_mlp() -> nn.Module:
    widths = (784, 256, 128, 64, 32)
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


def paper_vgg() -> nn.Module:
    layers: list[nn.Module] = []
    for block, (first, middle, last) in enumerate(((3, 3, 16), (16, 16, 32), (32, 128, 128))):
        widths = (first, middle, last) if block < 2 else (first, last)
        if block:
            layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)]
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers.append(nn.BatchNorm2d(last))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


class Block(nn.Module):
    """Twice BatchNorm, ReLU, Conv; more channels mean half the height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.missing = outputs - inputs
        stride = 2 if self.missing else 1
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.ZeroPad2d((0, 1, 0, 1)) if self.missing else nn.Identity(),
            nn.Conv2d(inputs, outputs, 3, stride, 0 if self.missing else 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        residual: torch.Tensor = self.residual(value)
        if self.missing:
            value = nn.functional.avg_pool2d(value, 2)
            half = self.missing // 2
            value = nn.functional.pad(value, (0, 0, 0, 0, half, self.missing - half))
        return value + residual


def paper_resnet20(channels: int = 16) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
    for outputs in (channels, 2 * channels, 4 * channels):
        for _ in range(3):
            layers.append(Block(channels, outputs))
            channels = outputs
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, 10))


class Attention(nn.Module):
    """Each token from all tokens, in several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        parts = [
            layer(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        mixed = nn.functional.scaled_dot_product_attention(*parts)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """A transformer layer, normalized first."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        value = value + self.attention(value)
        return value + self.mlp(value)  # type: ignore[no-any-return]


class Mean(nn.Module):
    """The mean over tokens."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value.mean(1)


def transformer() -> nn.Module:
    from tools.networks import small_transformer as sizes  # needs onnx, and the others do not

    layers = [Layer(sizes.WIDTH, sizes.HEADS, sizes.HIDDEN) for _ in range(sizes.LAYERS)]
    return nn.Sequential(
        nn.Linear(sizes.PATCH_SIZE, sizes.WIDTH),
        *layers,
        Mean(),
        nn.Linear(sizes.WIDTH, sizes.CLASSES),
    )


class Logits(nn.Module):
    """A module of transformers: token ids -> logits, classes on axis 1; no Dropout."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.module(input_ids=tokens).logits.movedim(-1, 1)  # type: ignore[no-any-return]


def resnet50() -> nn.Module:
    from tools.exporter_defaults.resnet50 import ResNet50

    return ResNet50()


def bert_4_layers() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return Logits(BertForSequenceClassification(BertConfig(num_hidden_layers=4)))


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return Logits(GPT2LMHeadModel(GPT2Config(use_cache=False)))


NETWORKS = {
    "paper_mlp": paper_mlp,
    "paper_vgg": paper_vgg,
    "paper_resnet20": paper_resnet20,
    "small_transformer": transformer,
    "resnet50": resnet50,
    "bert_4_layers": bert_4_layers,
    "gpt2": gpt2,
}
