"""Small models that ask for much: each is a function of one size, small in tests and large in tools/attack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from models import Network
from onnx import TensorProto, helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def _head(
    net: Network, value: str, opset: int = 17, domains: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """`value` (batch, 4) -> a dense layer -> logits (batch, 4)."""
    net.node("MatMul", value, net.weight("w", 4, 4), output="logits")
    return net.model(
        {"x": ("batch", 4)}, {"logits": ("batch", 4)}, opset=opset, domains=domains, check=False
    )


def chain(nodes: int) -> onnx.ModelProto:
    """Tanh after Tanh."""
    net, value = Network(), "x"
    for _ in range(nodes):
        value = net.node("Tanh", value)
    return _head(net, value)


def constant_chain(nodes: int) -> onnx.ModelProto:
    """One number added to another, again and again, which all is constant."""
    net = Network()
    value = net.constant("one", np.float32(1))
    for _ in range(nodes):
        value = net.node("Add", value, "one")
    return _head(net, net.node("Mul", "x", value))


def transposed_weight(nodes: int) -> onnx.ModelProto:
    """A weight transposed to and fro."""
    net = Network()
    value = net.weight("w0", 4, 4)
    for _ in range(nodes):
        value = net.node("Transpose", value)
    return _head(net, net.node("MatMul", "x", value))


def wide(nodes: int) -> onnx.ModelProto:
    """One value that many read."""
    net = Network()
    first = net.node("Tanh", "x")
    values = [net.node("Tanh", first) for _ in range(nodes)]
    return _head(net, net.node("Sum", *values))


def doubled_sum(depth: int) -> onnx.ModelProto:
    """x + x, and so on: as many ways through the graph as 2 to the depth."""
    net, value = Network(), "x"
    for _ in range(depth):
        value = net.node("Tanh", net.node("Add", value, value))
    return _head(net, value)


def nested_if(depth: int, condition: bool | None = None) -> onnx.ModelProto:
    """An If in each branch of an If, `depth` deep; the condition is the data's, or constant."""
    net = Network()
    if condition is None:
        total = net.node("ReduceSum", "x", keepdims=0)
        net.node("Greater", total, net.constant("zero", np.float32(0)), output="condition")
    else:
        net.constant("condition", np.array(condition))
    net.node("MatMul", "x", net.weight("v", 4, 4), output="h")
    node = helper.make_node("Tanh", ["h"], ["chosen"])
    for level in range(
        depth
    ):  # from the inmost out, as protobuf's Python does not copy what is nested deep
        outer = onnx.NodeProto(op_type="If", input=["condition"], output=["chosen"])
        for name, taken in (("then_branch", node), ("else_branch", _tanh(level))):
            branch = outer.attribute.add(name=name, type=onnx.AttributeProto.GRAPH).g
            branch.name = name
            inner = branch.node.add()
            inner.CopyFrom(taken)
            if inner.op_type == "If":
                inner.output[0] = f"then_{level}"
            branch.output.add(name=inner.output[0]).type.tensor_type.elem_type = FLOAT
        node = outer
    net.nodes.append(node)
    return _head(net, "chosen")


def _tanh(level: int) -> onnx.NodeProto:
    return helper.make_node("Relu", ["h"], [f"else_{level}"])


def doubling_functions(depth: int) -> onnx.ModelProto:
    """Functions of which each calls the next twice: 2 to the depth nodes, once they are inlined."""
    domain = "bomb"
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    functions = []
    for level in range(depth):
        op_type, where = (f"f{level + 1}", domain) if level + 1 < depth else ("Tanh", "")
        nodes = [
            helper.make_node(op_type, ["a"], ["b"], domain=where),
            helper.make_node(op_type, ["b"], ["c"], domain=where),
        ]
        functions.append(helper.make_function(domain, f"f{level}", ["a"], ["c"], nodes, opsets))
    net = Network()
    net.nodes.append(helper.make_node("f0", ["x"], ["y"], domain=domain))
    model = _head(net, "y", domains=(domain,))
    model.functions.extend(functions)
    return model


def chained_functions(depth: int) -> onnx.ModelProto:
    """Functions of which each calls the next once."""
    domain = "bomb"
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    net = Network()
    net.nodes.append(helper.make_node("f0", ["x"], ["y"], domain=domain))
    model = _head(net, "y", domains=(domain,))
    for level in range(depth):
        op_type, where = (f"f{level + 1}", domain) if level + 1 < depth else ("Tanh", "")
        node = helper.make_node(op_type, ["a"], ["b"], domain=where)
        model.functions.append(
            helper.make_function(domain, f"f{level}", ["a"], ["b"], [node], opsets)
        )
    return model


