"""The operator ai.svgd::VirtualGradient inside onnxruntime sessions.

SVGD_CUSTOM_OP_LIBRARY names another build of the library to test, such as one with sanitizers.
"""

from __future__ import annotations

import os
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import svgd_onnx

RHO, EPSILON, SCALE = 0.9, 1e-6, 0.1
LIBRARY = os.environ.get("SVGD_CUSTOM_OP_LIBRARY") or str(svgd_onnx.custom_op_library())


def session(
    dy_shape: tuple[Any, ...] | None = None,
    r_shape: tuple[Any, ...] | None = None,
    *,
    threads: int = 1,
    copies: int = 0,
    dtype: int = onnx.TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("out", "r_new"),
    **attributes: float,
) -> onnxruntime.InferenceSession:
    """A session with one T, its shapes unknown unless given, after so many Identity-like nodes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(LIBRARY)
    chosen = {"rho": RHO, "epsilon": EPSILON, "scale": SCALE, **attributes}
    nodes = [helper.make_node("Neg", ["dy"], ["negative"])] if copies else []
    source = "negative" if copies else "dy"
    nodes.append(
        helper.make_node(
            "VirtualGradient", [source, "r"], ["out", "r_new"], domain="ai.svgd", **chosen
        )
    )
    shapes = {"dy": dy_shape, "r": r_shape, "out": dy_shape, "r_new": r_shape}
    infos = {
        name: helper.make_tensor_value_info(name, dtype, shape) for name, shape in shapes.items()
    }
    graph = helper.make_graph(
        nodes, "t", [infos["dy"], infos["r"]], [infos[name] for name in outputs]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(
    target: onnxruntime.InferenceSession, dy: np.ndarray, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T(dY) and the new r, r itself left alone."""
    out, r_new = target.run(None, {"dy": dy, "r": r.copy()})
    return out, r_new


def reference(dy: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T in float64."""
    updated = RHO * r.astype(np.float64) + (1 - RHO) * np.mean(dy.astype(np.float64) ** 2, axis=0)
    return SCALE * dy / np.sqrt(updated + EPSILON), updated


def tensors(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    dy = random.normal(scale=0.01, size=shape).astype(np.float32)
    return dy, random.uniform(0, 1e-3, shape[1:]).astype(np.float32)


SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)
ANY_SHAPE_SESSION = session()


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1))
def test_any_shape_gives_the_float64_result(shape: tuple[int, ...], seed: int) -> None:
    dy, r = tensors(shape, seed)
    expected_out, expected_r = reference(dy, r)
    out, r_new = run(ANY_SHAPE_SESSION, dy, r)
    np.testing.assert_allclose(r_new, expected_r, rtol=2e-6, atol=1e-12)
    np.testing.assert_allclose(out, expected_out, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(32, 256), (128, 16, 32, 32), (5000, 10), (1, 100_000)])
def test_large_tensors_are_the_same_bits_on_any_number_of_threads(shape: tuple[int, ...]) -> None:
    dy, r = tensors(shape)
    expected_out, expected_r = reference(dy, r)
    results = [run(session(threads=threads), dy, r) for threads in (1, 2, 3)]
    np.testing.assert_allclose(results[0][0], expected_out, rtol=5e-6, atol=1e-9)
    np.testing.assert_allclose(results[0][1], expected_r, rtol=5e-6)
    for out, r_new in results[1:]:
        assert out.tobytes() == results[0][0].tobytes()
        assert r_new.tobytes() == results[0][1].tobytes()


def test_a_hundred_runs_give_the_same_bits() -> None:
    dy, r = tensors((128, 4, 16, 16))
    target = session(threads=2)
    results = {
        (out.tobytes(), r_new.tobytes()) for out, r_new in (run(target, dy, r) for _ in range(100))
    }
    assert len(results) == 1


def test_r_is_updated_where_it_lies() -> None:
    dy, r = tensors((4, 3))
    memory = onnxruntime.OrtValue.ortvalue_from_numpy(r.copy())
    target = session(("batch", 3), (3,))
    binding = target.io_binding()
    binding.bind_cpu_input("dy", dy)
    binding.bind_ortvalue_input("r", memory)
    binding.bind_output("out")
    binding.bind_ortvalue_output("r_new", memory)
    expected = r
    for _ in range(3):
        target.run_with_iobinding(binding)
        _, expected = reference(dy, expected)
        np.testing.assert_allclose(memory.numpy(), expected, rtol=1e-5)


def test_r_given_as_an_ort_value_is_updated_where_it_lies_without_being_an_output() -> None:
    """Only the alias of r_new onto r can do this: nothing else binds the two to one memory."""
    dy, r = tensors((4, 3))
    memory = onnxruntime.OrtValue.ortvalue_from_numpy(r.copy())
    target = session(("batch", 3), (3,), outputs=("out",))
    target.run_with_ort_values(
        None, {"dy": onnxruntime.OrtValue.ortvalue_from_numpy(dy), "r": memory}
    )
    np.testing.assert_allclose(memory.numpy(), reference(dy, r)[1], rtol=1e-5)


def test_overwriting_a_temporary_gradient_leaves_the_input_alone() -> None:
    """After Neg, dY is a temporary that T may overwrite; the session's own input must not change."""
    dy, r = tensors((8, 5))
    kept = dy.copy()
    out, _ = run(session(("batch", 5), (5,), copies=1), dy, r)
    np.testing.assert_array_equal(dy, kept)
    np.testing.assert_allclose(out, reference(-dy, r)[0], rtol=2e-6)


def test_an_empty_batch_leaves_r_alone() -> None:
    _, r = tensors((1, 3))
    out, r_new = run(ANY_SHAPE_SESSION, np.zeros((0, 3), np.float32), r)
    assert out.shape == (0, 3)
    np.testing.assert_array_equal(r_new, r)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rho", 1.0),
        ("rho", -0.5),
        ("rho", float("nan")),
        ("epsilon", 0.0),
        ("epsilon", float("inf")),
        ("scale", 0.0),
        ("scale", -1.0),
        ("scale", float("nan")),
    ],
)
def test_attributes_out_of_range_are_refused_when_the_model_loads(name: str, value: float) -> None:
    with pytest.raises(Exception, match=f"VirtualGradient: attribute {name} is"):
        session(**{name: value})


