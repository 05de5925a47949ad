"""Who makes a gradient of a loss: our rules, onnxruntime, onnx-ad, and `convert` with a step of training."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes import common
from onnxruntime import InferenceSession, SessionOptions

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize import FoldConstants, InferShapes, Opset
from svgd_onnx.transforms.differentiate.onnxruntime_builder import differentiate_by_onnxruntime
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.lower import Lower
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import run
from tools.node_cases.cases import LOSS, NotApplicableError, Problem, fix
from tools.node_cases.double import Double, make_double

_BROADCASTING_OPSET = 7
_ONE = "one_from_data"
# Of a step's change, beside the parameter; and what is taken for no change at all.
_TOO_SMALL = 1e-2
_SMALLEST = 1e-6
# What `convert` says where verification finds a fault.
_UNVERIFIED = "Nothing was written"


class RefusedError(Exception):
    """A builder says that it does not differentiate this."""


@dataclass(frozen=True)
class Found:
    """What a builder's graph gives.

    Attributes:
        loss: the loss.
        gradients: of each input that was asked for.
    """

    loss: float
    gradients: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Builder:
    """A way to a gradient.

    Attributes:
        differentiate: a problem and the inputs to differentiate by -> what it finds; raises `RefusedError`.
        tolerance: how far a derivative may be off, relative to the gradient's norm.
        rounding: how many times as coarse as float64 differences its numbers are.
        singly: whether inputs are differentiated by themselves too that come out right together.
    """

    differentiate: Callable[[Problem, Sequence[str]], Found]
    tolerance: float
    rounding: float = 1.0
    singly: bool = False


def own(problem: Problem, names: Sequence[str]) -> Found:
    """`differentiate_in_reverse` and `Lower`, in float64."""
    model = _prepared(problem.of(names))
    copies = {name: [name] for name in names}
    gradient = _not_refused(lambda: differentiate_in_reverse(model, copies))
    _not_refused(lambda: Lower()(gradient))
    return _found(Double(gradient).run({name: problem.point[name] for name in names}), names)


def onnxruntime(problem: Problem, names: Sequence[str]) -> Found:
    """onnxruntime's gradient builder behind our decompositions, in float32."""
    model = _prepared(problem.of(names))
    copies = {name: [name] for name in names}
    gradient = _not_refused(lambda: differentiate_by_onnxruntime(model, copies))
    _check_runtime(problem)
    session = _session(gradient)
    outputs = [value.name for value in session.get_outputs()]
    results = session.run(outputs, {name: problem.point[name] for name in names})
    return _found(dict(zip(outputs, results)), names)


def onnx_ad(problem: Problem, names: Sequence[str]) -> Found:
    """The package onnx-ad, in float64."""
    import onnx_ad as package

    model = problem.of(names)
    make_double(model)
    InferShapes()(model)
    try:
        adjoint = package.reverse(
            ir.to_proto(model), inputs=list(names), outputs=[LOSS], layout="onnx"
        )
    except package.UnsupportedOperator as error:
        raise RefusedError(str(error)) from error
    *_, seed = adjoint.graph.input
    feeds = {**{name: problem.point[name] for name in names}, seed.name: np.ones(1)}
    if _scans_backwards(adjoint.graph):
        raise NotApplicableError("no reference for a Scan that runs backwards")
    results = Double(ir.from_proto(adjoint)).run(feeds)
    values = list(results.values())[-len(names) :]  # they come last, each with the axis of seeds
    return Found(
        float(np.ravel(results[LOSS])[0]),
        {name: np.asarray(value)[..., 0] for name, value in zip(names, values)},
    )


def _scans_backwards(graph: onnx.GraphProto) -> bool:
    return any(
        node.op_type == "Scan" and attribute.name.endswith("put_directions") and any(attribute.ints)
        for node in graph.node
        for attribute in node.attribute
    )


def convert(problem: Problem, names: Sequence[str]) -> Found:
    """One step of `convert`'s target onnx with learning rate 1: the gradient is what the parameter lost."""
    model = problem.of(names)
    if any(node.op_type == "Dropout" for node in model.graph):
        raise NotApplicableError("training turns Dropout on")
    _as_parameters(model, problem)
    training = [
        node
        for node in model.graph
        if node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode", 0)
    ]
    with tempfile.TemporaryDirectory() as folder:
        try:
            _not_refused(
                lambda: svgd_onnx.convert(
                    ir.to_proto(model),
                    folder,
                    force=True,
                    target="onnx",
                    optimizer="sgd",
                    loss="none",
                    train=names,
                    freeze_bn=not training,
                )
            )
        except RefusedError as error:
            if _UNVERIFIED in str(error):  # the fault may be the runtime's
                _check_runtime(problem)
            raise
        _check_runtime(problem)
        rate = 1.0
        loss, gradients = _lost(folder, problem, names, rate)
        large = max(_largest(problem.point[name]) for name in names)
        small = min(_largest(gradients[name]) for name in names)
        if small < _TOO_SMALL * large:  # rounding of the parameter would hide the gradient
            loss, gradients = _lost(folder, problem, names, large / max(small, _SMALLEST))
        return Found(loss, gradients)


