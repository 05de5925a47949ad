"""The onnx package's node test cases, in float32, each with a loss on top."""

from __future__ import annotations

import functools
import warnings
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper
from onnx_ir.passes import common

LOSS = "total"
FLOAT = ir.DataType.FLOAT
_OTHER_FLOATS = {ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_TYPE_ATTRIBUTES = ("to", "dtype")
# From this version on initializers need not be inputs.
_INITIALIZERS_ALONE = 4
_RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


class NotApplicableError(Exception):
    """Why a case, or an input of one, has no gradient that could be right or wrong."""


@dataclass(frozen=True)
class Problem:
    """A model to differentiate, and where.

    Attributes:
        name: of the case.
        model: its floating-point inputs are inputs, all others initializers; its one output is LOSS, a
            number.
        point: the floating-point inputs' values by name, float32.
    """

    name: str
    model: ir.Model
    point: Mapping[str, np.ndarray]

    def at(self, changed: Mapping[str, np.ndarray]) -> Problem:
        """The same elsewhere."""
        return replace(self, point={**self.point, **changed})

    def of(self, names: Collection[str]) -> ir.Model:
        """A copy of the model in which other inputs than these are initializers."""
        model = self.model.clone()
        for value in list(model.graph.inputs):
            if value.name not in names:
                model.graph.inputs.remove(value)
                fix(model.graph, value, ir.tensor(self.point[value.name or ""], name=value.name))
        return model


def fix(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Makes an initializer of what was an input."""
    value.const_value = tensor
    graph.register_initializer(value)


@functools.cache
def collect() -> list[Any]:
    """All of them; the package makes their data, which takes ten seconds."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(collect_testcases(None))


def operator_of(case: Any) -> str:
    """The operator that a case is about; "X (expanded)" where the model is the function body of X."""
    base, expanded, _ = case.name.partition("_expanded")
    if not expanded:
        return str(case.model.graph.node[0].op_type)
    return f"{_single_nodes().get(base, base.removeprefix('test_'))} (expanded)"


@functools.cache
def _single_nodes() -> dict[str, str]:
    return {
        case.name: case.model.graph.node[0].op_type
        for case in collect()
        if len(case.model.graph.node) == 1
    }


def seed_of(name: str) -> int:
    """Of the random numbers that a case needs."""
    return zlib.crc32(name.encode())


def problem_of(case: Any, first_output: bool = False) -> tuple[Problem, list[np.ndarray]]:
    """A case as a problem, and what its floating-point outputs should be, as far as they are finite.

    Args:
        case: of `collect`.
        first_output: whether the loss is of the first of them alone.

    Raises:
        NotApplicableError: it has none.
    """
    given, expected = case.data_sets[0]
    if any(value.type.WhichOneof("value") != "tensor_type" for value in _signature(case.model)):
        raise NotApplicableError("sequences or optional values")
    model = ir.from_proto(case.model)
    model.ir_version = max(model.ir_version, _INITIALIZERS_ALONE)
    graph = model.graph
    nodes = {node.op_type for node in ir.traversal.RecursiveGraphIterator(graph)}
    if nodes & (_RANDOM - {"Dropout"}) or ("Dropout" in nodes and _drops(case)):
        raise NotApplicableError("random")
    _single_precision(model)
    point = {}
    for value, array in zip(list(graph.inputs), given):
        tensor = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(array)
        if value.dtype == FLOAT:
            point[value.name or ""] = numpy_helper.to_array(tensor).astype(np.float32)
        else:
            graph.inputs.remove(value)
            tensor.name = value.name
            fix(graph, value, ir.serde.deserialize_tensor(tensor))
    if not any(array.size for array in point.values()):
        raise NotApplicableError("no floating-point input" if not point else "no elements")
    arrays = [
        numpy_helper.to_array(each) if isinstance(each, onnx.TensorProto) else np.asarray(each)
        for each in expected
    ]
    outputs = {
        value: array.astype(np.float64)
        for value, array in zip(graph.outputs, arrays)
        if value.dtype == FLOAT
    }
    if not any(array.size for array in outputs.values()):
        raise NotApplicableError("no floating-point output" if not outputs else "no elements")
    outputs = {
        value: array for value, array in outputs.items() if array.size and np.isfinite(array).all()
    }
    if not outputs:
        raise NotApplicableError("outputs that are not finite")
    if first_output:
        outputs = dict(list(outputs.items())[:1])
    _add_loss(model, outputs, np.random.default_rng(seed_of(case.name)))
    return Problem(case.name, model, point), list(outputs.values())


def _signature(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.input, *model.graph.output]


def _drops(case: Any) -> bool:
    """Whether Dropout is in training mode, which its third input says, or is asked for its mask."""
    (node,) = [node for node in case.model.graph.node if node.op_type == "Dropout"]
    return len(node.input) > 2 and bool(np.any(case.data_sets[0][0][-1]))


def _single_precision(model: ir.Model) -> None:
    """Other floating-point types, of 16 bits and more, become float32."""
    for graph in [model.graph, *model.graph.subgraphs()]:
        for value in (*graph.inputs, *graph.initializers.values(), *_results(graph)):
            if value.dtype in _OTHER_FLOATS:
                value.dtype = FLOAT
            if value.const_value is not None and value.const_value.dtype in _OTHER_FLOATS:
                value.const_value = _as_single(value.const_value)
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if name in _TYPE_ATTRIBUTES and attribute.value in _OTHER_FLOATS:
                    node.attributes[name] = ir.AttrInt64(name, int(FLOAT))
                elif attribute.type == ir.AttributeType.TENSOR:
                    tensor = attribute.as_tensor()
                    if tensor.dtype in _OTHER_FLOATS:
                        node.attributes[name] = ir.AttrTensor(name, _as_single(tensor))


def _results(graph: ir.Graph) -> list[ir.Value]:
    return [value for node in graph for value in node.outputs]


def _as_single(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _add_loss(
    model: ir.Model, outputs: Mapping[ir.Value, np.ndarray], random: np.random.Generator
) -> None:
    """The sum of outputs times random numbers, as the only output."""
    graph = model.graph
    if "" not in graph.opset_imports:
        graph.opset_imports[""] = 17
    total: ir.Value | None = None
    for place, (value, array) in enumerate(outputs.items()):
        factors = random.normal(size=array.shape).astype(np.float32)
        factor = ir.val(f"{LOSS}/factors_{place}", const_value=ir.tensor(factors))
        graph.register_initializer(factor)
        product = _append(graph, "Mul", f"{LOSS}/product_{place}", value, factor)
        part = _append(graph, "ReduceSum", f"{LOSS}/part_{place}", product, keepdims=0)
        total = part if total is None else _append(graph, "Add", f"{LOSS}/{place}", total, part)
    assert total is not None
    total.name, total.dtype, total.shape = LOSS, FLOAT, ir.Shape([])
    graph.outputs.clear()
    graph.outputs.append(total)
    for place, node in enumerate(graph):
        node.name = node.name or f"{node.op_type}_{place}"
    common.RemoveUnusedNodesPass()(model)


def _append(
    graph: ir.Graph, op_type: str, name: str, *inputs: ir.Value, **attributes: object
) -> ir.Value:
    node = ir.node(op_type, list(inputs), attributes, name=name)
    node.outputs[0].name = name
    graph.append(node)
    return node.outputs[0]
