"""A new last layer, for another number of classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.finetune.initial_values import HE, generator, he_normal
from svgd_onnx.transforms.finetune.linear_layers import (
    CONVOLUTION,
    LinearLayer,
    hands_on_weight,
    linear_layer,
    readers_of,
)
from svgd_onnx.transforms.quantization import PRODUCT_OF_BITS, QUANTIZING, is_dequantizing
from svgd_onnx.transforms.rule import integer
from svgd_onnx.transforms.stored_tensors import store, tensor_of

# What takes any number of classes, and gives as many.
_KEEP_CLASSES = frozenset(
    """AveragePool Cast Celu Clip Dropout Elu Erf Exp Flatten Gelu GlobalAveragePool GlobalMaxPool HardSigmoid
    HardSwish Identity LeakyRelu Log LogSoftmax MaxPool Mish Neg ReduceMax ReduceMean Relu Reshape Resize Selu
    Sigmoid Softmax Softplus Softsign Sqrt Squeeze Tanh Transpose Unsqueeze Upsample""".split()
)
# What takes any number of classes, and may give none.
_READ_CLASSES = frozenset({"ArgMax", "ArgMin", "ReduceSum", "Shape", "Size"})
_WITH_ONE_NUMBER = frozenset({"Add", "Div", "Mul", "Pow", "Sub"})
_QUANTIZED = frozenset({PRODUCT_OF_BITS, "MatMulInteger", "ConvInteger", *QUANTIZING})

# In the metadata of an output: its axes that had as many entries as there were classes.
_AXES = "svgd.axes_of_classes"


class NewHead(ir.passes.InPlacePass):
    """Gives the last layer before the prediction another number of outputs, and other numbers.

    The layer is a Gemm, a MatMul, with an Add behind it or not, or a Conv, whose output reaches the
    prediction through what takes any number of classes: Softmax, Flatten, a pooling and the like.

    Args:
        prediction: an output of the graph.
        classes: how many there shall be.
        init: one of `INITIALIZATIONS`, of the weight; a bias is 0.
        seed: of random numbers.

    Attributes:
        parameters: the names of the layer's weight and bias.

    Requires: the model as it came, in `source_form`.
    Ensures: nothing after the layer states a number of classes; `complete_shapes` states the outputs' again.

    Raises:
        UserError: there is no such layer, or something holds to the number of classes that it has.
    """

    def __init__(self, prediction: str, classes: int, init: str = HE, seed: int = 0) -> None:
        super().__init__()
        self._prediction = prediction
        self._classes = classes
        self._init = init
        self._seed = seed
        self.parameters: tuple[str, ...] = ()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        output = next(each for each in model.graph.outputs if each.name == self._prediction)
        layer = head_of(output)
        bias = bias_of(layer)
        self._refuse_other_readers(model.graph, layer, bias)
        outputs = layer.outputs
        numbers = np.zeros(self._sizes(layer), np.float32)
        if self._init == HE:
            random = generator(self._seed, layer.name)
            numbers = he_normal(numbers.shape, layer.fan_in, random)
        store(layer.weight, numbers)
        names = [layer.name]
        if bias is not None:
            tensor = tensor_of(bias)
            assert tensor is not None
            sizes = [int(size) for size in tensor.shape.numpy()]
            store(bias, np.zeros([*sizes[:-1], self._classes], np.float32))
            names.append(bias.name or "")
        for value in _after(layer, bias):
            _forget(value, outputs)
        for value in _forward_of(layer.weight):
            value.shape = None
        self.parameters = tuple(names)
        return ir.passes.PassResult(model, modified=True)

    def _sizes(self, layer: LinearLayer) -> tuple[int, ...]:
        """Of the weight as it is stored."""
        if layer.kind == CONVOLUTION:
            return (self._classes, *layer.shape[1:])
        sizes = (layer.shape[0], self._classes)
        return sizes[::-1] if layer.transposed else sizes

    def _refuse_other_readers(
        self, graph: ir.Graph, layer: LinearLayer, bias: ir.Value | None
    ) -> None:
        for parameter in (layer.weight, *([bias] if bias is not None else ())):
            others = [reader for reader in readers_of(parameter) if reader is not layer.node]
            if parameter is bias:
                others = [each for each in others if each.op_type != "Add" or len(others) > 1]
            if others:
                raise _no_head(f"'{parameter.name}' is read by {_called(others[0])} too")
        for value in _after(layer, bias):
            for reader, _ in value.uses():
                _check_reader(reader, graph, layer, bias)


def head_of(output: ir.Value) -> LinearLayer:
    """The last layer before an output.

    Raises:
        UserError: there is none, or what stands behind it is of as many classes as it has.
    """
    value: ir.Value | None = output
    while value is not None:
        node = value.producer()
        if node is None:
            raise _no_head(f"'{output.name}' is computed by no layer with a weight")
        if (
            node.op_type in _QUANTIZED
            or is_dequantizing(node)
            or node.op_type.startswith("QLinear")
        ):
            raise _no_head(f"the last layer is quantized ({_called(node)})")
        layer = linear_layer(node)
        if layer is not None:
            return _checked(layer)
        value = _on_the_way(node)
    raise AssertionError("a node without inputs is no way")


def bias_of(layer: LinearLayer) -> ir.Value | None:
    """The bias of a layer: its third input, or what an Add behind it adds; None if it has none.

    Raises:
        UserError: it is computed, or of another shape than one number a class.
    """
    if len(layer.node.inputs) > 2:
        bias = layer.node.inputs[2]
        if bias is None:
            return None
        tensor = tensor_of(bias)
        if tensor is None:
            raise _no_head(f"the bias of {_called(layer.node)} is computed")
    else:
        readers = [reader for reader, _ in layer.node.outputs[0].uses()]
        if len(readers) != 1 or readers[0].op_type != "Add" or readers[0].domain != "":
            return None
        bias = next(
            (
                value
                for value in readers[0].inputs
                if value is not None and tensor_of(value) is not None
            ),
            None,
        )
        tensor = None if bias is None else tensor_of(bias)
    if tensor is None or tensor.size == 1 != layer.outputs:
        return None
    sizes = list(tensor.shape.numpy())
    if sizes[-1] != layer.outputs or tensor.size != layer.outputs:
        if layer.kind == CONVOLUTION and len(layer.node.inputs) < 3:
            return None  # an Add behind, which is refused as what stands there
        raise _no_head(f"the bias of {_called(layer.node)} is of the shape {sizes}")
    return bias


def complete_shapes(source: ir.Model, canonical: ir.Model) -> None:
    """States the sizes of the outputs again that `NewHead` has changed, as they follow from the new layer.

    Args:
        source: the model as it came, with its new head.
        canonical: the same in canonical form, shapes inferred.
    """
    inferred = {unquoted(value.name or ""): value.shape for value in canonical.graph.outputs}
    for output in source.graph.outputs:
        axes, shape = output.meta.get(_AXES, ()), inferred.get(output.name or "")
        for axis in axes if shape is not None and output.shape is not None else ():
            size = shape[axis] if shape is not None and axis < len(shape) else None
            if isinstance(size, int) and output.shape is not None:
                output.shape[axis] = size


def _checked(layer: LinearLayer) -> LinearLayer:
    if layer.quantized:
        raise _no_head(f"the last layer, {_called(layer.node)}, is quantized")
    if layer.kind == CONVOLUTION and integer(layer.node, "group", 1) != 1:
        raise _no_head(f"{_called(layer.node)} has groups")
    return layer


def _on_the_way(node: ir.Node) -> ir.Value | None:
    """The input of a node that leads back to the last layer."""
    if node.domain == "" and node.op_type in _KEEP_CLASSES:
        return node.inputs[0]
    if node.domain == "" and node.op_type in _WITH_ONE_NUMBER and len(node.inputs) == 2:
        for one, other in (node.inputs, node.inputs[::-1]):
            tensor = None if other is None else tensor_of(other)
            if one is None or tensor is None:
                continue
            before = one.producer()
            layer = None if before is None else linear_layer(before)
            is_bias = node.op_type == "Add" and layer is not None and bias_of(layer) is other
            if tensor.size == 1 or is_bias:
                return one
    raise _no_head(f"{_called(node)} stands before the prediction")


def _check_reader(
    reader: ir.Node, graph: ir.Graph, layer: LinearLayer, bias: ir.Value | None
) -> None:
    """Refuses what holds to the number of classes, after the layer."""
    if reader.graph is not graph:
        raise _no_head(f"{_called(reader)}, in a body, reads what {_called(layer.node)} gives")
    if reader.op_type in ("Reshape", "Resize", "Upsample"):
        sizes = [tensor_of(value) for value in reader.inputs[1:] if value is not None]
        if reader.op_type == "Resize":
            sizes = sizes[2:]
        told = reader.attributes.get("shape")
        given = [] if told is None else list(told.as_ints())
        for tensor in sizes if reader.op_type != "Upsample" else ():
            given += [] if tensor is None else tensor.numpy().reshape(-1).tolist()
        if layer.outputs in given:
            raise _no_head(f"{_called(reader)} has its {layer.outputs} classes among its sizes")
        return
    if reader.domain == "" and reader.op_type in _KEEP_CLASSES | _READ_CLASSES:
        return
    if reader.domain == "" and reader.op_type in _WITH_ONE_NUMBER:
        tensors = [tensor_of(value) for value in reader.inputs if value is not None]
        if any(tensor is not None and tensor.size == 1 for tensor in tensors):
            return
        if bias is not None and bias in reader.inputs:
            return
    raise _no_head(f"{_called(reader)} reads what {_called(layer.node)} gives")


def _after(layer: LinearLayer, bias: ir.Value | None) -> Iterator[ir.Value]:
    """What is computed from a layer's output with its classes, itself first."""
    seen: set[ir.Value] = set()
    pending = [layer.node.outputs[0]]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        yield value
        for reader, _ in value.uses():
            if reader.op_type not in ("Shape", "Size"):
                pending += reader.outputs


def _forget(value: ir.Value, classes: int) -> None:
    """Takes back what is stated of a value's sizes; an output keeps those that are not of classes."""
    if not value.is_graph_output() or value.shape is None:
        value.shape = None
        return
    axes = [axis for axis, size in enumerate(value.shape) if size == classes]
    value.shape = ir.Shape(
        [None if axis in axes else size for axis, size in enumerate(value.shape)]
    )
    value.meta[_AXES] = axes


def _forward_of(weight: ir.Value) -> Iterator[ir.Value]:
    """What hands a weight on to its layer."""
    for reader, _ in weight.uses():
        if hands_on_weight(reader):
            yield reader.outputs[0]
            yield from _forward_of(reader.outputs[0])


def _called(node: ir.Node) -> str:
    return f"{node.op_type} '{node.name}'" if node.name else node.op_type


def _no_head(why: str) -> UserError:
    return UserError(
        f"The model has no last layer that {option('num_classes')} could make anew: {why}; give it the number "
        "of classes where it is exported."
    )
