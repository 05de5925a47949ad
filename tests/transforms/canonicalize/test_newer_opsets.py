"""Models of opsets after 21: the same at 21, or a sentence."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from onnx.defs import onnx_opset_version
from onnx.reference import ReferenceEvaluator

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.canonicalize import Opset, canonicalize
from svgd_onnx.transforms.parameters import select_parameters

NEWEST = onnx_opset_version()


def of_one_node(
    op_type: str,
    *shapes: tuple[int, ...],
    opset: int,
    out: int = TensorProto.FLOAT,
    **attributes: object,
) -> onnx.ModelProto:
    if opset > NEWEST:
        pytest.skip(f"the onnx package knows opsets up to {NEWEST}")
    names = [f"x{place}" for place in range(len(shapes))]
    node = helper.make_node(op_type, names, ["y"], name="node", **attributes)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(names, shapes)
    ]
    output = helper.make_tensor_value_info("y", out, None)
    graph = helper.make_graph([node], "one", infos, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def attention(opset: int = 23) -> onnx.ModelProto:
    """A causal Attention of two heads between two matrix products: x (batch, 4, 6) -> y (batch, 4, 3)."""
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 6))
    value = net.node("Reshape", value, net.constant("split", np.array([0, 4, 2, 3])))
    value = net.node("Transpose", value, perm=[0, 2, 1, 3])
    value = net.node("Attention", value, value, value, is_causal=1)
    value = net.node("Transpose", value, perm=[0, 2, 1, 3])
    value = net.node("Reshape", value, net.constant("joined", np.array([0, 4, 6])))
    value = net.node("RMSNormalization", value, net.weight("scale", 6, mean=1))
    net.node("MatMul", value, net.weight("out", 6, 3), output="y")
    return net.model({"x": ("batch", 4, 6)}, {"y": ("batch", 4, 3)}, opset)


@pytest.mark.parametrize("opset", range(22, NEWEST + 1))
@pytest.mark.parametrize("network", [models.mlp, models.convolutional])
def test_operators_that_only_take_more_types_stay(network: object, opset: int) -> None:
    model = ir.from_proto(network(opset))
    before = [node.op_type for node in model.graph]
    Opset()(model)
    assert model.graph.opset_imports[""] == 21
    assert [node.op_type for node in model.graph] == before


def test_attention_is_written_with_older_operators() -> None:
    model = attention()
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    canonical = canonicalize(ir.from_proto(model))
    assert "Attention" not in {node.op_type for node in canonical.graph}
    (found,) = ReferenceEvaluator(ir.to_proto(canonical)).run(None, {"x": x})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_constants_of_a_function_are_no_parameters() -> None:
    canonical = canonicalize(ir.from_proto(attention()))
    assert set(select_parameters(canonical).trainable) == {"w", "scale", "out"}


def test_the_cache_of_a_rotary_embedding_is_no_parameter() -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 4, 4))
    cache = [net.constant(name, np.ones((9, 2), np.float32)) for name in ("cos", "sin")]
    places = net.constant("places", np.arange(6).reshape(1, 6))
    net.node("RotaryEmbedding", value, *cache, places, num_heads=1, output="y")
    canonical = canonicalize(ir.from_proto(net.model({"x": (1, 6, 4)}, {"y": (1, 6, 4)}, 23)))
    assert select_parameters(canonical).trainable == ("w",)


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_of_attention_trains(target: str, tmp_path: Path) -> None:
    model = attention()
    settings = svgd_onnx.LossSettings(class_axis=2)
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, loss_settings=settings)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts", threads=1)
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(8, 4, 6)).astype(np.float32),
        "labels": random.integers(0, 3, (8, 4)),
    }
    losses = [trainer.train_step(batch, 0.05) for _ in range(10)]
    assert losses[-1] < losses[0] - 0.05
    checks = svgd_onnx.check(model, loss_settings=settings)
    assert max(each.error for each in checks) < 1e-3


def test_an_attribute_of_newer_types_is_left_out() -> None:
    model = ir.from_proto(
        of_one_node(
            "Cast",
            (2,),
            opset=24,
            out=TensorProto.FLOAT16,
            to=TensorProto.FLOAT16,
            round_mode="nearest",
        )
    )
    Opset()(model)
    assert set(model.graph[0].attributes) == {"to"}


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            ("BitCast", 26, TensorProto.INT32, {"to": TensorProto.INT32}),
            "no such BitCast \\('node'\\)",
        ),
        (
            ("Cast", 23, TensorProto.FLOAT4E2M1, {"to": TensorProto.FLOAT4E2M1}),
            "no such Cast \\('node'\\)",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(model: tuple, sentence: str) -> None:
    op_type, opset, out, attributes = model
    with pytest.raises(svgd_onnx.UserError, match=sentence):
        Opset()(ir.from_proto(of_one_node(op_type, (2,), opset=opset, out=out, **attributes)))


def test_why_a_rule_cannot_write_a_node_is_said() -> None:
    proto = of_one_node("TensorScatter", (2, 3, 2), (2, 1, 2), opset=24)
    for value in proto.graph.input:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(
        svgd_onnx.UserError, match="TensorScatter .*: the number of axes of its input"
    ):
        Opset()(ir.from_proto(proto))


def batch_normalization() -> onnx.ModelProto:
    """A BatchNormalization of opset 13 in training mode, with five outputs, before a matrix product."""
    net = models.Network()
    names = [net.weight("scale", 4, mean=1), net.weight("shift", 4)]
    names += [
        net.constant("mean", np.zeros(4, np.float32)),
        net.constant("variance", np.ones(4, np.float32)),
    ]
    results = ["n", "mean_2", "variance_2", "saved_mean", "saved_variance"]
    net.nodes.append(helper.make_node("BatchNormalization", ["x", *names], results, name="bn"))
    net.node("MatMul", "n", net.weight("w", 4, 3), output="y")
    return net.model({"x": ("batch", 4)}, {"y": ("batch", 3)}, opset=13)


def test_batch_normalization_with_five_outputs_trains() -> None:
    checks = svgd_onnx.check(batch_normalization(), batch_size=6)
    assert {each.parameter for each in checks} == {"scale", "shift", "w"}
    assert max(each.error for each in checks) < 1e-3


def test_new_statistics_that_are_read_are_refused() -> None:
    net = models.Network()
    statistics = [net.constant(name, np.ones(4, np.float32)) for name in ("s", "b", "m", "v")]
    node = helper.make_node(
        "BatchNormalization", ["x", *statistics], ["n", "m2", "v2"], name="bn", training_mode=1
    )
    net.nodes.append(node)
    net.node("Add", "n", "m2", output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}, opset=15)
    with pytest.raises(svgd_onnx.UserError, match="BatchNormalization 'bn' .* \\('m2'\\)"):
        canonicalize(ir.from_proto(model))
