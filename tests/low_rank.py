"""Models with low-rank adapters: trained, and what comes out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnxruntime
import quantized_models

import svgd_onnx

TARGETS = ["ort-training", "onnx"]

NETWORKS = {
    "Gemm, weights (outputs, inputs)": models.mlp,
    "MatMul, weights (inputs, outputs)": models.matmul_add,
    "Conv": models.convolutional,
    "Conv before BatchNormalization": models.residual,
}


def weights_of(path: Path) -> dict[str, np.ndarray]:
    return {
        each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer
    }


def predictions(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()  # its products of integers round in places of their own
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    (given,) = session.run(None, {each.name: arrays[each.name] for each in session.get_inputs()})
    return given


def cross_entropy(given: np.ndarray, labels: np.ndarray, *, logits: bool) -> float:
    if logits:
        given = np.exp(given - given.max(1, keepdims=True))
        given = given / given.sum(1, keepdims=True)
    return float(-np.log(given[np.arange(len(labels)), labels]).mean())


def trained(
    model: onnx.ModelProto | Path, folder: Path, rate: float = 0.3, **settings: Any
) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, float]]:
    """Converts and trains: the data, and what `evaluate` gives before and after."""
    svgd_onnx.convert(model, folder, **{"lora": 2, "target": "onnx", **settings})
    proto = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
    arrays = models.examples(proto, 32)
    trainer = svgd_onnx.Trainer(folder)
    before = trainer.evaluate(arrays)
    trainer.train(arrays, steps=50, batch_size=32, learning_rate=rate)
    return arrays, before, trainer.evaluate(arrays)


QUANTIZED = {
    "DequantizeLinear": quantized_models.trunk,
    "MatMulNBits": lambda: quantized_models.few_bits(4, zero_points=True),
}
