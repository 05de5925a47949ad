"""The reference is itself checked: against ONNX's evaluator, finite differences and hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from reference import LOSSES, OPERATORS, forward, virtual_gradients, virtual_step

OPSET = 17


def model_of(
    nodes: list[onnx.NodeProto], tensors: Mapping[str, np.ndarray], opset: int = OPSET
) -> onnx.ModelProto:
    """A model without inputs: every tensor (...) is an initializer, the output is y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [],
        [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normal(seed: int, *shape: int) -> np.ndarray:
    """Gaussian numbers of this shape."""
    return np.random.default_rng(seed).normal(size=shape)


def assert_gradients(
    model: onnx.ModelProto, target: np.ndarray, loss: str, trainable: list[str]
) -> None:
    """Plain gradients against central differences, along four random directions a parameter."""
    step = {"loss": loss, "output": "y", "trainable": trainable, "method": "sgd"}
    gradients = virtual_gradients(model, {}, target, **step).gradients
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}

    def slope(name: str, direction: np.ndarray, h: float = 1e-5) -> float:
        ends = (tensors[name] + sign * h * direction for sign in (1, -1))
        up, down = (
            LOSSES[loss](forward(model, {name: end}, "y").values["y"], target)[0] for end in ends
        )
        return (up - down) / (2 * h)

    for name in trainable:
        assert gradients[name].shape == tensors[name].shape
        directions = normal(7, 4, *tensors[name].shape)
        numeric = np.array([slope(name, direction) for direction in directions])
        analytic = (directions * gradients[name]).reshape(4, -1).sum(axis=1)
        error, size = np.linalg.norm(numeric - analytic), np.linalg.norm(analytic)
        assert error <= 1e-6 * size + 1e-10, (name, error, size)


IMAGE = (2, 4, 7, 6)

