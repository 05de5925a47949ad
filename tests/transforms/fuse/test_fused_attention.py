"""Attention as one operator: in the forms that exporters write, with the gradients of standard operators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fast_forms import OPTIONS, assert_conversion_keeps_it, converted, operators
from models import CLASSES, Network
from onnx import helper

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.fuse.attention import ATTENTION, GRADIENT, FuseAttention

HEADS, SIZE, TOKENS, FEATURES = 2, 5, 130, 7
RATE = 1.0

Scores = Callable[[Network, str, str], str]
Probabilities = Callable[[Network, str], str]


def turned(net: Network, value: str, perm: tuple[int, ...] = (0, 1, 3, 2)) -> str:
    return net.node("Transpose", value, perm=list(perm))


def number(net: Network, name: str, value: float) -> str:
    return net.constant(name, np.array(value, np.float32))


def multiplied(net: Network, query: str, key: str) -> str:
    """Scores times a number, as PyTorch's first exporter writes them of modules."""
    product = net.node("MatMul", query, turned(net, key))
    return net.node("Mul", product, number(net, "scale", SIZE**-0.5))


def divided(net: Network, query: str, key: str) -> str:
    """Scores by a number, and a mask that some keys of an example have."""
    product = net.node("MatMul", query, turned(net, key))
    scores = net.node("Div", product, number(net, "root", SIZE**0.5))
    mask = np.where(np.arange(TOKENS) % 3 == 1, np.finfo(np.float32).min, 0)
    return net.node("Add", scores, net.constant("mask", mask.astype(np.float32)))


def rooted(net: Network, query: str, key: str) -> str:
    """Both factors times a number, and a mask of each query's, before them, as torch.onnx writes them."""
    root = number(net, "root", SIZE**-0.25)
    query, key = (net.node("Mul", each, root) for each in (query, turned(net, key)))
    mask = np.where(np.tri(TOKENS, dtype=bool), 0, -np.inf).astype(np.float32)
    mask[3] = -np.inf  # a query without a key
    return net.node("Add", net.constant("mask", mask), net.node("MatMul", query, key))


def plain(net: Network, scores: str) -> str:
    return net.node("Softmax", scores, axis=-1)


def without_nan(net: Network, scores: str) -> str:
    p = net.node("Softmax", scores, axis=-1)
    return net.node("Where", net.node("IsNaN", p), number(net, "nothing", 0), p)


FORMS: dict[str, tuple[Scores, Probabilities]] = {
    "multiplied": (multiplied, plain),
    "divided and masked": (divided, plain),
    "without NaN": (rooted, without_nan),
    "not scaled": (lambda net, query, key: net.node("MatMul", query, turned(net, key)), plain),
}


def transformer(
    scores: Scores = multiplied,
    probabilities: Probabilities = plain,
    tokens: int = TOKENS,
    batch: int | str = "batch",
) -> onnx.ModelProto:
    """One block of several heads."""
    net, width = Network(), HEADS * SIZE

    def heads(name: str) -> str:
        value = net.node("MatMul", "image", net.weight(f"{name}.weight", FEATURES, width))
        value = net.node("Add", value, net.weight(f"{name}.bias", width))
        shape = net.constant(f"{name}.split", np.array([-1, tokens, HEADS, SIZE]))
        return turned(net, net.node("Reshape", value, shape), (0, 2, 1, 3))

    query, key, mixed = (heads(name) for name in ("query", "key", "value"))
    p = probabilities(net, scores(net, query, key))
    value = turned(net, net.node("MatMul", p, mixed), (0, 2, 1, 3))
    value = net.node("Reshape", value, net.constant("joined", np.array([-1, tokens, width])))
    pooled = net.node("ReduceMean", value, net.constant("axis", np.array([1])), keepdims=0)
    net.node("MatMul", pooled, net.weight("head.weight", width, CLASSES), output="logits")
    return net.model({"image": (batch, tokens, FEATURES)}, {"logits": (batch, CLASSES)}, opset=20)