@pytest.mark.parametrize("name", ["rho", "epsilon", "scale"])
def test_an_integer_attribute_is_refused_rather_than_replaced_by_the_default(name: str) -> None:
    with pytest.raises(Exception, match=f"attribute {name} is the integer 0, but must be a float"):
        session(**{name: 0})


def test_the_refusal_of_a_small_negative_attribute_shows_its_value() -> None:
    with pytest.raises(Exception, match="attribute epsilon is -1e-09, but must be positive"):
        session(epsilon=-1e-9)


@pytest.mark.parametrize(
    ("dy_shape", "r_shape"),
    [((4, 3), (4,)), ((4, 3), (3, 1)), ((4, 3), ()), ((4,), (4,)), ((), ())],
)
def test_shapes_that_do_not_fit_are_refused_when_the_model_runs(
    dy_shape: tuple[int, ...], r_shape: tuple[int, ...]
) -> None:
    dy, r = np.zeros(dy_shape, np.float32), np.zeros(r_shape, np.float32)
    with pytest.raises(Exception, match="VirtualGradient: r has shape"):
        run(ANY_SHAPE_SESSION, dy, r)


def test_the_shapes_of_the_outputs_are_inferred() -> None:
    """Known shapes let the session plan its memory."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(LIBRARY)
    nodes = [
        helper.make_node("VirtualGradient", ["dy", "r"], ["t", "r_new"], domain="ai.svgd"),
        helper.make_node("Neg", ["t"], ["out"]),
    ]
    infos = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in {"dy": ("batch", 3), "r": (3,), "out": None}.items()
    }
    graph = helper.make_graph(nodes, "t", [infos["dy"], infos["r"]], [infos["out"]])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    target = onnxruntime.InferenceSession(model.SerializeToString(), options)
    assert target.get_outputs()[0].shape == ["batch", 3]


@pytest.mark.parametrize(
    ("dy_shape", "r_shape"), [(None, (3,)), (("batch", 3), None), (None, None)]
)
def test_a_shape_of_unknown_rank_is_left_to_the_run(
    dy_shape: tuple[Any, ...] | None, r_shape: tuple[Any, ...] | None
) -> None:
    dy, r = tensors((4, 3))
    out, _ = run(session(dy_shape, r_shape), dy, r)
    np.testing.assert_allclose(out, reference(dy, r)[0], rtol=2e-6)


@pytest.mark.parametrize("dtype", [onnx.TensorProto.INT32, onnx.TensorProto.FLOAT16])
def test_another_type_of_r_is_refused_when_the_model_loads(dtype: int) -> None:
    with pytest.raises(Exception, match="VirtualGradient"):
        session(dtype=dtype)


def narrow(op_type: str, element: int, attributes: dict[str, int]) -> onnxruntime.InferenceSession:
    """dY cast to a narrower type, an operator, and its first output as float."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(LIBRARY)
    chosen = {"rho": RHO, "epsilon": EPSILON, "scale": SCALE, **attributes}
    nodes = [
        helper.make_node("Cast", ["dy"], ["narrow"], to=element),
        helper.make_node(op_type, ["narrow", "r"], ["t", "r_new"], domain="ai.svgd", **chosen),
        helper.make_node("Cast", ["t"], ["out"], to=onnx.TensorProto.FLOAT),
    ]
    infos = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("dy", "r", "out", "r_new")
    }
    graph = helper.make_graph(nodes, "t", [infos["dy"], infos["r"]], [infos["out"], infos["r_new"]])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [(onnx.TensorProto.FLOAT16, np.float16), (onnx.TensorProto.BFLOAT16, ml_dtypes.bfloat16)],
)
@pytest.mark.parametrize("attributes", [{}, {"channel_axis": 1}])
def test_sixteen_bits_are_computed_in_float_and_rounded_once(
    element: int, dtype: Any, attributes: dict[str, int]
) -> None:
    random = np.random.default_rng(0)
    # from subnormal to large
    dy = random.normal(size=(64, 60, 3)) * 10.0 ** random.uniform(-8, 4, (64, 60, 3))
    dy = dy.astype(dtype).astype(np.float32)
    r = np.zeros((60,) if attributes else (60, 3), np.float32)
    axes = (0, 2) if attributes else 0
    out, r_new = narrow("VirtualGradient", element, attributes).run(None, {"dy": dy, "r": r})
    expected = (1 - RHO) * np.mean(dy.astype(np.float64) ** 2, axis=axes)
    np.testing.assert_allclose(r_new, expected, rtol=2e-6)
    factor = np.float32(SCALE) / np.sqrt(r_new + np.float32(EPSILON))
    factor = factor[:, np.newaxis] if attributes else factor
    np.testing.assert_array_equal(out, (dy * factor).astype(dtype).astype(np.float32))


