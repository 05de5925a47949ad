"""Convolution and its gradients, ai.svgd's operators, inside onnxruntime sessions.

SVGD_CUSTOM_OP_LIBRARY names another build of the library to test, such as one with sanitizers.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from reference import convolution as reference
from reference.convolution import Case

import svgd_onnx

LIBRARY = os.environ.get("SVGD_CUSTOM_OP_LIBRARY") or str(svgd_onnx.custom_op_library())


CASES = [
    Case((8,), 5, 7, (3,)),
    Case((31,), 3, 33, (5,), (2,), (1, 4), (2,)),
    Case((8, 8), 16, 16, (3, 3), pads=(1, 1, 1, 1)),
    Case((9, 7), 16, 40, (3, 3), (2, 2), (1, 0, 2, 1)),
    Case((7, 9), 33, 17, (1, 1), (2, 3)),
    Case((6, 5), 70, 19, (3, 2), (1, 2), (2, 1, 0, 3), (2, 1)),
    Case((12, 12), 3, 8, (7, 7), (2, 2), (3, 3, 3, 3)),
    Case((5, 5), 4, 6, (3, 3), (4, 5), (0, 0, 2, 2)),
    Case((3, 3), 2, 3, (3, 3), pads=(5, 0, 0, 6)),
    Case((10, 10), 12, 8, (3, 3), pads=(1, 1, 1, 1), group=4),
    Case((9, 6), 20, 20, (3, 3), (2, 1), (1, 1, 1, 1), group=20),
    Case((6, 6), 6, 18, (3, 3), group=6),
    Case((4, 5, 6), 7, 9, (2, 3, 3), (1, 2, 1), (1, 1, 0, 0, 1, 2), (1, 1, 2)),
    Case((5, 5, 5), 4, 20, (3, 3, 3), (2, 2, 2), (1,) * 6),
    Case((3, 4), 9, 20, (3, 3), pads=(1, 1, 1, 1), batch=27),
    Case((4, 2), 9, 20, (3, 3), (2, 1), (1, 1, 1, 1), batch=27),
    Case((1, 1), 300, 260, (1, 1), batch=1),
    Case((2, 300), 6, 5, (1, 9), pads=(0, 4, 0, 4), batch=1),
    Case((6, 6), 24, 24, (3, 3), batch=0),
]


def describe(case: Case) -> str:
    given = (case.kernel, case.strides, case.pads, case.dilations, case.group)
    return f"{case.sizes}x{case.channels}-{case.outputs} {given}".replace(" ", "")


EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=describe)


def run(
    operator: str,
    attributes: dict[str, Any],
    *inputs: np.ndarray,
    threads: int = 1,
    shapes: tuple[tuple[Any, ...] | None, ...] | None = None,
) -> np.ndarray:
    """What one node gives, its shapes unknown unless given."""
    target = session(operator, attributes, inputs, threads, shapes)
    (out,) = target.run(None, {f"input_{i}": each for i, each in enumerate(inputs)})
    return out


def session(
    operator: str,
    attributes: dict[str, Any],
    inputs: tuple[np.ndarray, ...],
    threads: int = 1,
    shapes: tuple[tuple[Any, ...] | None, ...] | None = None,
    outputs: tuple[str, ...] = ("out",),
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(LIBRARY)
    names = [f"input_{i}" for i in range(len(inputs))]
    node = helper.make_node(operator, names, outputs, domain="ai.svgd", **attributes)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(each.dtype), shapes[i] if shapes else None
        )
        for i, (name, each) in enumerate(zip(names, inputs))
    ]
    outs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph([node], "convolution", infos, outs)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    if expected.size:
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@EVERY_CASE
def test_the_output_is_that_of_onnx(case: Case) -> None:
    x, _, w = case.tensors()
    bias = np.random.default_rng(1).normal(size=case.outputs).astype(np.float32)
    y = run("Convolution", case.attributes, x, w, bias, threads=2)
    if case.batch:
        assert_close(y, reference.output(case, x, w, bias))
    assert y.shape == (case.batch, *case.out, case.outputs)


@EVERY_CASE
def test_without_a_bias_nothing_is_added(case: Case) -> None:
    x, _, w = case.tensors()
    zeros = np.zeros(case.outputs, np.float32)
    without = run("Convolution", case.attributes, x, w)
    assert without.tobytes() == run("Convolution", case.attributes, x, w, zeros).tobytes()


@EVERY_CASE
def test_the_input_gradient_is_that_of_the_formula(case: Case) -> None:
    x, dy, w = case.tensors()
    shape = np.array(x.shape, np.int64)
    dx = run("ConvolutionInputGradient", case.attributes, dy, w, shape, threads=2)
    assert_close(dx, reference.input_gradient(case, dy, w))


@EVERY_CASE
def test_the_weight_gradient_is_that_of_the_formula(case: Case) -> None:
    x, dy, _ = case.tensors()
    dw = run("ConvolutionWeightGradient", case.attributes, dy, x, threads=2)
    assert_close(dw, reference.weight_gradient(case, dy, x))


@EVERY_CASE
@pytest.mark.parametrize("of_channels", [False, True], ids=["of_elements", "of_channels"])
def test_dy_is_multiplied_by_the_factor_on_its_way(case: Case, of_channels: bool) -> None:
    x, dy, _ = case.tensors()
    shape = dy.shape[-1:] if of_channels else dy.shape[1:]
    factor = np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)
    fused = run("ConvolutionWeightGradient", case.attributes, dy, x, factor)
    apart = run("ConvolutionWeightGradient", case.attributes, dy * factor, x)
    assert fused.tobytes() == apart.tobytes()


@EVERY_CASE
def test_the_bias_gradient_is_the_sum_of_what_the_weight_gradient_sees(case: Case) -> None:
    x, dy, _ = case.tensors()
    factor = np.random.default_rng(1).uniform(0.5, 2, dy.shape[1:]).astype(np.float32)
    inputs = dy, x, factor
    target = session("ConvolutionWeightGradient", case.attributes, inputs, outputs=("out", "db"))
    dw, db = target.run(None, {f"input_{i}": each for i, each in enumerate(inputs)})
    sums = (dy * factor).astype(np.float64).reshape(-1, case.outputs).sum(axis=0)
    np.testing.assert_allclose(db, sums, rtol=0, atol=1e-5 * max(1, np.abs(sums).max()))
    alone = run("ConvolutionWeightGradient", case.attributes, *inputs)
    assert dw.tobytes() == alone.tobytes()


LARGE = Case((16, 16), 24, 40, (3, 3), pads=(1, 1, 1, 1), batch=16)


@pytest.mark.parametrize("operator", ["", "InputGradient", "WeightGradient"])
def test_the_number_of_threads_changes_no_bit(operator: str) -> None:
    x, dy, w = LARGE.tensors()
    inputs: dict[str, tuple[np.ndarray, ...]] = {
        "": (x, w),
        "InputGradient": (dy, w, np.array(x.shape, np.int64)),
        "WeightGradient": (dy, x),
    }
    results = {
        run(
            f"Convolution{operator}", LARGE.attributes, *inputs[operator], threads=threads
        ).tobytes()
        for threads in (1, 2, 3, 2)
    }
    assert len(results) == 1


def test_shapes_are_inferred_with_a_batch_of_any_size() -> None:
    case = Case((9, 7), 16, 40, (3, 3), (2, 2), (1, 0, 2, 1))
    x, dy, w = case.tensors()
    batch = ("batch", *x.shape[1:]), w.shape
    target = session("Convolution", case.attributes, (x, w), shapes=batch)
    assert target.get_outputs()[0].shape == ["batch", *case.out, 40]
    batch = ("batch", *dy.shape[1:]), ("batch", *x.shape[1:])
    target = session("ConvolutionWeightGradient", case.attributes, (dy, x), shapes=batch)
    assert target.get_outputs()[0].shape == list(w.shape)


def test_the_shape_of_an_input_gradient_is_inferred_where_the_stride_is_1() -> None:
    x, dy, w = LARGE.tensors()
    inputs = dy, w, np.array(x.shape, np.int64)
    shapes = ("batch", *dy.shape[1:]), w.shape, (4,)
    target = session("ConvolutionInputGradient", LARGE.attributes, inputs, shapes=shapes)
    assert target.get_outputs()[0].shape == ["batch", *x.shape[1:]]


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def size(*shape: int) -> np.ndarray:
    return np.array(shape, np.int64)


X, W, DY = zeros(2, 5, 5, 4), zeros(6, 4, 3, 3), zeros(2, 3, 3, 6)
MOST = 2**31 - 1
REFUSED = [
    ("Convolution", {}, (zeros(2, 4), W), r"X has shape \(2, 4\)"),
    ("Convolution", {}, (zeros(2, 4, 4, 4, 4, 4), zeros(1, 4, 1, 1, 1, 1)), "one to three sizes"),
    ("Convolution", {}, (X, zeros(6, 3, 3, 3)), "X's channels must be"),
    ("Convolution", {"group": 3}, (X, W), "with 3 groups"),
    ("Convolution", {"group": 0}, (X, W), "group is 0"),
    ("Convolution", {"strides": [1]}, (X, W), "strides has 1 numbers"),
    ("Convolution", {"strides": [1, 0]}, (X, W), r"strides is \(1, 0\)"),
    ("Convolution", {"pads": [0, 0, 0, -1]}, (X, W), "pads is"),
    ("Convolution", {"dilations": [2**40, 1]}, (X, W), "dilations is"),
    ("Convolution", {"dilations": [MOST, MOST]}, (X, W), "covers 4294967295 places of axis 1"),
    ("Convolution", {"pads": [MOST] * 4}, (X, W), "too many elements"),
    ("Convolution", {"kernel_shape": [2, 2]}, (X, W), "kernel_shape is"),
    ("Convolution", {}, (zeros(2, 2, 5, 4), W), "covers 3 places of axis 1 of X, which has 2"),
    ("Convolution", {}, (zeros(2, 0, 5, 4), W), "axis 1 is no size"),
    ("Convolution", {}, (X, W, zeros(5)), r"B has shape \(5\)"),
    ("ConvolutionInputGradient", {}, (DY, W, size(2, 5, 5)), "a number for each"),
    ("ConvolutionInputGradient", {}, (DY, W, size(-2, 5, 5, 4)), "negative"),
    ("ConvolutionInputGradient", {}, (DY, W, size(2, 5, 5, -4)), "no size"),
    ("ConvolutionInputGradient", {}, (DY, W, size(2, 6, 5, 4)), r"dY has shape \(2, 3, 3, 6\)"),
    ("ConvolutionInputGradient", {}, (DY, W, size(3, 5, 5, 4)), r"dY has shape \(2, 3, 3, 6\)"),
    ("ConvolutionWeightGradient", {}, (DY, X), "kernel_shape is missing"),
    ("ConvolutionWeightGradient", {"kernel_shape": [3]}, (DY, X), "as many axes"),
    ("ConvolutionWeightGradient", {"kernel_shape": [3, 2]}, (DY, X), "dY has shape"),
    (
        "ConvolutionWeightGradient",
        {"kernel_shape": [MOST] * 2, "strides": [MOST] * 2, "pads": [MOST] * 4},
        (zeros(2, 2, 2, 6), X),
        "W would have shape .* too many elements",
    ),
    (
        "ConvolutionWeightGradient",
        {"kernel_shape": [3, 3]},
        (DY, X, zeros(3, 6)),
        r"the factor has shape \(3, 6\)",
    ),
]


@pytest.mark.parametrize(("operator", "attributes", "inputs", "sentence"), REFUSED)
def test_what_does_not_fit_is_refused(
    operator: str, attributes: dict[str, Any], inputs: tuple[np.ndarray, ...], sentence: str
) -> None:
    with pytest.raises(Exception, match=f"{operator}: .*{sentence}"):
        run(operator, attributes, *inputs)


def test_strides_and_dilations_far_beyond_the_input_take_no_memory() -> None:
    """A few outputs see a few inputs, however far apart."""
    case = Case((3, 3), 2, 3, (2, 2), (MOST, 7), (9, MOST - 5, 9, 3), (20, MOST - 4))
    x, dy, w = case.tensors()
    bias = zeros(3)
    assert run("Convolution", case.attributes, x, w, bias).shape == (2, *case.out, 3)
    for operator, inputs in {
        "ConvolutionInputGradient": (dy, w, size(*x.shape)),
        "ConvolutionWeightGradient": (dy, x),
    }.items():
        assert np.isfinite(run(operator, case.attributes, *inputs)).all()
