"""Optimizer graphs for onnxruntime's training session.

The session knows two optimizer operators, `SGDOptimizerV2` and `AdamWOptimizer` (1.19,
orttraining/training_api/optimizer.cc), keeps the state that they need, and saves it. Momentum SGD
and RMSProp are AdamW at special values of its attributes, exactly:

    AdamW:     m <- alpha m + (1 - alpha) g,  v <- beta v + (1 - beta) g^2,
               w <- w - rate * m / (sqrt(v) + epsilon)         (no bias correction)
    momentum:  alpha = mu, beta = 1, epsilon = 1 - mu.  v stays 0, so
               w <- w - rate * m / (1 - mu), and m / (1 - mu) = mu * (its last value) + g.
    RMSProp:   alpha = 0, so m = g.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

_SGD_INPUTS = ("learning_rate", "step", "params", "gradients", "first_order_moments")
_ADAMW_INPUTS = (*_SGD_INPUTS, "second_order_moments")

# Hyper-parameters in, AdamWOptimizer's attributes out.
_Attributes = Callable[[Mapping[str, float]], dict[str, float]]


@dataclass(frozen=True)
class Optimizer:
    """An update rule.

    Attributes:
        defaults: its hyper-parameters and their default values.
        state_tensors: tensors of a parameter's shape that the rule itself needs for each parameter.
        attributes: those of AdamWOptimizer, or None for SGDOptimizerV2.
    """

    defaults: Mapping[str, float]
    state_tensors: int
    attributes: _Attributes | None


def _momentum(values: Mapping[str, float]) -> dict[str, float]:
    return {"alpha": values["momentum"], "beta": 1.0, "epsilon": 1.0 - values["momentum"]}


def _rmsprop(values: Mapping[str, float]) -> dict[str, float]:
    return {"alpha": 0.0, "beta": values["decay"], "epsilon": values["stability"]}


def _adamw(values: Mapping[str, float]) -> dict[str, float]:
    return {
        "alpha": values["beta_1"],
        "beta": values["beta_2"],
        "epsilon": values["stability"],
        "weight_decay": values["weight_decay"],
    }


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer({}, 0, None),
    "momentum": Optimizer({"momentum": 0.9}, 1, _momentum),
    "rmsprop": Optimizer({"decay": 0.9, "stability": 1e-8}, 1, _rmsprop),
    "adamw": Optimizer(
        {"beta_1": 0.9, "beta_2": 0.999, "stability": 1e-8, "weight_decay": 0.0}, 2, _adamw
    ),
}
"""Update rules by name:

sgd       w <- w - rate * g
momentum  m <- momentum * m + g;  w <- w - rate * m
rmsprop   v <- decay * v + (1 - decay) * g^2;  w <- w - rate * g / (sqrt(v) + stability)
adamw     Loshchilov and Hutter, arXiv 1711.05101, with bias correction
"""


def optimizer_model(name: str, hyper_parameters: Mapping[str, float], opset: int) -> ir.Model:
    """The optimizer graph, updating sequences of parameters in place.

    Args:
        name: a key of `OPTIMIZERS`.
        hyper_parameters: values for all of the rule's `defaults`.
        opset: version of the default domain to declare.

    Returns:
        A model with the inputs and the output (one flag) that onnxruntime's Optimizer expects.
    """
    rule = OPTIMIZERS[name]
    if rule.attributes is None:
        inputs = [_input(input_name) for input_name in _SGD_INPUTS]
        rate, _, parameters, gradients, _ = inputs
        node = ir.node(
            "SGDOptimizerV2", [rate, parameters, gradients], domain="com.microsoft", name=name
        )
    else:
        inputs = [_input(input_name) for input_name in _ADAMW_INPUTS]
        attributes = _adamw_attributes(name, rule.attributes(hyper_parameters))
        node = ir.node("AdamWOptimizer", inputs, attributes, domain="com.microsoft", name=name)
    updated = node.outputs[0]
    updated.name, updated.dtype, updated.shape = "updated", ir.DataType.BOOL, ir.Shape([1])
    graph = ir.Graph(
        inputs,
        [updated],
        nodes=[node],
        opset_imports={"": opset, "com.microsoft": 1},
        name=f"{name}_optimizer",
    )
    return ir.Model(graph, ir_version=8, producer_name="svgd-onnx")


def _adamw_attributes(name: str, attributes: dict[str, float]) -> dict[str, float | int]:
    return {
        "weight_decay": 0.0,
        **attributes,
        # adam_mode 1 adds epsilon to the root itself and lets bias correction be switched off
        "adam_mode": 0 if name == "adamw" else 1,
        "correct_bias": 1 if name == "adamw" else 0,
    }


def _input(name: str) -> ir.Value:
    if name == "learning_rate":
        return ir.val(name, ir.DataType.FLOAT, [1])
    if name == "step":
        return ir.val(name, ir.DataType.INT64, [1])
    return ir.val(name, type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