def test_float64_is_computed_in_float64() -> None:
    random = np.random.default_rng(0)
    dy, r = random.normal(size=(33, 17)), random.uniform(0, 1e-3, 17)
    out, r_new = run(session(dtype=onnx.TensorProto.DOUBLE), dy, r)
    # the attributes are float32 numbers
    rho, epsilon, scale = (float(np.float32(value)) for value in (RHO, EPSILON, SCALE))
    expected = rho * r + (1 - rho) * np.mean(dy**2, axis=0)
    np.testing.assert_allclose(r_new, expected, rtol=1e-14)
    np.testing.assert_allclose(out, scale * dy / np.sqrt(expected + epsilon), rtol=1e-14)


@pytest.mark.parametrize(("shape", "axis"), [((8, 5), None), ((8, 5, 3), None), ((8, 5, 3), 1)])
def test_the_gradient_factor_is_what_t_multiplies_by(
    shape: tuple[int, ...], axis: int | None
) -> None:
    random = np.random.default_rng(0)
    dy = random.normal(size=shape).astype(np.float32)
    r = np.zeros(shape[1:] if axis is None else (shape[axis],), np.float32)
    attributes = {} if axis is None else {"channel_axis": axis}
    whole, r_whole = run(session(**attributes), dy, r)
    factor, r_new = narrow("GradientFactor", onnx.TensorProto.FLOAT, attributes).run(
        None, {"dy": dy, "r": r.copy()}
    )
    assert factor.shape == r.shape
    np.testing.assert_array_equal(r_new, r_whole)
    factor = factor if axis is None else factor[:, np.newaxis]
    np.testing.assert_array_equal(whole, dy * factor)
