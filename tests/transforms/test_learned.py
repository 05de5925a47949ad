"""What is taken for a parameter, and what for a constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.parameters import Selection, select_parameters

POSITIONS, WIDTH = 6, 8


def selection_of(model: onnx.ModelProto) -> Selection:
    return select_parameters(canonicalize(ir.from_proto(model)))


class Sequence(Network):
    """x (batch, 6, 8) -> product with `w` -> ... -> y."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = self.node("MatMul", "x", self.weight("w", WIDTH, WIDTH))

    def constant_node(self, name: str, array: np.ndarray) -> str:
        value = onnx.numpy_helper.from_array(array)
        self.nodes.append(onnx.helper.make_node("Constant", [], [name], value=value))
        return name

    def trained(self, value: str) -> tuple[str, ...]:
        self.node("Relu", value, output="y")
        shape = {"y": ("batch", POSITIONS, WIDTH)}
        return selection_of(self.model({"x": ("batch", POSITIONS, WIDTH)}, shape)).trainable


def sinusoids(positions: int = POSITIONS, width: int = WIDTH) -> np.ndarray:
    angles = np.arange(positions)[:, None] / 100.0 ** (np.arange(width // 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(positions, width)


MASK = np.triu(np.full((POSITIONS, WIDTH), np.finfo(np.float32).min), 1)
ANCHORS = np.repeat(np.arange(POSITIONS)[:, None] + 0.5, WIDTH, 1)


@pytest.mark.parametrize(
    "array",
    [MASK, np.where(MASK < 0, -np.inf, 0), ANCHORS, sinusoids()],
    ids=["least float", "minus infinity", "anchors", "sinusoids"],
)
def test_numbers_that_were_computed_are_a_constant(array: np.ndarray) -> None:
    net = Sequence()
    added = net.node("Add", net.hidden, net.constant("c", array.astype(np.float32)))
    assert net.trained(added) == ("w",)


def test_positions_that_were_learned_are_trained_and_in_doubt(tmp_path: Path) -> None:
    net = Sequence()
    net.node("Add", net.hidden, net.weight("positions", POSITIONS, WIDTH), output="y")
    shape = ("batch", POSITIONS, WIDTH)
    onnx.save(net.model({"x": shape}, {"y": shape}), tmp_path / "model.onnx")
    found = {each.name: each for each in svgd_onnx.inspect(tmp_path / "model.onnx").tensors}
    assert found["positions"].role == "trained"
    assert found["positions"].decide_with == "freeze"
    assert found["w"].decide_with is None


def test_rotary_embeddings_are_constants() -> None:
    net = Sequence()
    table = sinusoids(POSITIONS, 2 * WIDTH).reshape(POSITIONS, WIDTH, 2).astype(np.float32)
    sine, cosine = (net.constant(name, table[..., i]) for i, name in enumerate(("sin", "cos")))
    turned = net.node("Add", net.node("Mul", net.hidden, cosine), net.node("Mul", "x", sine))
    assert net.trained(turned) == ("w",)


def test_frequencies_times_positions_are_a_constant() -> None:
    net = Sequence()
    size = net.node("Shape", "x", start=1, end=2)
    scalar = net.node("Squeeze", size)
    steps = net.node(
        "Range", net.constant("0", np.array(0)), scalar, net.constant("1", np.array(1))
    )
    column = net.node(
        "Unsqueeze", net.node("Cast", steps, to=1), net.constant("axis", np.array([1]))
    )
    angles = net.node("MatMul", column, net.weight("frequencies", 1, WIDTH))
    assert net.trained(net.node("Mul", net.hidden, net.node("Cos", angles))) == ("w",)


@pytest.mark.parametrize("periodic", [False, True])
def test_filters_of_a_fourier_transform_are_a_constant_and_in_doubt(
    periodic: bool, tmp_path: Path
) -> None:
    """As an audio model carries it, in a convolution over the samples."""
    length = 16
    place = np.arange(length) + (0 if periodic else 0.5)
    window = np.sin(np.pi * place / length) ** 2
    angles = 2 * np.pi * np.arange(length // 2)[:, None] * (place - length / 2) / length
    waves = window * np.concatenate([np.cos(angles), np.sin(angles)])
    net = Network()
    basis = net.constant("basis", waves[:, None].astype(np.float32))
    value = net.node("Conv", "x", basis, strides=[8])
    value = net.node("Conv", net.node("Abs", value), net.weight("w", 4, length, 9, mean=0.1))
    net.node("ReduceMean", value, axes=[2], keepdims=0, output="y")
    model = net.model({"x": ("batch", 1, 128)}, {"y": ("batch", 4)})
    assert selection_of(model).trainable == ("w",)
    onnx.save(model, tmp_path / "model.onnx")
    found = {each.name: each for each in svgd_onnx.inspect(tmp_path / "model.onnx").tensors}
    assert found["basis"].decide_with == "train"


def test_integers_that_a_matrix_makes_vectors_of_are_data() -> None:
    """As jax2tf writes a table's rows: each integer compared with all, and a product of ones and zeros."""
    net = Network()
    every = net.constant("every", np.arange(4).reshape(1, 4))
    codes = net.node("Unsqueeze", "codes", net.constant("axis", np.array([1])))
    hot = net.node("Cast", net.node("Equal", codes, every), to=1)
    value = net.node("MatMul", hot, net.weight("table", 4, WIDTH))
    net.node("Add", value, net.weight("bias", WIDTH), output="y")
    model = net.model({"codes": ("batch",)}, {"y": ("batch", WIDTH)})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    assert selection_of(model).trainable == ("table", "bias")


def test_constant_nodes_are_constants_where_weights_are_initializers() -> None:
    """torch's legacy exporter writes the ones and zeros of GroupNorm so."""
    net = Sequence()
    groups = net.node("Reshape", net.hidden, net.constant("shape", np.array([0, 2, -1])))
    ones = net.constant_node("ones", np.ones(2, np.float32))
    zeros = net.constant_node("zeros", np.zeros(2, np.float32))
    normal = net.node("InstanceNormalization", groups, ones, zeros)
    back = net.node("Reshape", normal, net.constant("back", np.array([-1, POSITIONS, WIDTH])))
    scaled = net.node("Mul", back, net.weight("scale", WIDTH, mean=1))
    assert net.trained(scaled) == ("w", "scale")


def test_a_weight_that_is_a_constant_node_is_in_doubt_and_convert_says_so(tmp_path: Path) -> None:
    net = Sequence()
    head = np.random.default_rng(3).normal(size=(WIDTH, 2)).astype(np.float32)
    net.node("MatMul", net.hidden, net.constant_node("head", head), output="y")
    shapes = {"x": ("batch", POSITIONS, WIDTH)}, {"y": ("batch", POSITIONS, 2)}
    path = tmp_path / "model.onnx"
    onnx.save(net.model(*shapes), path)
    options = {"target": "onnx", "loss": "mse"}
    with pytest.warns(UserWarning, match="stands where a weight does: 'head'"):
        svgd_onnx.convert(path, tmp_path / "artifacts", **options)
    found = {each.name: each for each in svgd_onnx.inspect(path, loss="mse").tensors}
    assert (found["head"].role, found["head"].decide_with) == ("constant", "train")
    manifest = svgd_onnx.convert(path, tmp_path / "all", train=["w", "head"], **options)
    assert [each.name for each in manifest.parameters if each.trainable] == ["w", "head"]


def test_constant_nodes_are_weights_where_nothing_else_is() -> None:
    """And what their tensors are called does not matter."""
    net = Network()
    tensor = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "a name of its own")
    net.nodes.append(onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    net.node("MatMul", "x", "w", output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 3)})
    assert selection_of(model).trainable == ("w",)


def test_weights_are_followed_through_slices_and_joins() -> None:
    """As torch's exporter puts the gates of an LSTM into ONNX's order."""
    net = Sequence()
    whole = net.weight("gates", 2, WIDTH)
    axis = net.constant("axis", np.array([0]))
    bounds = [net.constant(f"bound_{each}", np.array([each])) for each in range(3)]
    halves = [net.node("Slice", whole, bounds[i], bounds[i + 1], axis) for i in (1, 0)]
    product = net.node(
        "Mul", net.hidden, net.node("ReduceSum", net.node("Concat", *halves, axis=0), axis)
    )
    assert net.trained(product) == ("w", "gates")


def test_weights_are_followed_through_weight_normalization() -> None:
    net = Sequence()
    direction, length = net.weight("v", WIDTH, WIDTH), net.weight("g", WIDTH, 1, mean=1)
    norm = net.node("ReduceL2", direction, axes=[1])
    weight = net.node("Mul", length, net.node("Div", direction, norm))
    assert net.trained(net.node("MatMul", net.hidden, weight)) == ("w", "v", "g")


def test_a_logit_scale_behind_exp_is_trained() -> None:
    net = Sequence()
    scale = net.node("Exp", net.constant("logit_scale", np.array(2.6, np.float32)))
    assert net.trained(net.node("Mul", net.hidden, scale)) == ("w", "logit_scale")


def test_one_number_is_a_constant() -> None:
    net = Sequence()
    half = net.constant("half", np.array(0.5, np.float32))
    assert net.trained(net.node("Mul", net.hidden, half)) == ("w",)


def normalizations(width: int, numbers: np.ndarray, **scopes: str) -> onnx.ModelProto:
    """x -> for each scope LayerNormalization by one scale, product with a matrix -> y."""
    net = Network()
    value, scale = "x", net.constant("first.weight", numbers)
    for name, scope in scopes.items():
        value = net.node("LayerNormalization", value, scale)
        net.nodes[-1].metadata_props.add(
            key="pkg.torch.onnx.name_scopes", value=f"['', '{scope}', 'layer_norm']"
        )
        value = net.node("MatMul", value, net.weight(f"{name}.matrix", width, width))
    net.node("Relu", value, output="y")
    return net.model({"x": ("batch", width)}, {"y": ("batch", width)})


def test_equal_vectors_that_were_stored_once_are_separated() -> None:
    model = normalizations(4, np.ones(4, np.float32), a="first", b="second")
    assert "second.weight" in selection_of(model).trainable


def test_a_vector_of_a_module_that_is_called_twice_stays_one() -> None:
    model = normalizations(4, np.ones(4, np.float32), a="first", b="first")
    assert selection_of(model).trainable == ("first.weight", "a.matrix", "b.matrix")


def test_a_vector_of_different_numbers_stays_one() -> None:
    model = normalizations(4, np.arange(4).astype(np.float32) ** 2, a="first", b="second")
    assert selection_of(model).trainable == ("first.weight", "a.matrix", "b.matrix")


def beside_a_weight(array: np.ndarray) -> Selection:
    net = Sequence()
    net.node("MatMul", net.hidden, net.constant("c", array.astype(np.float32)), output="y")
    shape = {"y": ("batch", POSITIONS, array.shape[1])}
    return selection_of(net.model({"x": ("batch", POSITIONS, WIDTH)}, shape))


@pytest.mark.parametrize("number", [1, 1 / WIDTH])
def test_a_matrix_that_sums_or_averages_is_a_constant_beside_weights(number: float) -> None:
    selection = beside_a_weight(np.full((WIDTH, 2), number))
    assert selection.trainable == ("w",)
    assert selection.verdicts["c"].doubtful  # so that inspect names the option that decides


def test_ones_and_zeros_are_in_doubt() -> None:
    selection = beside_a_weight(np.eye(WIDTH, 2))
    assert selection.trainable == ("w", "c")
    assert selection.verdicts["c"].doubtful


def test_zeros_are_a_head_that_is_not_trained_yet() -> None:
    net = Sequence()
    head = net.constant("head", np.zeros((WIDTH, WIDTH), np.float32))
    assert net.trained(net.node("MatMul", net.hidden, head)) == ("w", "head")


def test_ones_are_weights_where_nothing_else_is() -> None:
    net = Network()
    weight = net.constant("w", np.ones((4, 3), np.float32))
    net.node("Gemm", "x", weight, net.constant("b", np.zeros(3, np.float32)), output="y")
    selection = selection_of(net.model({"x": ("N", 4)}, {"y": ("N", 3)}))
    assert selection.trainable == ("w", "b")
