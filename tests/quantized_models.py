"""Quantized models, in the forms that quantizers write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType


class _Batches(CalibrationDataReader):
    def __init__(self, model: onnx.ModelProto) -> None:
        batch = models.examples(model, 32)
        del batch["labels"]
        self._batches = iter([batch])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def statically(
    network: Callable[[], onnx.ModelProto], folder: Path, *, per_channel: bool, weights: QuantType
) -> onnx.ModelProto:
    """A network as onnxruntime's quantize_static writes it, with pairs of quantize and dequantize."""
    model = network()
    onnx.save(model, folder / "float.onnx")
    quantization.quantize_static(
        folder / "float.onnx",
        folder / "qdq.onnx",
        _Batches(model),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        weight_type=weights,
        activation_type=weights,
    )
    return onnx.load(folder / "qdq.onnx")


def dynamically(network: Callable[[], onnx.ModelProto], folder: Path) -> onnx.ModelProto:
    """A network as onnxruntime's quantize_dynamic writes it: DynamicQuantizeLinear, MatMulInteger, …"""
    onnx.save(network(), folder / "float.onnx")
    quantization.quantize_dynamic(
        folder / "float.onnx", folder / "dynamic.onnx", weight_type=QuantType.QUInt8
    )
    return onnx.load(folder / "dynamic.onnx")


def trunk(opset: int = 17) -> onnx.ModelProto:
    """x -> quantized Conv with quantized weights -> Relu -> pooled -> Gemm of float32 -> logits."""
    net = models.Network()
    random = np.random.default_rng(2)
    net.constant("x.scale", np.array(0.02, np.float32))
    net.constant("x.zero", np.array(128, np.uint8))
    net.constant("w.scale", random.uniform(0.01, 0.02, 3).astype(np.float32))
    net.constant("w.zero", np.zeros(3, np.int8))
    net.constant("w.int8", random.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8))
    value = net.node("QuantizeLinear", "image", "x.scale", "x.zero")
    value = net.node("DequantizeLinear", value, "x.scale", "x.zero")
    weight = net.node("DequantizeLinear", "w.int8", "w.scale", "w.zero", axis=0, output="w")
    value = net.node("Conv", value, weight, kernel_shape=[3, 3])
    value = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", value)))
    net.node(
        "Gemm", value, net.weight("head.weight", 3, 4), net.weight("head.bias", 4), output="logits"
    )
    return net.model({"image": ("batch", 2, 6, 6)}, {"logits": ("batch", 4)}, opset)


def cast_weights() -> onnx.ModelProto:
    """x -> MatMul with int8 numbers cast and multiplied by a scale -> MatMul of float32 -> logits."""
    net = models.Network()
    random = np.random.default_rng(3)
    net.constant("w.int8", random.integers(-128, 128, (6, 5)).astype(np.int8))
    net.constant("w.scale", random.uniform(0.01, 0.02, 5).astype(np.float32))
    weight = net.node("Cast", "w.int8", to=onnx.TensorProto.FLOAT, output="w.float")
    value = net.node("MatMul", "x", net.node("Mul", weight, "w.scale"))
    net.node("MatMul", value, net.weight("head.weight", 5, 4), output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})


def few_bits(bits: int, *, zero_points: bool) -> onnx.ModelProto:
    """x -> MatMul -> Relu -> onnxruntime's MatMulNBits -> Add -> MatMul -> logits."""
    net, random = models.Network(), np.random.default_rng(4)
    rows, columns, block = 40, 12, 16
    blocks = -(-rows // block)
    packed = random.integers(0, 256, (columns, blocks, block * bits // 8))
    inputs = [net.constant("packed", packed.astype(np.uint8))]
    scales = random.uniform(0.01, 0.1, columns * blocks)
    inputs.append(net.constant("scales", scales.astype(np.float32)))
    if zero_points:
        zeros = random.integers(0, 256, columns * -(-blocks * bits // 8))
        inputs.append(net.constant("zeros", zeros.astype(np.uint8)))
    value = net.node("Relu", net.node("MatMul", "x", net.weight("first.weight", 6, rows)))
    sizes = {"K": rows, "N": columns, "bits": bits, "block_size": block}
    value = net.node("MatMulNBits", value, *inputs, domain="com.microsoft", **sizes)
    value = net.node("Relu", net.node("Add", value, net.weight("bias", columns)))
    net.node("MatMul", value, net.weight("head.weight", columns, 4), output="logits")
    inputs_of_model, outputs = {"x": ("batch", 6)}, {"logits": ("batch", 4)}
    return net.model(inputs_of_model, outputs, domains=["com.microsoft"], check=False)
