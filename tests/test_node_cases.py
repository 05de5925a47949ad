"""The sweep over onnx's node test cases, on cases of our own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx.backend.test.case.test_case import TestCase
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.reference import ReferenceEvaluator

from svgd_onnx.runtime import has_training
from tools.node_cases import builders
from tools.node_cases.builders import BUILDERS, Builder, Found, RefusedError
from tools.node_cases.cases import Problem, problem_of
from tools.node_cases.outcome import Kind, Outcome
from tools.node_cases.sweep import sweep

VECTOR = np.array([-1.5, 0, 0.25, 2], np.float32)
MATRIX = np.array([[1, 2, 3], [-1, 0.5, 4]], np.float32)

RUNNING = ["own", "convert", *(["onnxruntime"] if has_training() else [])]


def case(op_type: str, *inputs: np.ndarray, outputs: int = 1, **attributes: object) -> TestCase:
    """One as the onnx package makes them: a node with its inputs, and outputs as they should be."""
    names = [f"input_{place}" for place in range(len(inputs))]
    results = [f"output_{place}" for place in range(outputs)]
    node = make_node(op_type, names, results, **attributes)
    elements = [onnx.helper.np_dtype_to_tensor_dtype(array.dtype) for array in inputs]
    declared = [
        make_tensor_value_info(name, element, array.shape)
        for name, element, array in zip(names, elements, inputs)
    ]
    untyped = [onnx.ValueInfoProto(name=name) for name in results]
    graph = make_graph([node], "case", declared, untyped)
    model = make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    expected = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    name = f"test_{op_type.lower()}"
    return TestCase(name, name, None, None, model, [(list(inputs), expected)], "node", 1e-3, 1e-7)


def swept(*cases: TestCase, by: Sequence[str] = ("own",), time_limit: float = 60) -> list[Outcome]:
    found = dict(sweep(cases, by, processes=2, time_limit=time_limit))
    return [outcome for index in sorted(found) for outcome in found[index]]


def kinds(outcomes: Sequence[Outcome]) -> list[tuple[str, str, Kind]]:
    return [(each.builder, each.input, each.kind) for each in outcomes]


def builder(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[Problem, Sequence[str]], Found]
) -> None:
    monkeypatch.setitem(BUILDERS, "mine", Builder(act, 1e-5))


@pytest.mark.parametrize("name", RUNNING)
def test_each_input_of_a_case_has_a_gradient(name: str) -> None:
    gemm = case("Gemm", MATRIX, MATRIX, VECTOR[:2], transB=1, alpha=0.5)
    inputs = ("input_0", "input_1", "input_2")
    assert kinds(swept(gemm, by=[name])) == [(name, each, Kind.RIGHT) for each in inputs]


@pytest.mark.parametrize("name", RUNNING)
def test_on_a_kink_the_data_are_moved(name: str) -> None:
    ties = case("Max", VECTOR, np.where(VECTOR < 1, VECTOR, 0))
    found = swept(case("Relu", VECTOR), ties, by=[name])
    assert [each.kind for each in found] == [Kind.RIGHT] * 3


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (case("NonZero", VECTOR), "no floating-point output"),
        (case("Floor", VECTOR), "the derivative is 0"),
        (case("Reshape", VECTOR[:0], np.array([0, 2])), "no elements"),
        (case("RandomNormalLike", VECTOR), "random"),
    ],
)
def test_what_has_no_derivative_is_not_applicable(one: TestCase, reason: str) -> None:
    (found,) = swept(one)
    assert (found.kind, found.detail) == (Kind.NOT_APPLICABLE, reason)


def test_the_first_output_may_be_differentiated_alone() -> None:
    parts = case("Split", MATRIX, outputs=3, axis=1, num_outputs=3)
    first, _ = problem_of(parts, first_output=True)
    whole, _ = problem_of(parts)
    used = [sum(node.op_type == "Mul" for node in each.model.graph) for each in (first, whole)]
    assert used == [1, 3]


def test_float64_counts_as_float32() -> None:
    (found,) = swept(case("Softmax", MATRIX.astype(np.float64)), by=["convert"])
    assert found.kind == Kind.RIGHT


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_in_one_place(problem: Problem, names: Sequence[str]) -> Found:
        found = builders.own(problem, names)
        found.gradients[names[0]][0, 0] += 1e-3
        return found

    builder(monkeypatch, off_in_one_place)
    assert kinds(swept(case("Softmax", MATRIX), by=["mine"])) == [("mine", "input_0", Kind.WRONG)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusedError("Softmax has no gradient"), Kind.REFUSED),
        (RefusedError("this has no gradient"), Kind.UNNAMED),
        (ValueError("a bug"), Kind.TRACEBACK),
    ],
)
def test_a_refusal_is_told_from_a_bug(
    error: Exception, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(problem: Problem, names: Sequence[str]) -> Found:
        raise error

    builder(monkeypatch, fails)
    assert kinds(swept(case("Softmax", MATRIX), by=["mine"])) == [("mine", "input_0", kind)]


@pytest.mark.parametrize(
    ("dies", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9"),
        (lambda: time.sleep(60), "nothing after 1 s"),
    ],
)
def test_a_crash_does_not_end_the_sweep(
    dies: Callable[[], None], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashes(problem: Problem, names: Sequence[str]) -> Found:
        dies()
        raise AssertionError

    builder(monkeypatch, crashes)
    crash, after = swept(case("Softmax", MATRIX), by=["mine", "own"], time_limit=1)
    assert (crash.kind, crash.detail) == (Kind.CRASH, how)
    assert (after.builder, after.kind) == ("own", Kind.RIGHT)


def test_a_sweep_is_the_same_again() -> None:
    cases = [case("Max", VECTOR, VECTOR), case("Softmax", MATRIX)]
    assert swept(*cases) == swept(*cases)
