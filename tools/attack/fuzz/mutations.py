"""Mutations of a model: fields of its messages that become others."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import onnx

from tools.attack.fuzz.damage import NAMES, NUMBERS, REALS, damaged

Mutation = Callable[[onnx.ModelProto, Random], None]

_OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain})
_TYPES = range(27)


def _names(graph: onnx.GraphProto) -> list[str]:
    values = [value.name for value in (*graph.input, *graph.initializer)]
    return [*values, *(name for node in graph.node for name in node.output), ""]


def number_of_an_attribute(model: onnx.ModelProto, draw: Random) -> None:
    found = [each for node in model.graph.node for each in node.attribute]
    if not found:
        return
    attribute = draw.choice(found)
    if attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = draw.choice(REALS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = draw.choice(NAMES).encode(errors="replace")
    else:
        attribute.i = draw.choice(NUMBERS)


def length_of_an_attribute(model: onnx.ModelProto, draw: Random) -> None:
    found = [each for node in model.graph.node for each in node.attribute if each.ints]
    if found:
        attribute = draw.choice(found)
        attribute.ints[:] = [draw.choice(NUMBERS) for _ in range(draw.randrange(6))]


def without_an_attribute(model: onnx.ModelProto, draw: Random) -> None:
    found = [node for node in model.graph.node if node.attribute]
    if found:
        node = draw.choice(found)
        del node.attribute[draw.randrange(len(node.attribute))]


def size_of_a_tensor(model: onnx.ModelProto, draw: Random) -> None:
    if model.graph.initializer:
        dims = draw.choice(model.graph.initializer).dims
        if dims and draw.random() < 0.7:
            dims[draw.randrange(len(dims))] = draw.choice(NUMBERS)
        else:
            dims.append(draw.choice((0, 1, 2)))


def order_of_sizes(model: onnx.ModelProto, draw: Random) -> None:
    if model.graph.initializer:
        tensor = draw.choice(model.graph.initializer)
        dims = list(tensor.dims)
        draw.shuffle(dims)
        tensor.dims[:] = dims


def numbers_of_a_tensor(model: onnx.ModelProto, draw: Random) -> None:
    found = [each for each in model.graph.initializer if each.raw_data]
    if found:
        tensor = draw.choice(found)
        length = len(tensor.raw_data)
        other = damaged(tensor.raw_data, draw)
        tensor.raw_data = (other + bytes(length))[:length] if draw.random() < 0.8 else other


def small_integers(model: onnx.ModelProto, draw: Random) -> None:
    """Axes, sizes and indices that are others."""
    found = [each for each in model.graph.initializer if each.data_type == onnx.TensorProto.INT64]
    found = [each for each in found if each.raw_data]
    if found:
        tensor = draw.choice(found)
        at = 8 * draw.randrange(len(tensor.raw_data) // 8)
        number = draw.choice(NUMBERS).to_bytes(8, "little", signed=True)
        tensor.raw_data = tensor.raw_data[:at] + number + tensor.raw_data[at + 8 :]


def size_of_a_value(model: onnx.ModelProto, draw: Random) -> None:
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    if not values:
        return
    shape = draw.choice(values).type.tensor_type.shape
    how = draw.randrange(4)
    if how == 0 or not shape.dim:
        shape.dim.add().dim_value = draw.choice(NUMBERS)
    elif how == 1:
        del shape.dim[draw.randrange(len(shape.dim))]
    elif how == 2:
        draw.choice(shape.dim).dim_value = draw.choice(NUMBERS)
    else:
        draw.choice(shape.dim).dim_param = draw.choice(NAMES)


def type_of_a_value(model: onnx.ModelProto, draw: Random) -> None:
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    if values:
        draw.choice(values).type.tensor_type.elem_type = draw.choice(_TYPES)


def type_of_a_tensor(model: onnx.ModelProto, draw: Random) -> None:
    if model.graph.initializer:
        draw.choice(model.graph.initializer).data_type = draw.choice(_TYPES)


def name_of_a_value(model: onnx.ModelProto, draw: Random) -> None:
    """One value goes by another name wherever it is read."""
    old = draw.choice(_names(model.graph))
    new = draw.choice((*NAMES, draw.choice(_names(model.graph))))
    if not old:
        return
    for each in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        each.name = new if each.name == old else each.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def name_of_a_node(model: onnx.ModelProto, draw: Random) -> None:
    draw.choice(model.graph.node).name = draw.choice(NAMES)


def wiring(model: onnx.ModelProto, draw: Random) -> None:
    node = draw.choice(model.graph.node)
    names = _names(model.graph)
    if node.input and draw.random() < 0.7:
        node.input[draw.randrange(len(node.input))] = draw.choice(names)
    elif draw.random() < 0.5:
        node.input.append(draw.choice(names))
    elif node.input:
        del node.input[draw.randrange(len(node.input))]


def order_of_inputs(model: onnx.ModelProto, draw: Random) -> None:
    node = draw.choice(model.graph.node)
    inputs = list(node.input)
    draw.shuffle(inputs)
    node.input[:] = inputs


def outputs_of_a_node(model: onnx.ModelProto, draw: Random) -> None:
    node = draw.choice(model.graph.node)
    if node.output and draw.random() < 0.5:
        del node.output[draw.randrange(len(node.output))]
    else:
        node.output.append(draw.choice(NAMES))


def operator(model: onnx.ModelProto, draw: Random) -> None:
    draw.choice(model.graph.node).op_type = draw.choice(_OPERATORS)


def domain(model: onnx.ModelProto, draw: Random) -> None:
    name = draw.choice(("com.microsoft", "ai.svgd", "ai.onnx.ml", "ai.onnx", "x"))
    draw.choice(model.graph.node).domain = name
    if draw.random() < 0.7:
        model.opset_import.add(domain=name, version=1)


def nodes(model: onnx.ModelProto, draw: Random) -> None:
    """One is gone, one is there twice, or they stand in another order."""
    how, every = draw.randrange(3), list(model.graph.node)
    if how == 0 and len(every) > 1:
        del model.graph.node[draw.randrange(len(every))]
    elif how == 1:
        model.graph.node.add().CopyFrom(draw.choice(every))
    else:
        draw.shuffle(every)
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in every]
        del model.graph.node[:]
        model.graph.node.extend(copies)


def ends_of_the_graph(model: onnx.ModelProto, draw: Random) -> None:
    values = draw.choice((model.graph.input, model.graph.output, model.graph.initializer))
    if not values:
        return
    if draw.random() < 0.5:
        del values[draw.randrange(len(values))]
    else:
        draw.choice(values).name = draw.choice(_names(model.graph))


def versions(model: onnx.ModelProto, draw: Random) -> None:
    if model.opset_import and draw.random() < 0.8:
        draw.choice(model.opset_import).version = draw.choice((*range(1, 27), *NUMBERS))
    else:
        model.ir_version = draw.choice(NUMBERS)


def any_field(model: onnx.ModelProto, draw: Random) -> None:
    """A field of any message within: set to something, emptied, or put in."""
    message: Any = model
    while True:
        field = draw.choice(message.DESCRIPTOR.fields)
        value = getattr(message, field.name)
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == 3
        if field.message_type is not None:
            if not repeated:
                if draw.random() < 0.1:
                    message.ClearField(field.name)
                    return
                message = value
            elif not value or draw.random() < 0.05:
                message = value.add()
            else:
                message = draw.choice(value)
            continue
        new = _scalar(field, draw)
        if not repeated:
            setattr(message, field.name, new)
        elif value and draw.random() < 0.5:
            value[draw.randrange(len(value))] = new
        else:
            value.append(new)
        return


def _scalar(field: Any, draw: Random) -> Any:
    if field.enum_type is not None:
        return draw.choice([each.number for each in field.enum_type.values])
    if field.cpp_type == field.CPPTYPE_STRING:
        text = draw.choice(NAMES)
        return text if field.type == field.TYPE_STRING else text.encode(errors="replace")
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return draw.choice(REALS)
    bits = 32 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 64
    number = draw.choice(NUMBERS) % 2**bits
    unsigned = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    return number if unsigned or number < 2 ** (bits - 1) else number - 2**bits


MUTATIONS: tuple[Mutation, ...] = (
    number_of_an_attribute,
    length_of_an_attribute,
    without_an_attribute,
    size_of_a_tensor,
    order_of_sizes,
    numbers_of_a_tensor,
    small_integers,
    size_of_a_value,
    type_of_a_value,
    type_of_a_tensor,
    name_of_a_value,
    name_of_a_node,
    wiring,
    wiring,
    order_of_inputs,
    outputs_of_a_node,
    operator,
    operator,
    domain,
    nodes,
    ends_of_the_graph,
    versions,
    any_field,
    any_field,
)