# op type, inputs (a shape stands for a trainable Gaussian tensor), attributes
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Gemm", [(5, 3), (3, 4)], {}),
    ("Gemm", [(5, 3), (3, 4), (4,)], {"alpha": 0.7, "beta": 1.3}),
    ("Gemm", [(3, 5), (4, 3), (5, 1)], {"transA": 1, "transB": 1}),
    ("Gemm", [(5, 3), (4, 3), (1,)], {"transB": 1, "alpha": -2.0}),
    ("MatMul", [(5, 3), (3, 4)], {}),
    ("MatMul", [(2, 5, 3), (3, 4)], {}),
    ("MatMul", [(2, 1, 5, 3), (4, 3, 2)], {}),
    ("MatMul", [(3,), (2, 3, 4)], {}),
    ("MatMul", [(2, 4, 3), (3,)], {}),
    ("Conv", [IMAGE, (6, 4, 3, 3)], {}),
    ("Conv", [IMAGE, (6, 4, 3, 2), (6,)], {"pads": [1, 0, 2, 1], "strides": [2, 3]}),
    ("Conv", [IMAGE, (6, 2, 3, 2), (6,)], {"group": 2, "dilations": [2, 3], "pads": [1, 2, 1, 0]}),
    ("Conv", [IMAGE, (4, 1, 3, 3)], {"group": 4, "strides": [2, 1]}),
    ("Conv", [(2, 4, 9), (6, 2, 3), (6,)], {"group": 2, "strides": [2], "pads": [2, 1]}),
    ("Add", [(2, 3, 4), (3, 1)], {}),
    ("Sub", [(3, 1), (2, 3, 4)], {}),
    ("Mul", [(2, 3, 4), (1, 3, 1)], {}),
    ("Div", [(2, 3, 4), np.array([[1.5], [-0.8], [2.0]])], {}),
    ("Relu", [(4, 5)], {}),
    ("Sigmoid", [(4, 5)], {}),
    ("Tanh", [(4, 5)], {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("AveragePool", [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    (
        "AveragePool",
        [IMAGE],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    ("GlobalAveragePool", [IMAGE], {}),
    ("ReduceMean", [(2, 3, 4)], {"axes": [-1, 0], "keepdims": 0}),
    ("ReduceMean", [(2, 3, 4)], {"axes": [1]}),
    ("ReduceMean", [(2, 3, 4)], {"keepdims": 0}),
    ("Flatten", [(2, 3, 4)], {}),
    ("Flatten", [(2, 3, 4)], {"axis": -1}),
    ("Reshape", [(2, 3, 4), np.array([0, -1, 2])], {}),
    ("Transpose", [(2, 3, 4)], {"perm": [2, 0, 1]}),
    ("Transpose", [(2, 3, 4)], {}),
    ("Squeeze", [(2, 1, 3, 1), np.array([-1])], {}),
    ("Squeeze", [(2, 1, 3, 1)], {}),
    ("Unsqueeze", [(2, 3), np.array([0, 3])], {}),
    ("Identity", [(2, 3)], {}),
    ("Dropout", [(2, 3)], {}),
    ("Concat", [(2, 3, 4), (2, 1, 4), (2, 2, 4)], {"axis": 1}),
    ("Pad", [(2, 3, 4), np.array([0, 1, 0, 0, 2, 1])], {}),
    ("Gather", [(4, 3), np.array([[1, 3], [1, 0]])], {}),
    ("Gather", [(2, 4, 3), np.array(2)], {"axis": 1}),
    ("Softmax", [(2, 3, 4)], {}),
    ("Softmax", [(2, 3, 4)], {"axis": 1}),
    ("LogSoftmax", [(2, 3, 4)], {"axis": 1}),
    ("Cast", [(2, 3)], {"to": onnx.TensorProto.DOUBLE}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=lambda value: str(value)[:40])
def test_operator(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    names = [f"x{i}" for i in range(len(inputs))]
    tensors = {
        name: normal(i, *value) if isinstance(value, tuple) else value
        for i, (name, value) in enumerate(zip(names, inputs))
    }
    model = model_of([helper.make_node(op, names, ["y"], **attributes)], tensors)
    y = forward(model, {}, "y").values["y"]
    np.testing.assert_allclose(y, ReferenceEvaluator(model).run(None, {})[0], rtol=1e-6, atol=1e-12)
    trainable = [name for name in names if tensors[name].dtype == np.float64]
    assert_gradients(model, normal(99, *y.shape), "mse", trainable)


@pytest.mark.parametrize(
    ("mode", "pads"),
    [("SAME_UPPER", [1, 0, 1, 1]), ("SAME_LOWER", [1, 1, 1, 0]), ("VALID", [0, 0, 0, 0])],
)
@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool"])
def test_auto_pad(op: str, mode: str, pads: list[int]) -> None:
    """Stride 2 over (7, 6): SAME yields (4, 3), so 3 * 2 + 3 - 7 = 2 and 2 * 2 + 3 - 6 = 1 more."""
    tensors = {"x": normal(0, *IMAGE), **({"w": normal(1, 5, 4, 3, 3)} if op == "Conv" else {})}

    def run(**padding: Any) -> Any:
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], **padding}
        model = model_of([helper.make_node(op, list(tensors), ["y"], **attributes)], tensors)
        y = forward(model, {}, "y").values["y"]
        step = {"loss": "mse", "output": "y", "trainable": list(tensors)}
        return y, virtual_gradients(model, {}, np.zeros(y.shape), **step).gradients

    np.testing.assert_equal(run(auto_pad=mode), run(pads=pads))


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (3, 3, 2, 4)], ids=str)
def test_batch_normalization(shape: tuple[int, ...]) -> None:
    tensors = {
        "x": normal(0, *shape),
        "scale": normal(1, 3),
        "bias": normal(2, 3),
        "mean": normal(3, 3),
        "var": normal(4, 3) ** 2,
    }
    attributes = {"epsilon": 1e-3, "momentum": 0.8}
    inference = helper.make_node("BatchNormalization", list(tensors), ["y"], **attributes)
    training = helper.make_node(
        "BatchNormalization", list(tensors), ["y", "m", "v"], training_mode=1, **attributes
    )
    expected = ReferenceEvaluator(model_of([training], tensors)).run(["y"], {})[0]
    model, target = model_of([inference], tensors), normal(5, *shape)
    np.testing.assert_allclose(forward(model, {}, "y").values["y"], expected, rtol=1e-6)
    assert_gradients(model, target, "mse", ["x", "scale", "bias"])

    result = virtual_gradients(model, {}, target, loss="mse", output="y", trainable=["scale"])
    batch = np.swapaxes(tensors["x"], 0, 1).reshape(3, -1)
    means, squares = batch.sum(1) / batch.shape[1], (batch**2).sum(1) / batch.shape[1]
    new = result.running_statistics
    np.testing.assert_allclose(new["mean"], 0.8 * tensors["mean"] + 0.2 * means)
    np.testing.assert_allclose(new["var"], 0.8 * tensors["var"] + 0.2 * (squares - means**2))


def test_softmax_before_opset_13_takes_the_trailing_axes_as_one() -> None:
    model = model_of([helper.make_node("Softmax", ["x"], ["y"])], {"x": normal(0, 2, 3, 4)}, 11)
    np.testing.assert_allclose(forward(model, {}, "y").values["y"].sum(axis=(1, 2)), 1.0)
    assert_gradients(model, normal(1, 2, 3, 4), "mse", ["x"])


def test_axes_are_an_attribute_or_an_input() -> None:
    x, axes = normal(0, 2, 1, 4), np.array([1])
    ways = {
        11: helper.make_node("Squeeze", ["x"], ["y"], axes=[1]),
        18: helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0),
    }
    for opset, node in ways.items():
        model = model_of([node], {"x": x, "axes": axes}, opset)
        np.testing.assert_allclose(forward(model, {}, "y").values["y"], x[:, 0])


def test_every_operator_is_tested() -> None:
    elsewhere = {"BatchNormalization", "Constant", "Shape"}
    assert set(OPERATORS) == {op for op, _, _ in CASES} | elsewhere


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_loss(loss: str) -> None:
    x = normal(0, 4, 3)
    target = {
        "bce_with_logits": (normal(1, 4, 3) > 0).astype(float),
        "cross_entropy": np.array([2, 0, 1, 1]),
        "focal": np.array([2, 0, 1, 1]),
        "hinge": np.array([2, 0, 1, 1]),
        "kl": np.array([[0.2, 0.8, 0.0], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [0.4, 0.3, 0.3]]),
        "triplet": np.array([2, 1, 2, 1]),
    }.get(loss, normal(1, 4, 3))
    p = 1 / (1 + np.exp(-x))
    softmax = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    def apart(one: int, other: int) -> float:
        return float(np.linalg.norm(x[one] - x[other]))

    expected = {
        "bce_with_logits": lambda: -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean(),
        "cross_entropy": lambda: -np.mean(
            [np.log(np.exp(row[i]) / np.exp(row).sum()) for row, i in zip(x, target)]
        ),
        "focal": lambda: np.mean(
            [-((1 - q[i]) ** 2) * np.log(q[i]) for q, i in zip(softmax, target)]
        ),
        "hinge": lambda: np.mean(
            [
                sum(max(0.0, 1 - row[i] + row[c]) for c in range(3) if c != i) / 3
                for row, i in zip(x, target)
            ]
        ),
        "kl": lambda: np.mean(
            [sum(t * np.log(t / q) for t, q in zip(*rows) if t) for rows in zip(target, softmax)]
        ),
        "triplet": lambda: np.mean(
            [
                max(
                    0.0,
                    1 + apart(a, (a + 2) % 4) - min(apart(a, (a + 1) % 4), apart(a, (a + 3) % 4)),
                )
                for a in range(4)
            ]
        ),
        "huber": lambda: np.mean(
            [d * d / 2 if abs(d) <= 1 else abs(d) - 0.5 for d in (x - target).ravel()]
        ),
        "l1": lambda: np.abs(x - target).mean(),
        "mse": lambda: ((x - target) ** 2).mean(),
    }[loss]()
    assert LOSSES[loss](x, target)[0] == pytest.approx(expected, rel=1e-12)
    assert_gradients(
        model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": x}), target, loss, ["x"]
    )


def perceptron() -> tuple[onnx.ModelProto, list[str]]:
    """x (8, 5) -> Gemm -> BatchNormalization -> Relu -> MatMul -> Add -> y (8, 3).

    The normalization takes b1 out again: the gradient of b1 is zero but for rounding.
    """
    tensors = {
        "x": normal(0, 8, 5),
        "w1": normal(1, 4, 5),
        "b1": normal(2, 4),
        "scale": normal(3, 4),
        "shift": normal(4, 4),
        "mean": np.zeros(4),
        "var": np.ones(4),
        "w2": normal(5, 4, 3),
        "b2": normal(6, 3),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1),
        helper.make_node("BatchNormalization", ["h", "scale", "shift", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["a"]),
        helper.make_node("MatMul", ["a", "w2"], ["p"]),
        helper.make_node("Add", ["p", "b2"], ["y"]),
        helper.make_node("Softmax", ["y"], ["probabilities"]),
    ]
    return model_of(nodes, tensors), ["w1", "b1", "scale", "shift", "w2", "b2"]


def residual() -> tuple[onnx.ModelProto, list[str]]:
    """x (3, 2, 8, 8) -> a pre-activation residual block, pooling, and a dense layer, y (3, 4).

    The convolution weight `shared` is used twice; the shape of a Reshape is computed in the graph.
    """
    tensors = {
        "x": normal(0, 3, 2, 8, 8),
        "stem": normal(1, 2, 2, 3, 3),
        "scale": normal(2, 2),
        "shift": normal(3, 2),
        "mean": np.zeros(2),
        "var": np.ones(2),
        "shared": normal(4, 2, 2, 3, 3),
        "bias": normal(5, 2),
        "dense": normal(6, 18, 4),
    }
    ones, zero = [1, 1, 1, 1], numpy_helper.from_array(np.array([0]))
    rest = numpy_helper.from_array(np.array([-1]))
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["s"], pads=ones),
        helper.make_node("BatchNormalization", ["s", "scale", "shift", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["a"]),
        helper.make_node("Conv", ["a", "shared", "bias"], ["c1"], pads=ones),
        helper.make_node("Tanh", ["c1"], ["t"]),
        helper.make_node("Conv", ["t", "shared"], ["c2"], auto_pad="SAME_UPPER"),
        helper.make_node("Add", ["s", "c2"], ["sum"]),
        helper.make_node("MaxPool", ["sum"], ["m"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Shape", ["x"], ["whole"]),
        helper.make_node("Constant", [], ["zero"], value=zero),
        helper.make_node("Constant", [], ["rest"], value=rest),
        helper.make_node("Gather", ["whole", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["m", "flat"], ["f"]),
        helper.make_node("Gemm", ["f", "dense"], ["y"]),
    ]
    return model_of(nodes, tensors), ["stem", "scale", "shift", "shared", "bias", "dense"]


LABELS = {"perceptron": np.arange(8) % 3, "residual": np.array([3, 0, 2])}
NETWORKS = {"perceptron": perceptron, "residual": residual}


@pytest.mark.parametrize("network", NETWORKS)
def test_network(network: str) -> None:
    model, trainable = NETWORKS[network]()
    assert_gradients(model, LABELS[network], "cross_entropy", trainable)


def test_virtual_step_by_hand() -> None:
    """r = 0.5 * (3, 10) + 0.5 * ((9 + 1) / 2, (16 + 4) / 2) = (4, 10); under the root (9, 15)."""
    dy = np.array([[3.0, 4.0], [-1.0, 2.0]])
    virtual, r = virtual_step(dy, np.array([3.0, 10.0]), scale=6.0, rho=0.5, epsilon=5.0)
    np.testing.assert_allclose(r, [4.0, 10.0])
    np.testing.assert_allclose(virtual, [[6.0, 24 / 15**0.5], [-2.0, 12 / 15**0.5]])


def test_dense_layer_by_hand() -> None:
    """y = x w + b with x = 1 (2, 2), w = 0, target -(3, 4; -1, 2) under mse: dy = target / -2.

    dy = (1.5, 2; -0.5, 1), mean of dy^2 = (1.25, 2.5), rho = 0.5: r = (0.625, 1.25); scale 2 and
    epsilon 0.375, 1 give roots (1, 1.5) -- the columns are checked one epsilon at a time.
    """
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    model = model_of([node], {"w": np.zeros((2, 2)), "b": np.zeros(2)})
    target = -np.array([[3.0, 4.0], [-1.0, 2.0]])
    for column, epsilon, expected in [(0, 0.375, 2 * 1.0 / 1.0), (1, 1.0, 2 * 3.0 / 1.5)]:
        result = virtual_gradients(
            model,
            {"x": np.ones((2, 2), np.float32)},
            target,
            loss="mse",
            output="y",
            trainable=["w", "b"],
            scale=2.0,
            rho=0.5,
            epsilon=epsilon,
        )
        assert result.loss == pytest.approx(30 / 4)
        np.testing.assert_allclose(result.gradients["w"][:, column], expected)
        np.testing.assert_allclose(result.gradients["b"], [1.0, 3.0])
        np.testing.assert_allclose(result.states["w", "y"], [0.625, 1.25])


def run(network: str, **options: Any) -> Any:
    """One step on a network."""
    model, trainable = NETWORKS[network]()
    options = {"loss": "cross_entropy", "output": "y", "trainable": trainable, **options}
    return virtual_gradients(model, {}, LABELS[network], **options)


@pytest.mark.parametrize("network", NETWORKS)
def test_only_weights_are_virtual(network: str) -> None:
    plain, virtual = run(network, method="sgd"), run(network, scale=0.1)
    weights = {name for name, _ in virtual.states}
    assert plain.loss == virtual.loss
    assert not plain.states
    for name, gradient in plain.gradients.items():
        same = np.array_equal(gradient, virtual.gradients[name])
        assert same == (name not in weights), name


def test_states_of_the_networks() -> None:
    shapes = {key: r.shape for key, r in run("residual").states.items()}
    assert shapes == {
        ("stem", "s"): (2, 8, 8),
        ("shared", "c1"): (2, 8, 8),
        ("shared", "c2"): (2, 8, 8),
        ("dense", "y"): (4,),
    }
    assert set(run("perceptron").states) == {("w1", "h"), ("w2", "p")}


def test_dense_virtual_gradient_is_the_plain_one_with_scaled_columns() -> None:
    """dw = x' T(dy) = (x' dy) diag(scale / sqrt(r + epsilon)), the output axis of w scaled."""
    plain, first = run("perceptron", method="sgd"), run("perceptron", scale=0.1)
    second = run("perceptron", scale=0.1, states=first.states)
    for result in (first, second):
        factor = {key: 0.1 / np.sqrt(r + 1e-6) for key, r in result.states.items()}
        for name, scaled in {
            "w1": plain.gradients["w1"] * factor["w1", "h"][:, None],
            "w2": plain.gradients["w2"] * factor["w2", "p"],
        }.items():
            np.testing.assert_allclose(result.gradients[name], scaled, rtol=1e-10)
    for key, r in first.states.items():
        np.testing.assert_allclose(second.states[key], 1.9 * r)  # the same dy once more


def test_shared_weight_sums_its_uses() -> None:
    """Two names for the equal tensors of `shared` separate the contributions that it sums."""
    whole = run("residual")
    model, trainable = residual()
    (tensor,) = (t for t in model.graph.initializer if t.name == "shared")
    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensor), "twin"))
    (use,) = (node for node in model.graph.node if node.output[0] == "c2")
    use.input[1] = "twin"
    options = {"loss": "cross_entropy", "output": "y", "trainable": [*trainable, "twin"]}
    parts = virtual_gradients(model, {}, LABELS["residual"], **options)
    total = parts.gradients["shared"] + parts.gradients["twin"]
    np.testing.assert_allclose(whole.gradients["shared"], total)
    np.testing.assert_allclose(whole.states["shared", "c2"], parts.states["twin", "c2"])


