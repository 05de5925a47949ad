"""Networks as inference-style ONNX exports with random weights, written without a framework."""

from __future__ import annotations

from tools.networks import (
    digits_cnn,
    digits_mlp,
    paper_mlp,
    paper_resnet20,
    paper_vgg,
    small_transformer,
)

NETWORKS = {
    "digits_cnn": digits_cnn.build,
    "digits_mlp": digits_mlp.build,
    "paper_mlp": paper_mlp.build,
    "paper_resnet20": paper_resnet20.build,
    "paper_vgg": paper_vgg.build,
    "small_transformer": small_transformer.build,
}