def calling_itself(_: int) -> onnx.ModelProto:
    """A function that calls itself."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("bomb", 1)]
    net = Network()
    net.nodes.append(helper.make_node("f", ["x"], ["y"], domain="bomb"))
    model = _head(net, "y", domains=("bomb",))
    node = helper.make_node("f", ["a"], ["b"], domain="bomb")
    model.functions.append(helper.make_function("bomb", "f", ["a"], ["b"], [node], opsets))
    return model


def _added(make: Callable[[Network], str]) -> onnx.ModelProto:
    """x plus the mean of a large constant tensor."""
    net = Network()
    mean = net.node("ReduceMean", make(net), keepdims=0)
    return _head(net, net.node("Add", "x", mean))


def _sizes(net: Network, *sizes: int) -> str:
    return net.constant(f"sizes_{len(net.nodes)}", np.array(sizes, np.int64))


def constant_of_shape(size: int) -> onnx.ModelProto:
    return _added(lambda net: net.node("ConstantOfShape", _sizes(net, size)))


def expand(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node("Expand", net.constant("c", np.float32([1])), _sizes(net, size))
    )


def tile(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node("Tile", net.constant("c", np.float32([1])), _sizes(net, size))
    )


def range_(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node(
            "Cast",
            net.node(
                "Range",
                net.constant("start", np.int64(0)),
                net.constant("end", np.int64(size)),
                net.constant("step", np.int64(1)),
            ),
            to=FLOAT,
        )
    )


def doubled_tile(depth: int) -> onnx.ModelProto:
    """Tile by two, and so on: integers of 2 to the depth."""

    def make(net: Network) -> str:
        value = net.constant("c", np.array([1], np.int64))
        for _ in range(depth):
            value = net.node("Tile", value, _sizes(net, 2))
        return net.node("Cast", value, to=FLOAT)

    return _added(make)


def doubled_concat(depth: int) -> onnx.ModelProto:
    """A vector of integers joined with itself, and so on."""

    def make(net: Network) -> str:
        value = net.constant("c", np.array([1], np.int64))
        for _ in range(depth):
            value = net.node("Concat", value, value, axis=0)
        return net.node("Cast", value, to=FLOAT)

    return _added(make)


def pad(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node("Pad", net.constant("c", np.float32([1])), _sizes(net, 0, size))
    )


def resize(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node(
            "Resize", net.constant("c", np.float32([[[1]]])), "", "", _sizes(net, 1, 1, size)
        )
    )


def one_hot(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node(
            "OneHot",
            net.constant("places", np.array([0], np.int64)),
            net.constant("depth", np.int64(size)),
            net.constant("values", np.float32([0, 1])),
        )
    )


def eye_like(size: int) -> onnx.ModelProto:
    return _added(
        lambda net: net.node(
            "EyeLike", net.node("ConstantOfShape", _sizes(net, size, size)), dtype=FLOAT
        )
    )


def window(size: int) -> onnx.ModelProto:
    return _added(lambda net: net.node("HannWindow", net.constant("size", np.int64(size))))


def bit_shift(size: int) -> onnx.ModelProto:
    """NonZero, and a product, of what a Range gives."""
    return _added(
        lambda net: net.node(
            "Cast",
            net.node(
                "MatMul",
                net.node("ConstantOfShape", _sizes(net, size, 1)),
                net.node("ConstantOfShape", _sizes(net, 1, size)),
            ),
            to=FLOAT,
        )
    )


def _loop(net: Network, turns: int, *, grows: bool) -> str:
    state = "joined" if grows else "next"
    nodes = [
        helper.make_node("Identity", ["on"], ["on_"]),
        helper.make_node("Tanh", ["s"], ["next"]),
    ]
    if grows:
        nodes.append(helper.make_node("Concat", ["next", "x"], ["joined"], axis=1))
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on_", TensorProto.BOOL, []),
            helper.make_tensor_value_info(state, FLOAT, None),
        ],
    )
    net.constant("turns", np.int64(turns))
    net.constant("start", np.array(True))
    return net.node("Loop", "turns", "start", "x", body=body)


def loop(turns: int) -> onnx.ModelProto:
    """A Loop of a known number of turns."""
    net = Network()
    return _head(net, _loop(net, turns, grows=False))


def growing_loop(turns: int) -> onnx.ModelProto:
    """A Loop whose state grows, so that it would be unrolled."""
    net = Network()
    grown = _loop(net, turns, grows=True)
    return _head(
        net,
        net.node(
            "Slice",
            grown,
            _sizes(net, 0),
            net.constant("four", np.array([4])),
            net.constant("axis", np.array([1])),
        ),
    )


def scan(length: int) -> onnx.ModelProto:
    """A Scan over a long constant."""
    net = Network()
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "t"], ["u"])],
        "body",
        [helper.make_tensor_value_info(name, FLOAT, []) for name in "st"],
        [helper.make_tensor_value_info("u", FLOAT, [])],
    )
    items = net.node("ConstantOfShape", _sizes(net, length))
    total = net.node(
        "Scan", net.constant("zero", np.float32(0)), items, body=body, num_scan_inputs=1
    )
    return _head(net, net.node("Add", "x", total))


def initializer_without_data(size: int) -> onnx.ModelProto:
    """An initializer that says it is large, and holds nothing."""
    model = _added(lambda net: "large")
    model.graph.initializer.append(TensorProto(name="large", data_type=FLOAT, dims=[size]))
    return model


def weight_without_data(size: int) -> onnx.ModelProto:
    """The same, as the weight of a layer."""
    net = Network()
    value = net.node("MatMul", "x", "large")
    model = _head(net, net.node("MatMul", value, net.weight("v", size, 4) if size < 9 else "back"))
    for name, dims in (("large", [4, size]), ("back", [size, 4])):
        model.graph.initializer.append(TensorProto(name=name, data_type=FLOAT, dims=dims))
    return model


def sparse_initializer(size: int) -> onnx.ModelProto:
    """One number in a sparse tensor of a large shape."""
    model = _added(lambda net: "large")
    values = helper.make_tensor("large", FLOAT, [1], [1.0])
    indices = helper.make_tensor("places", INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [size]))
    return model


def sparse_constant(size: int) -> onnx.ModelProto:
    """The same, in a Constant."""
    values = helper.make_tensor("large", FLOAT, [1], [1.0])
    indices = helper.make_tensor("places", INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [size])
    return _added(lambda net: net.node("Constant", sparse_value=sparse))


def large_input(size: int) -> onnx.ModelProto:
    """An input of a fixed large size, of which the mean is taken."""
    model = _added(lambda net: "large")
    model.graph.input.append(helper.make_tensor_value_info("large", FLOAT, [size]))
    return model


def large_r(size: int) -> onnx.ModelProto:
    """A layer's output of a large fixed size, for each element of which there would be an r."""
    net = Network()
    wide_ = net.node("Expand", net.node("Unsqueeze", "x", _sizes(net, 1)), _sizes(net, 1, size, 4))
    value = net.node("MatMul", wide_, net.weight("v", 4, 4))
    return _head(net, net.node("ReduceMean", value, axes=[1], keepdims=0))


