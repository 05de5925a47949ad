"""Low-rank adapters beside linear layers (LoRA: Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.records import Adapter
from svgd_onnx.step_names import beside
from svgd_onnx.transforms.bodies import values_of, with_bodies
from svgd_onnx.transforms.finetune.adaptable import adaptable_weights
from svgd_onnx.transforms.finetune.initial_values import generator, kaiming_uniform
from svgd_onnx.transforms.finetune.linear_layers import CONVOLUTION, MATRIX, LinearLayer
from svgd_onnx.transforms.rule import number
from svgd_onnx.transforms.writer import Writer, take_place

TRANSPOSED = "transposed"

# The opset from which on an operand is broadcast without an attribute.
_BROADCASTING = 7
# What a convolution says of where its kernel stands.
_OF_PLACES = ("auto_pad", "dilations", "pads", "strides")


def adapters_of(
    graph: ir.Graph, weights: Collection[str], rank: int, alpha: float
) -> list[Adapter]:
    """Adapters for weights that `adaptable_weights` has found."""
    layers, _ = adaptable_weights(graph)
    taken = {value.name or "" for each in with_bodies(graph) for value in values_of(each)}
    made = []
    for name in weights:
        first = layers[name][0]
        down, up = (beside(f"{name}.lora_{factor}", taken) for factor in "AB")
        kind = TRANSPOSED if first.transposed else MATRIX
        kind = CONVOLUTION if first.kind == CONVOLUTION else kind
        made.append(Adapter(name, down, up, alpha / rank, kind, list(stored_shape(first))))
    return made


def stored_shape(layer: LinearLayer) -> tuple[int, ...]:
    """A weight's shape as it is stored; of a few bits, that of the matrix (inputs, outputs)."""
    return layer.shape[::-1] if layer.transposed else layer.shape


def factor_shapes(adapter: Adapter, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of A and B."""
    shape = tuple(adapter.shape)
    if adapter.kind == CONVOLUTION:
        return (rank, *shape[1:]), (shape[0], rank, *[1] * (len(shape) - 2))
    inputs, outputs = shape[::-1] if adapter.kind == TRANSPOSED else shape
    return (inputs, rank), (rank, outputs)


def initial_factors(adapters: Sequence[Adapter], rank: int, seed: int) -> dict[str, np.ndarray]:
    """A as PEFT fills it, B zeros, by name: so the model gives what it gave."""
    values = {}
    for each in adapters:
        down, up = factor_shapes(each, rank)
        fan_in = int(np.prod(down[1:])) if each.kind == CONVOLUTION else down[0]
        values[each.down] = kaiming_uniform(down, fan_in, generator(seed, each.down))
        values[each.up] = np.zeros(up, np.float32)
    return values


class LowRankAdapters(ir.passes.InPlacePass):
    """Writes adapters beside the layers of their weights, as products of their own.

    So x·A and (x·A)·B are operations with a weight each, on which T acts as on any other. The scaling
    stands between them, where there are the fewest numbers.

    Args:
        adapters: which.
        values: of the factors, by name.

    Requires: the model as it came, in `source_form`.
    """

    def __init__(self, adapters: Sequence[Adapter], values: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._adapters = adapters
        self._values = values

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        opset = graph.opset_imports[""]
        if self._adapters and opset < _BROADCASTING:
            raise UserError(
                f"The model has opset {opset}, and {option('lora')} needs {_BROADCASTING} or more: export it "
                "with a newer one."
            )
        layers, _ = adaptable_weights(graph) if self._adapters else ({}, {})
        for each in self._adapters:
            dtype = layers[each.weight][0].dtype
            down, up = (self._factor(graph, name, dtype) for name in (each.down, each.up))
            for place, layer in enumerate(layers[each.weight]):
                _write(graph, layer, each, down, up, f"{each.weight}.lora.{place}")
        return ir.passes.PassResult(model, modified=bool(self._adapters))

    def _factor(self, graph: ir.Graph, name: str, dtype: ir.DataType) -> ir.Value:
        numbers = self._values[name].astype(dtype.numpy())
        value = ir.val(name, const_value=ir.Tensor(numbers, dtype=dtype, name=name))
        graph.register_initializer(value)
        return value


def _write(
    graph: ir.Graph, layer: LinearLayer, adapter: Adapter, down: ir.Value, up: ir.Value, prefix: str
) -> None:
    node, output = layer.node, layer.node.outputs[0]
    write = Writer(prefix, graph.opset_imports[""])
    scaling = adapter.scaling * (number(node, "alpha", 1.0) if node.op_type == "Gemm" else 1.0)
    numbers = np.array(scaling, np.float32).astype(layer.dtype.numpy())
    name = f"{prefix}.scaling"
    scale = ir.val(name, const_value=ir.Tensor(numbers, dtype=layer.dtype, name=name))
    write.constants.append(scale)
    if adapter.kind == CONVOLUTION:
        places = {key: node.attributes[key].value for key in _OF_PLACES if key in node.attributes}
        low = write.node("Conv", node.inputs[0], down, **places)
        change = write.node("Conv", write.node("Mul", low, scale), up)
    else:
        low = write.node("MatMul", node.inputs[0], down)
        change = write.node("MatMul", write.node("Mul", low, scale), up)
    total = write.node("Add", output, change)
    added = total.producer()
    assert added is not None
    output.replace_all_uses_with(total, replace_graph_outputs=True)
    added.replace_input_with(0, output)
    write.insert_after(graph, node)
    take_place(total, output)
