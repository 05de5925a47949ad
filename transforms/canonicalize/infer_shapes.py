"""Shapes and types of all values, as far as they follow from those of the inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.loop_states import infer_loop_states
from svgd_onnx.transforms.canonicalize.onnx_inference import infer_by_onnx
from svgd_onnx.transforms.canonicalize.outer_constants import outer_constants
from svgd_onnx.transforms.canonicalize.size_vectors import may_follow_sizes

# What onnx's shape inference calls an axis that it knows nothing of.
_GENERATED = re.compile(r"unk__\d+")

_ONNXRUNTIME = "com.microsoft"
# Classical machine learning, and what of it gives float32 numbers in the shape of the input.
_CLASSICAL = "ai.onnx.ml"
_SAME_SHAPE = frozenset({"Binarizer", "Imputer", "Normalizer", "Scaler"})
_QUANTIZED = frozenset(
    {"DequantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits"}
)


class InferShapes(ir.passes.InPlacePass):
    """onnx's shape inference, less the names that it makes up for axes of unknown size.

    onnxruntime's gradient builder takes an axis that has a name for one that is not broadcast. Of a
    size without a name it makes no assumption, and decides when it runs.

    Ensures: the only symbols are those of the inputs and those that an exporter wrote.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        self._known = {symbol for value in _values(model.graph) for symbol in symbols_of(value)}
        self._infer(model)
        infer_loop_states(model.graph, lambda: self._infer(model))
        return ir.passes.PassResult(model, modified=True)

    def _infer(self, model: ir.Model) -> None:
        follow = may_follow_sizes(model.graph)
        with outer_constants(model):
            infer_by_onnx(model, follow=follow, named=self._is_name)
            while _infer_others(model.graph):
                infer_by_onnx(model, follow=follow, named=self._is_name)

    def ensures(self, model: ir.Model) -> None:
        for value in _values(model.graph):
            if not all(map(self._is_name, symbols_of(value))):
                raise ir.passes.PostconditionError(f"an axis of '{value.name}' has a made-up name")

    def _is_name(self, symbol: str) -> bool:
        """Whether an axis had a name before onnx named it."""
        return symbol in self._known or not _GENERATED.fullmatch(symbol)


def _infer_others(graph: ir.Graph) -> bool:
    """Shapes and types of operators that onnx infers nothing of; whether any is new.

    They are onnxruntime's quantized operators that give real numbers, and classical ones that keep the shape.
    """
    found = False
    for node in graph:
        x, output = (node.inputs or [None])[0], node.outputs[0]
        shape = None if x is None else x.shape
        if x is None or shape is None or output.shape is not None:
            continue
        if node.domain == _CLASSICAL and node.op_type in _SAME_SHAPE:
            real = x.dtype if node.op_type == "Imputer" else ir.DataType.FLOAT
            output.shape, output.type = shape.copy(), None if real is None else ir.TensorType(real)
            found = True
            continue
        if node.domain != _ONNXRUNTIME or node.op_type not in _QUANTIZED:
            continue
        if node.op_type == "DequantizeLinear":
            scale = node.inputs[1]
            output.shape, output.type = shape.copy(), None if scale is None else scale.type
        else:
            columns = node.attributes.get("N")
            other = node.inputs[1].shape if node.inputs[1] is not None else None
            last: int | ir.SymbolicDim | None = other[-1] if other else None
            if columns is not None:
                last = columns.as_int()
            real = ir.DataType.FLOAT if node.op_type != "MatMulNBits" else x.dtype
            output.shape = ir.Shape([*list(shape)[:-1], last])
            output.type = None if real is None else ir.TensorType(real)
        found = True
    return found


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


def symbols_of(value: ir.Value) -> Iterator[str]:
    """The names of a value's axes that have one."""
    for dim in value.shape or ():
        if not isinstance(dim, int) and dim.value:
            yield dim.value