def long_lstm(steps: int) -> onnx.ModelProto:
    """An LSTM over many steps."""
    net = Network()
    x = net.node("Expand", net.node("Unsqueeze", "x", _sizes(net, 0)), _sizes(net, steps, 1, 4))
    net.nodes.append(
        helper.make_node(
            "LSTM",
            [x, net.weight("W", 1, 16, 4), net.weight("R", 1, 16, 4)],
            ["", "hidden"],
            hidden_size=4,
        )
    )
    return _head(net, net.node("Squeeze", "hidden", _sizes(net, 0)))


def long_reshape(size: int) -> onnx.ModelProto:
    """A vector of sizes as long as a constant says."""

    def value(net: Network) -> str:
        batch = net.node("Shape", "x", start=0, end=1)
        sizes = net.node("Concat", net.node("Reshape", batch, _sizes(net, size)), batch, axis=0)
        return net.node("Expand", net.constant("one", np.ones(1, np.float32)), sizes)

    return _added(value)


def reshape_to_axes(axes: int) -> onnx.ModelProto:
    """As many axes as a vector of sizes is long, whose numbers the data have."""
    net = Network()
    batch = net.node("Shape", "x", start=0, end=1)
    value = net.node("Reshape", "x", net.node("Reshape", batch, _sizes(net, axes)))
    return _head(net, net.node("Add", "x", net.node("ReduceMean", value, keepdims=0)))


def many_ones(axes: int) -> onnx.ModelProto:
    """A tensor of a thousand axes."""
    return _added(lambda net: net.node("ConstantOfShape", _sizes(net, *[1] * axes)))


def many_inputs(count: int) -> onnx.ModelProto:
    net = Network()
    names = ["x", *(f"x{i}" for i in range(count))]
    model = _head(net, net.node("Sum", *names))
    model.graph.input.extend(
        helper.make_tensor_value_info(name, FLOAT, ["batch", 4]) for name in names[1:]
    )
    return model


def many_weights(count: int) -> onnx.ModelProto:
    net, value = Network(), "x"
    for i in range(count):
        value = net.node("Tanh", net.node("MatMul", value, net.weight(f"w{i}", 4, 4)))
    return _head(net, value)


