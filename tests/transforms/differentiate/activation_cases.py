"""Settings of activations."""

from __future__ import annotations

from case import Case, case, real
from elementwise_cases import unary

ACTIVATIONS: dict[str, Case] = {
    "Celu": unary("Celu", alpha=1.5),
    "Elu": unary("Elu", alpha=0.7),
    "Gelu": unary("Gelu"),
    "Gelu tanh": unary("Gelu", approximate="tanh"),
    "HardSigmoid": unary("HardSigmoid", -4, 4, alpha=0.3),
    "HardSwish": unary("HardSwish", -5, 5),
    "LeakyRelu": unary("LeakyRelu"),
    "LeakyRelu falling": unary("LeakyRelu", alpha=-0.5),
    "LogSoftmax": unary("LogSoftmax"),
    "LogSoftmax of the first axis": case("LogSoftmax", real(3, 2, 4), axis=0, open=True),
    "Mish": unary("Mish"),
    "PRelu": case("PRelu", real(2, 3, 4), real(3, 1)),
    "PRelu, open": case("PRelu", real(2, 3, 4), real(1), open=True),
    "Relu": unary("Relu"),
    "Selu": unary("Selu"),
    "Selu of its own": unary("Selu", alpha=0.5, gamma=2.0),
    "Shrink": unary("Shrink", lambd=0.6, bias=0.2),
    "Sigmoid": unary("Sigmoid"),
    "Softmax": unary("Softmax"),
    "Softmax of the first axis": case("Softmax", real(3, 2, 4), axis=-3, open=True),
    "Softplus": unary("Softplus"),
    "Softsign": unary("Softsign"),
    "SwiGLU": case("SwiGLU", real(2, 3), real(2, 3), opset=28),
    "Swish": unary("Swish", opset=24, alpha=1.3),
    "ThresholdedRelu": unary("ThresholdedRelu", alpha=0.5),
}
