"""Random numbers by Dropout: of the distribution that ONNX says, and a function of the seed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from models import Network
from onnx import TensorProto

from svgd_onnx.transforms.draws import DrawByDropout

ROWS = 20_000


def drawn(op_type: str, *, x: np.ndarray, seed: int = 1, **attributes: object) -> np.ndarray:
    """What an operator gives for x once it is written with Dropout."""
    net = Network()
    inputs = [] if "shape" in attributes else ["x"]
    y = net.node(op_type, *inputs, output="y", **attributes)
    element = attributes.get(
        "dtype", TensorProto.FLOAT if op_type != "Multinomial" else TensorProto.INT32
    )
    proto = net.model({"x": x.shape}, {y: x.shape}, check=False)
    proto.graph.output[0].type.tensor_type.elem_type = element
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = ir.from_proto(proto)
    DrawByDropout()(model)
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    onnxruntime.set_seed(seed)
    (found,) = session.run(["y"], {"x": x} if session.get_inputs() else {})
    return np.asarray(found)


X = np.zeros((ROWS, 2), np.float32)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [("RandomUniformLike", {}), ("RandomUniform", {"shape": [ROWS, 2]})],
)
def test_uniform(op_type: str, attributes: dict[str, object]) -> None:
    y = drawn(op_type, x=X, low=-1.0, high=3.0, **attributes)
    assert y.shape == X.shape and y.dtype == np.float32
    assert -1 <= y.min() < -0.99 and 2.99 < y.max() < 3
    assert np.mean(y) == pytest.approx(1, abs=0.03)
    assert np.var(y) == pytest.approx(16 / 12, abs=0.03)
    assert np.corrcoef(y.T)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [("RandomNormalLike", {}), ("RandomNormal", {"shape": [ROWS, 2]})],
)
def test_normal(op_type: str, attributes: dict[str, object]) -> None:
    y = drawn(op_type, x=X, mean=1.0, scale=2.0, **attributes)
    z = np.sort((y.reshape(-1) - 1) / 2)
    for quantile, at in ((0.5, 0.0), (0.8413447, 1.0), (0.9772499, 2.0), (0.0227501, -2.0)):
        assert np.mean(z < at) == pytest.approx(quantile, abs=0.01)
    assert np.corrcoef(y.T)[0, 1] == pytest.approx(0, abs=0.03)


def test_bernoulli() -> None:
    y = drawn("Bernoulli", x=np.tile(np.float32([0.2, 1]), (ROWS, 1)), dtype=TensorProto.BOOL)
    assert y.dtype == bool
    assert y.mean(0) == pytest.approx([0.2, 1], abs=0.01)


def test_multinomial() -> None:
    shares = np.float32([0.1, 0.6, 0.3])
    y = drawn("Multinomial", x=np.tile(np.log(shares), (ROWS, 1)), sample_size=2)
    assert y.shape == (ROWS, 2) and y.dtype == np.int32
    for column in y.T:
        assert np.bincount(column) / ROWS == pytest.approx(shares, abs=0.015)


def test_a_function_of_the_seed() -> None:
    first, second, again = (drawn("RandomNormalLike", x=X, seed=seed) for seed in (1, 2, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, second)


def test_float16() -> None:
    assert drawn("RandomUniformLike", x=X, dtype=onnx.TensorProto.FLOAT16).dtype == np.float16