def _largest(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0))


def _check_runtime(problem: Problem) -> None:
    """Refuses a case that this onnxruntime does not compute, whoever trains it.

    Raises:
        NotApplicableError: says so.
    """
    model = problem.of(list(problem.point))
    Opset()(model)
    runtime = f"onnxruntime {ort.__version__}"
    try:
        found = _session(model).run([LOSS], dict(problem.point))[0]
    except Exception as error:
        raise NotApplicableError(f"{runtime} does not run it") from error
    right = Double(problem.model).run(problem.point)[LOSS]
    if not np.allclose(found, right, rtol=1e-2, atol=1e-2):
        raise NotApplicableError(f"{runtime} computes something else")


def _session(model: ir.Model) -> InferenceSession:
    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return InferenceSession(ir.to_proto(model).SerializeToString(), options)


def _lost(
    folder: str, problem: Problem, names: Sequence[str], rate: float
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and what each parameter loses in a step from the start, by the learning rate."""
    trainer = svgd_onnx.Trainer(folder, threads=1)
    loss = trainer.train_step({_ONE: np.array(1, np.float32)}, rate)
    return loss, {
        name: (problem.point[name].astype(np.float64) - trainer.tensor(name)) / rate
        for name in names
    }


def _as_parameters(model: ir.Model, problem: Problem) -> None:
    """Makes initializers of the inputs, each times an input that will be 1."""
    graph = model.graph
    one = ir.val(_ONE, dtype=ir.DataType.FLOAT, shape=ir.Shape([]))
    products = []
    for value in list(graph.inputs):
        old = graph.opset_imports[""] < _BROADCASTING_OPSET
        attributes = {"broadcast": 1} if old and value.shape else {}
        name = f"{value.name}/times_one"
        node = ir.node("Mul", [value, one], attributes, name=name)
        product = node.outputs[0]
        product.name, product.type, product.shape = name, value.type, value.shape
        value.replace_all_uses_with(product)
        node.replace_input_with(0, value)
        products.append(node)
        graph.inputs.remove(value)
        fix(graph, value, ir.tensor(problem.point[value.name or ""], name=value.name))
    graph.insert_before(graph[0], products)
    graph.inputs.append(one)


def _prepared(model: ir.Model) -> ir.Model:
    """What the builders take: an opset from 17 to 21, constants as initializers, each input read once."""
    _not_refused(lambda: Opset()(model))
    graph = model.graph
    graph.outputs[0].name = LOSS_OUTPUT
    for value in graph.inputs:
        node = ir.node("Identity", [value], name=f"{value.name}/once")
        once = node.outputs[0]
        once.name, once.type, once.shape = node.name, value.type, value.shape
        value.replace_all_uses_with(once)
        node.replace_input_with(0, value)
        graph.insert_before(graph[0], node)
    return run(
        model,
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.InlinePass(),
        FoldConstants(),
        common.NameFixPass(),
        common.RemoveUnusedNodesPass(),
        common.TopologicalSortPass(),
        InferShapes(),
    )


def _found(results: Mapping[str, np.ndarray], names: Sequence[str]) -> Found:
    gradients = {name: np.asarray(results[gradient_name(name)], np.float64) for name in names}
    return Found(float(results[LOSS_OUTPUT]), gradients)


def _not_refused(action: Callable[[], object]) -> ir.Model:
    try:
        result = action()
    except UserError as error:
        raise RefusedError(str(error)) from error
    return result  # type: ignore[return-value]


def names_an_operator(message: str) -> bool:
    """Whether a refusal says which operator it is about."""
    return any(word in _operators() for word in re.findall(r"\w+", message))


@functools.cache
def _operators() -> set[str]:
    return {schema.name for schema in onnx.defs.get_all_schemas()}


BUILDERS: dict[str, Builder] = {
    "own": Builder(own, 1e-5, singly=True),
    "onnxruntime": Builder(onnxruntime, 2e-3, rounding=5000),
    "onnx-ad": Builder(onnx_ad, 1e-5),
    "convert": Builder(convert, 2e-3, rounding=5000),
}
