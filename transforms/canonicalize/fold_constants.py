"""Compute what does not depend on any input: shapes, axes, filled tensors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.folding_bounds import MOST_BYTES, bytes_to_compute
from svgd_onnx.transforms.canonicalize.lift_constants import LIFTED
from svgd_onnx.transforms.canonicalize.size_vectors import TOO_LARGE
from svgd_onnx.transforms.quantization import QUANTIZING, is_dequantizing
from svgd_onnx.transforms.reference_movement import MOVEMENT

# Metadata of an initializer: that it is no weight, but one number spread over it, or a function's constant.
NO_WEIGHT = "svgd.no_weight"
# That it is the scale of a normalization which is written with other operators.
SCALE = "svgd.scale"

# Metadata of an initializer: that a node was computed for it.
_COMPUTED = "svgd.computed"

# Metadata of an initializer of floating-point numbers: that constants were computed from it.
FOLDED_FROM = "svgd.folded_from"

# An exporter computes them for constants; left in a file, one stands behind a parameter.
REPARAMETRIZATIONS = frozenset({"Exp", "Sigmoid", "Softplus", "Tanh"})
# Old exports fill weights with them.
_FILLING = frozenset({"ConstantOfShape", "Expand"})

# What these give differs from call to call.
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


class FoldConstants(ir.passes.InPlacePass):
    """Replaces nodes whose inputs are all constants by initializers.

    A node that reads a floating-point tensor of more than one element is left alone: that may be a
    weight, which training changes; and so is Exp and its like of one number (a logit scale).
    ConstantOfShape is folded, so a weight may come out of it. What is quantized stays so, and what is too large
    to be computed ahead (`folding_bounds`).

    Args:
        sizes: whether to take sizes of any value that are fixed for constants too, not those of weights only.
    """

    def __init__(self, *, sizes: bool = False) -> None:
        super().__init__()
        self._sizes = sizes

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        folded = 0
        left = MOST_BYTES - _computed(graph)
        for node in list(all_nodes(graph)):
            inside = node.graph
            assert isinstance(inside, ir.Graph)
            known = _known_without_values(node)
            if known is None and self._sizes:
                known = _fixed_sizes(node)
            if known is not None:
                _replace(inside, node.outputs[0], known)
                inside.remove(node, safe=True)
                folded += 1
            elif _foldable(node):
                size = bytes_to_compute(node, graph.opset_imports[""])
                if size is None or size > left:
                    graph.meta[TOO_LARGE] = True
                    continue
                results = _evaluate(node, graph.opset_imports[""])
                if results is None:
                    continue
                left -= sum(array.nbytes for array in results)
                for value, array in zip(node.outputs, results):
                    constant = _replace(inside, value, array)
                    constant.meta[NO_WEIGHT] = node.op_type == "Expand"
                    constant.meta[LIFTED] = node.op_type not in _FILLING
                    constant.meta[_COMPUTED] = True
                _mark(node.inputs)
                inside.remove(node, safe=True)
                folded += 1
        return ir.passes.PassResult(model, modified=bool(folded))


def _computed(graph: ir.Graph) -> int:
    """How many bytes earlier passes have computed."""
    found = 0
    for value in graph.initializers.values():
        if value.meta.get(_COMPUTED) and value.const_value is not None:
            found += value.const_value.nbytes
    return found


def _known_without_values(node: ir.Node) -> np.ndarray | None:
    """The shape of a weight, and a constant that takes the type of a value."""
    if node.domain != "" or node.outputs[0].is_graph_output():
        return None
    first = node.inputs[0] if node.inputs else None
    tensor = first.const_value if first is not None and first.is_initializer() else None
    if first is None or tensor is None or first.is_graph_input():
        return None
    if node.op_type == "Shape":
        ends = [node.attributes.get(name) for name in ("start", "end")]
        places = slice(*(None if end is None else end.as_int() for end in ends))
        return np.array(tensor.shape.numpy()[places], np.int64)
    if node.op_type == "Size":
        return np.array(tensor.size, np.int64)
    like = node.inputs[1] if node.op_type == "CastLike" else None
    if like is not None and like.dtype is not None and _is_constant(first):
        return tensor.numpy().astype(like.dtype.numpy())
    return None


def _fixed_sizes(node: ir.Node) -> np.ndarray | None:
    """What Shape and Size give where it is known."""
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if node.op_type not in ("Shape", "Size") or node.domain != "" or shape is None:
        return None
    ends = [node.attributes.get(name) for name in ("start", "end")]
    sizes = list(shape)[slice(*(None if end is None else end.as_int() for end in ends))]
    if not all(isinstance(size, int) for size in sizes) or node.outputs[0].is_graph_output():
        return None
    known = np.array([int(size) for size in sizes if isinstance(size, int)], np.int64)
    return known if node.op_type == "Shape" else np.asarray(np.prod(known))


def _foldable(node: ir.Node) -> bool:
    if node.domain != "" or node.op_type in _RANDOM:
        return False
    if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
        return False
    if any(output.is_graph_output() for output in node.outputs):
        return False
    if node.op_type in QUANTIZING or is_dequantizing(node):
        return False
    if node.op_type in REPARAMETRIZATIONS and _is_written_as_weight(node.inputs[0]):
        return False
    return all(value is None or _is_constant(value) for value in node.inputs)


def _is_written_as_weight(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and not value.meta.get(LIFTED)


def _is_constant(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or not value.is_initializer() or value.is_graph_input():
        return False
    return tensor.size <= 1 or not tensor.dtype.is_floating_point()


def _evaluate(node: ir.Node, opset: int) -> list[np.ndarray] | None:
    """The outputs of a node; None where the onnx package errs on it, and the runtime is left to."""
    names = [value.name or "" if value is not None else "" for value in node.inputs]
    feeds = {
        value.name or "": value.const_value.numpy()
        for value in node.inputs
        if value is not None and value.const_value is not None
    }
    outputs = [value.name or "" for value in node.outputs]
    attributes = [ir.to_proto(attribute) for attribute in node.attributes.values()]
    proto = onnx.helper.make_node(node.op_type, names, outputs)
    proto.attribute.extend(attributes)
    infos = [onnx.helper.make_empty_tensor_value_info(name) for name in feeds]
    results = [onnx.helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = onnx.helper.make_graph([proto], "folded", infos, results)
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    try:
        evaluator = ReferenceEvaluator(model, new_ops=MOVEMENT)
        return [np.asarray(value) for value in evaluator.run(None, feeds)]
    except Exception:  # each operator's reference raises its own
        return None


def _mark(values: Iterable[ir.Value | None]) -> None:
    for value in values:
        if value is not None and value.dtype is not None and value.dtype.is_floating_point():
            value.meta[FOLDED_FROM] = True


def _replace(graph: ir.Graph, value: ir.Value, array: np.ndarray) -> ir.Value:
    name = value.name or ""
    value.name = f"{name}/folded"
    constant = ir.val(name, const_value=ir.tensor(np.asarray(array), name=name))
    graph.register_initializer(constant)
    value.replace_all_uses_with(constant)
    return constant
