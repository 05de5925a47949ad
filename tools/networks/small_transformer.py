"""A small transformer that classifies images by their patches, with one weight for each MatMul."""

from __future__ import annotations

import numpy as np
import onnx

from tools.networks.builder import Network

PATCHES, PATCH_SIZE = 64, 48  # 4x4 pixels of three colours, 8x8 patches of a 32x32 image
WIDTH, HEADS, HIDDEN, LAYERS = 128, 4, 256, 2
CLASSES = 10


def build(seed: int, layers: int = LAYERS) -> onnx.ModelProto:
    """image (batch, 64, 48), patches of an image -> probabilities (batch, 10)."""
    network = Network(seed)
    value = network.matmul("embedding", "image", PATCH_SIZE, WIDTH)
    for layer in range(1, layers + 1):
        name = f"layer{layer}"
        normalized = network.layer_normalization(f"{name}.norm1", value, WIDTH)
        value = network.node("Add", value, _attention(network, name, normalized))
        normalized = network.layer_normalization(f"{name}.norm2", value, WIDTH)
        hidden = network.relu(network.matmul(f"{name}.up", normalized, WIDTH, HIDDEN))
        value = network.node("Add", value, network.matmul(f"{name}.down", hidden, HIDDEN, WIDTH))
    pooled = network.node("ReduceMean", value, axes=[1], keepdims=0)
    logits = network.dense("head", pooled, WIDTH, CLASSES)
    return network.model("small_transformer", [PATCHES, PATCH_SIZE], logits, CLASSES)


def _attention(network: Network, name: str, value: str) -> str:
    """Each token from all tokens of the image, in several heads."""
    split = network.constant(
        f"{name}.split", np.array([0, PATCHES, HEADS, WIDTH // HEADS], np.int64)
    )
    joined = network.constant(f"{name}.joined", np.array([0, PATCHES, WIDTH], np.int64))

    def heads(part: str, order: list[int]) -> str:
        projected = network.matmul(f"{name}.{part}", value, WIDTH, WIDTH)
        return network.node("Transpose", network.node("Reshape", projected, split), perm=order)

    query, key = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])
    scale = network.constant(f"{name}.scale", np.array((WIDTH // HEADS) ** -0.5, np.float32))
    scores = network.node("Mul", network.node("MatMul", query, key), scale)
    weights = network.node("Softmax", scores, axis=-1)
    mixed = network.node("MatMul", weights, heads("value", [0, 2, 1, 3]))
    mixed = network.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return network.matmul(f"{name}.out", network.node("Reshape", mixed, joined), WIDTH, WIDTH)
