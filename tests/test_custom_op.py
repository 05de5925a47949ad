"""The operator ai.svgd::VirtualGradient inside onnxruntime sessions.

SVGD_CUSTOM_OP_LIBRARY names another build of the library to test, such as one with sanitizers.
"""

from __future__ import annotations

import os
from typing import Any

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


def test_another_type_is_refused_when_the_model_loads() -> None:
    with pytest.raises(Exception, match="VirtualGradient"):
        session(dtype=onnx.TensorProto.DOUBLE)
