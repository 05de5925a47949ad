"""Before differentiation: training mode, parameters as inputs, one input for each use."""

from __future__ import annotations

import models
import onnx_ir as ir
import pytest

from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import (
    ParametersAsInputs,
    SplitParameterUses,
    TrainingMode,
)


def canonical(model: object) -> ir.Model:
    return canonicalize(ir.from_proto(model))  # type: ignore[call-overload]


def test_batch_normalization_gives_its_running_statistics() -> None:
    model = TrainingMode()(canonical(models.mlp())).model
    (node,) = (node for node in model.graph if node.op_type == "BatchNormalization")
    assert node.attributes["training_mode"].as_int() == 1
    assert len(node.outputs) == 3
    assert node.attributes["momentum"].as_float() == pytest.approx(0.9)


def test_dropout_gets_a_mask_and_keeps_its_ratio() -> None:
    model = TrainingMode()(canonical(models.dropout())).model
    (node,) = (node for node in model.graph if node.op_type == "Dropout")
    assert len(node.outputs) == 2
    assert float(node.inputs[1].const_value.numpy()) == 0.5
    assert bool(node.inputs[2].const_value.numpy())


def test_training_mode_needs_an_opset_that_has_it() -> None:
    with pytest.raises(ir.passes.PreconditionError):
        TrainingMode()(ir.from_proto(models.mlp(opset=13)))


def test_parameters_become_inputs_after_the_models_own() -> None:
    model = ParametersAsInputs(["fc2.weight", "fc1.bias"])(canonical(models.gemm())).model
    assert [value.name for value in model.graph.inputs] == ["x", "fc2.weight", "fc1.bias"]
    assert set(model.graph.initializers) == {"fc1.weight", "fc2.bias"}
    with pytest.raises(ir.passes.PreconditionError):
        ParametersAsInputs(["fc1.bias"])(model)


def test_a_shared_parameter_gets_an_input_for_each_use() -> None:
    names = ["shared.weight", "bias1"]
    model = ParametersAsInputs(names)(canonical(models.shared_weight())).model
    split = SplitParameterUses(names)
    split(model)
    assert split.copies == {
        "shared.weight": ["shared.weight/use_0", "shared.weight/use_1"],
        "bias1": ["bias1"],
    }
    uses = {value.name: len(list(value.uses())) for value in model.graph.inputs}
    assert uses == {"x": 1, "bias1": 1, "shared.weight/use_0": 1, "shared.weight/use_1": 1}