def test_convolution_virtual_gradient() -> None:
    """The weight of a 1x1 convolution over one pixel is that of a dense layer."""
    x, w, target = normal(0, 6, 3), normal(1, 4, 3), normal(2, 6, 4)
    options = {"loss": "mse", "output": "y", "trainable": ["w"], "scale": 0.3}
    dense = model_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], {"w": w})
    expected = virtual_gradients(dense, {"x": x}, target, **options)
    pixel = (..., None, None)
    model = model_of([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": w[pixel]})
    result = virtual_gradients(model, {"x": x[pixel]}, target[pixel], **options)
    np.testing.assert_allclose(result.gradients["w"][..., 0, 0], expected.gradients["w"])
    np.testing.assert_allclose(result.states["w", "y"][..., 0, 0], expected.states["w", "y"])


def test_l1_is_added_to_all_but_the_exempt() -> None:
    model, trainable = perceptron()
    without, with_l1 = run("perceptron"), run("perceptron", l1=0.5, l1_exempt=["scale"])
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for name in trainable:
        added = 0.0 if name == "scale" else 0.5 * np.sign(tensors[name])
        np.testing.assert_allclose(with_l1.gradients[name], without.gradients[name] + added)


def test_a_parameter_out_of_reach_has_no_gradient() -> None:
    model = model_of(
        [helper.make_node("Identity", ["x"], ["y"])], {"x": normal(0, 2), "z": normal(1, 3)}
    )
    result = virtual_gradients(model, {}, np.zeros(2), loss="mse", output="y", trainable=["x", "z"])
    np.testing.assert_array_equal(result.gradients["z"], np.zeros(3))