def long_name(length: int) -> onnx.ModelProto:
    net = Network()
    value = net.node("Tanh", "x", output="n" * length)
    return _head(net, net.node("Nope", value))


def deep_einsum(size: int) -> onnx.ModelProto:
    """A convolution with a huge kernel, whose sizes are attributes."""
    net = Network()
    image = net.node("Reshape", "x", _sizes(net, -1, 1, 2, 2))
    value = net.node("AveragePool", image, kernel_shape=[size, size], pads=[size // 2] * 4)
    value = net.node("ReduceMean", value, axes=[1, 2, 3], keepdims=0)
    return _head(net, net.node("Add", "x", net.node("Unsqueeze", value, _sizes(net, 1))))


def max_pool(size: int) -> onnx.ModelProto:
    """A window with as many places as `size`."""
    net = Network()
    image = net.node(
        "Reshape", net.node("MatMul", "x", net.weight("v", 4, 4)), _sizes(net, -1, 1, 4)
    )
    value = net.node("MaxPool", image, kernel_shape=[size], pads=[size // 2, size // 2])
    value = net.node("ReduceMean", value, axes=[2], keepdims=0)
    return _head(net, net.node("Add", "x", value))


# name -> the model of a size, the size of the attack, and one that a test can wait for.
BOMBS: dict[str, tuple[Callable[[int], onnx.ModelProto], int, int]] = {
    "chain": (chain, 20_000, 100),
    "constant_chain": (constant_chain, 20_000, 100),
    "transposed_weight": (transposed_weight, 20_000, 50),
    "wide": (wide, 20_000, 300),
    "wide_8000": (wide, 8_000, 300),
    "doubled_sum": (doubled_sum, 200, 40),
    "nested_if_20": (nested_if, 20, 3),
    "nested_if_30": (nested_if, 30, 3),
    "nested_constant_if_20": (lambda n: nested_if(n, True), 20, 4),
    "doubling_functions": (doubling_functions, 22, 22),
    "chained_functions": (chained_functions, 3_000, 300),
    "calling_itself": (calling_itself, 0, 0),
    "constant_of_shape": (constant_of_shape, 10**12, 10**12),
    "expand": (expand, 10**12, 10**12),
    "tile": (tile, 10**12, 10**12),
    "range": (range_, 10**12, 10**12),
    "constant_of_shape_5e8": (constant_of_shape, 5 * 10**8, 10**12),
    "expand_5e8": (expand, 5 * 10**8, 10**12),
    "tile_5e8": (tile, 5 * 10**8, 10**12),
    "range_5e8": (range_, 5 * 10**8, 10**12),
    "doubled_tile": (doubled_tile, 40, 40),
    "doubled_tile_28": (doubled_tile, 28, 8),
    "doubled_concat": (doubled_concat, 40, 28),
    "pad": (pad, 10**12, 10**12),
    "resize": (resize, 10**12, 10**12),
    "one_hot": (one_hot, 10**12, 10**12),
    "eye_like": (eye_like, 10**6, 10**6),
    "window": (window, 10**12, 10**12),
    "outer_product": (bit_shift, 10**6, 10**6),
    "loop": (loop, 10**9, 10**9),
    "growing_loop": (growing_loop, 10**9, 10**9),
    "growing_loop_256": (growing_loop, 256, 20),
    "scan": (scan, 10**9, 10**9),
    "initializer_without_data": (initializer_without_data, 10**12, 10**12),
    "weight_without_data": (weight_without_data, 10**12, 10**12),
    "sparse_initializer": (sparse_initializer, 10**12, 10**12),
    "sparse_constant": (sparse_constant, 10**12, 10**12),
    "large_input": (large_input, 10**12, 10**12),
    "large_r": (large_r, 10**12, 10**12),
    "large_r_1e8": (large_r, 10**8, 10**12),
    "long_lstm": (long_lstm, 10**9, 10**9),
    "long_lstm_65536": (long_lstm, 65_536, 65_536),
    "long_lstm_1e6": (long_lstm, 10**6, 10**6),
    "long_reshape": (long_reshape, 7 * 10**18, 7 * 10**18),
    "many_axes": (many_ones, 5_000, 1_000),
    "reshape_to_axes": (reshape_to_axes, 65_536, 65_536),
    "reshape_to_axes_1e7": (reshape_to_axes, 10**7, 10**5),
    "many_inputs": (many_inputs, 5_000, 100),
    "many_weights": (many_weights, 2_000, 100),
    "long_name": (long_name, 10**7, 10**5),
    "average_pool": (deep_einsum, 10**9, 10**9),
    "max_pool": (max_pool, 10**9, 10**9),
    "max_pool_1e5": (max_pool, 10**5, 10**9),
}