@pytest.mark.parametrize("differentiator", ["own", "onnxruntime"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", FORMS)
def test_it_is_one_operator_that_changes_as_by_standard_ones(
    form: str, target: str, differentiator: str, tmp_path: Path
) -> None:
    if (target, differentiator) == ("onnx", "onnxruntime"):
        pytest.skip("of the target ort-training")
    model = transformer(*FORMS[form])
    folder = converted(model, tmp_path / "artifacts", target, differentiator=differentiator)
    found = operators(folder, target)
    assert found[ATTENTION] == found[GRADIENT] == 1
    assert not found["Softmax"] + found["SoftmaxGradient"]
    data = models.examples(model, count=3)
    changes, losses = [], []
    for kernels in ("fast", "standard"):
        trainer = svgd_onnx.Trainer(folder, kernels=kernels, threads=2)
        names = [item.name for item in trainer.manifest.parameters if item.trainable]
        before = {name: trainer.tensor(name).copy() for name in names}
        losses.append(trainer.train_step(data, RATE))
        changes.append({name: before[name] - trainer.tensor(name) for name in names})
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for name, wanted in changes[1].items():
        size = max(np.abs(wanted).max(), 1e-2)
        np.testing.assert_allclose(changes[0][name], wanted, atol=2e-5 * size, rtol=0, err_msg=name)


@pytest.mark.parametrize("option", OPTIONS)
def test_conversion_finds_both_forms_to_agree(
    option: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = transformer(rooted, without_nan)
    assert_conversion_keeps_it(model, tmp_path / "artifacts", recwarn.list, **OPTIONS[option])


def also_read(net: Network, scores: str) -> str:
    """Probabilities that something else reads, too."""
    p = plain(net, scores)
    return net.node("Mul", p, net.node("Sigmoid", p))


def of_another_axis(net: Network, scores: str) -> str:
    return net.node("Softmax", scores, axis=-2)


def with_ones(net: Network, scores: str) -> str:
    """Probabilities that are NaN made something else than 0."""
    p = plain(net, scores)
    return net.node("Where", net.node("IsNaN", p), number(net, "one", 1), p)


def of_more_axes(net: Network, scores: str) -> str:
    """Probabilities that have an axis more behind the choice, by its zero."""
    p = plain(net, scores)
    zero = net.constant("zero", np.zeros((1, 1, 1, 1, 1), np.float32))
    chosen = net.node("Where", net.node("IsNaN", p), zero, p)
    return net.node("Squeeze", chosen, net.constant("first", np.array([0])))


def trained_mask(net: Network, query: str, key: str) -> str:
    """A mask that is a parameter, as a table of relative positions."""
    product = net.node("MatMul", query, turned(net, key))
    return net.node("Add", product, net.weight("positions", TOKENS, TOKENS))


def scaled_behind(net: Network, query: str, key: str) -> str:
    """A number that the mask is multiplied by as well."""
    mask = net.constant("mask", np.tri(TOKENS, dtype=np.float32))
    product = net.node("MatMul", query, turned(net, key))
    return net.node("Mul", net.node("Add", product, mask), number(net, "scale", SIZE**-0.5))


def soft(net: Network, query: str, key: str) -> str:
    return net.node("Tanh", multiplied(net, query, key))


OTHERS: dict[str, tuple[Scores, Probabilities]] = {
    "probabilities that are read": (multiplied, also_read),
    "another axis": (multiplied, of_another_axis),
    "NaN as one": (rooted, with_ones),
    "zero of more axes": (rooted, of_more_axes),
    "a mask that is trained": (trained_mask, plain),
    "a mask that is scaled": (scaled_behind, plain),
    "scores that are bounded": (soft, plain),
}


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_something_else_stays_as_it_is(form: str, tmp_path: Path) -> None:
    folder = converted(transformer(*OTHERS[form]), tmp_path / "artifacts", "onnx")
    found = operators(folder, "onnx")
    assert found["Softmax"] == 1 and not found[ATTENTION] + found[GRADIENT]


def test_few_keys_stay_as_they_are(tmp_path: Path) -> None:
    folder = converted(transformer(tokens=9), tmp_path / "artifacts", "onnx")
    assert operators(folder, "onnx")["SoftmaxGradient"] == 1


@pytest.mark.parametrize("place", [3, 4])
def test_the_gradient_comes_behind_what_it_reads(place: int) -> None:
    """Also where what turns the probabilities, which does not read the outputs' gradient, comes before."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["q", "k"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["o"]),
        node("Mul", ["o", "o"], ["d_o"]),
        node("MatMul", ["p_turned", "d_o"], ["d_v"]),
        node("Transpose", ["v"], ["v_turned"], perm=[0, 2, 1]),
        node("MatMul", ["d_o", "v_turned"], ["d_p"]),
        node("SoftmaxGradient", ["d_p", "p"], ["d_s"], domain="ai.svgd"),
        node("Transpose", ["k"], ["k_turned"], perm=[0, 2, 1]),
        node("MatMul", ["d_s", "k_turned"], ["d_q"]),
        node("Transpose", ["q"], ["q_turned"], perm=[0, 2, 1]),
        node("MatMul", ["q_turned", "d_s"], ["d_k"]),
    ]
    nodes.insert(place, node("Transpose", ["p"], ["p_turned"], perm=[0, 2, 1]))
    shapes = {"q": (2, 4, 3), "k": (2, 3, 130), "v": (2, 130, 5), "p": (2, 4, 130)}
    shapes |= {"s": (2, 4, 130), "o": (2, 4, 5), "d_o": (2, 4, 5)}
    infos = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in {**shapes, **{f"d_{name}": shapes[name] for name in "qkv"}}.items()
    }
    inputs, outputs = ([infos[name] for name in names] for names in ("qkv", ["d_q", "d_k", "d_v"]))
    graph = helper.make_graph(nodes, "attention", inputs, outputs)
    graph.value_info.extend(infos[name] for name in ("s", "p", "o", "d_o"))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.svgd", 1)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets))
    assert FuseAttention()(model).modified
    assert [each.op_type for each in model.graph] == [ATTENTION, "Mul", GRADIENT]
