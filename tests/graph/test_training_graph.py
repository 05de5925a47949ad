"""What a picture of the training graph says of each node: what it is for, whose gradient, in which layer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import models
import onnx
import pytest
from control_flow_models import scan_of_two

import svgd_onnx
from svgd_onnx.graph.layers import Group, layers_of, tree_of
from svgd_onnx.graph.roles import seen_nodes
from svgd_onnx.graph.sources import training_graph
from svgd_onnx.graph.training_graph import (
    FORWARD,
    GRADIENT,
    VIRTUAL,
    PlainNode,
    Seen,
    T,
    TrainingGraph,
)

TARGETS = ("onnx", "ort-training")


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def kinds(nodes: list[Seen]) -> Counter[str]:
    return Counter(each.kind for each in nodes)


def makers(nodes: list[Seen]) -> dict[str, Seen]:
    return {value: each for each in nodes for value in each.node.outputs if value}


def read_by(graph: TrainingGraph, name: str) -> tuple[str, ...]:
    return next(each.node.inputs for each in graph.after if each.node.name == name)


@pytest.mark.parametrize("differentiator", ["own", "onnxruntime"])
@pytest.mark.parametrize("model", [models.convolutional, models.residual, models.mlp])
class TestOfAModel:
    @pytest.fixture
    def graph(self, model: object, differentiator: str, tmp_path: Path) -> TrainingGraph:
        path = saved(model(), tmp_path)  # type: ignore[operator]
        return training_graph(path, "ort-training", {"differentiator": differentiator})

    def test_t_stands_before_the_gradient_of_each_weight_and_nowhere_before_it_came_in(
        self, graph: TrainingGraph
    ) -> None:
        states = {each.state for each in graph.operations if each.state is not None}
        assert kinds(graph.after)[T] == len(states) > 0
        assert kinds(graph.after)[VIRTUAL] >= len(states)
        assert not {T, VIRTUAL} & kinds(graph.before).keys()

    def test_every_parameters_gradient_belongs_to_an_operation_that_reads_it(
        self, graph: TrainingGraph
    ) -> None:
        for nodes in (graph.after, graph.before):
            made = makers(list(nodes))
            for name, facts in graph.tensors.items():
                if facts.role == "trained":
                    owner = made[f"{name}_grad"].owner
                    assert owner is not None and name in read_by(graph, owner)

    def test_a_weights_gradient_reads_t_and_that_of_the_layer_below_does_not(
        self, graph: TrainingGraph
    ) -> None:
        made = makers(list(graph.after))
        for each in graph.operations:
            kind = made[f"{each.parameter}_grad"].kind
            assert kind == (GRADIENT if each.state is None else VIRTUAL)
        hidden = [each for each in graph.after if each.kind == FORWARD]
        assert all(
            made[f"{value}_grad"].kind == GRADIENT
            for each in hidden
            for value in each.node.outputs
            if f"{value}_grad" in made
        )

    def test_no_node_is_without_an_owner(self, graph: TrainingGraph) -> None:
        assert not [each.node.name for each in graph.after if each.owner is None]


@pytest.mark.parametrize("target", TARGETS)
def test_of_a_folder_t_is_where_it_is_in_the_model(target: str, tmp_path: Path) -> None:
    path = saved(models.convolutional(), tmp_path)
    svgd_onnx.convert(path, tmp_path / "made", target=target)
    graph = training_graph(tmp_path / "made", None, {})
    owners = {each.owner for each in graph.after if each.kind == T}
    assert owners == {each.node for each in graph.operations if each.state is not None}
    assert not graph.before


def test_in_a_folder_the_step_has_updates_and_looks_whether_numbers_are_finite(
    tmp_path: Path,
) -> None:
    svgd_onnx.convert(saved(models.mlp(), tmp_path), tmp_path / "made", target="onnx")
    found = kinds(list(training_graph(tmp_path / "made", None, {}).after))
    assert found["update"] > 0 and found["check"] > 0


def test_roles_of_tensors(tmp_path: Path) -> None:
    path = saved(models.convolutional(), tmp_path)
    graph = training_graph(path, "onnx", {"freeze": ["fc.*"]})
    roles = Counter(facts.role for facts in graph.tensors.values())
    frozen = [name for name, facts in graph.tensors.items() if facts.role == "frozen"]
    assert frozen and all(name.startswith("fc.") for name in frozen)
    assert roles["r"] == len({each.state for each in graph.operations if each.state})
    assert roles["input"] == roles["label"] == 1


def test_the_sum_of_gradients_of_a_branch_belongs_to_the_operation_that_made_the_value() -> None:
    node = PlainNode("x_grad/sum/Sum_0", "Sum", ("a", "b"), ("x_grad",), {})
    maker = PlainNode("f", "Relu", ("in",), ("x",), {})
    readers = [PlainNode(name, "Neg", ("x",), (name.upper(),), {}) for name in "gh"]
    seen = seen_nodes([maker, *readers, node], ["G", "H"], [], [])
    assert seen[-1].owner == "f"


def plain(name: str, reads: str, gives: str, scope: tuple[str, ...] = ()) -> PlainNode:
    return PlainNode(name, "Op", tuple(reads.split()), (gives,), {}, scope)


class TestLayers:
    def test_are_the_modules_that_the_exporter_noted(self) -> None:
        node = plain("node_conv", "x", "y", ("h.0", "attn"))
        assert layers_of([node], {}, (), ()) == {"node_conv": ("h.0", "attn")}

    def test_of_what_an_operation_was_decomposed_into_are_its_own(self) -> None:
        node = plain("ln/Mul_3", "x", "y")
        assert layers_of([node], {"ln": ("h.0",)}, (), ()) == {"ln/Mul_3": ("h.0", "ln")}

    def test_of_what_is_named_after_a_weight_is_within_its_module(self) -> None:
        nodes = [plain("node_gemm", "x", "y", ("h.0", "fc")), plain("h.0.fc.lora/MatMul", "x", "z")]
        layers = layers_of(nodes, {}, (), ())
        assert layers["h.0.fc.lora/MatMul"] == ("h.0", "fc", "lora")

    def test_are_read_from_names_with_slashes_and_prefixes_said_once(self) -> None:
        node = plain("/layer1/layer1.0/conv1/Conv", "x", "y")
        assert layers_of([node], {}, (), ())[node.name] == ("layer1", "0", "conv1")

    def test_are_those_of_parameters_where_names_of_nodes_say_nothing(self) -> None:
        nodes = [
            plain("n0", "x features.0.weight", "a"),
            plain("n1", "a", "b"),
            plain("n2", "b head.weight", "c"),
        ]
        layers = layers_of(nodes, {}, {"features.0.weight", "head.weight"}, ())
        assert layers == {"n0": ("features", "0"), "n1": ("features",), "n2": ("head",)}

    def test_of_a_node_between_two_that_have_one_is_what_these_share(self) -> None:
        nodes = [
            plain("p", "x", "a", ("h", "one")),
            plain("q", "a", "b"),
            plain("r", "b", "c", ("h", "two")),
        ]
        assert layers_of(nodes, {}, (), ())["q"] == ("h",)

    def test_the_loss_is_one(self) -> None:
        assert layers_of([plain("loss/CE", "x", "y")], {}, (), {"loss/CE"}) == {
            "loss/CE": ("loss",)
        }

    def test_a_group_of_one_group_is_one_with_it(self) -> None:
        tree = tree_of({"n": ("a", "b"), "m": ("a", "b")})
        assert tree == Group("", [Group("a/b", ["n", "m"])])

    def test_very_many_nodes_are_cut_into_sections(self) -> None:
        tree = tree_of({f"n{number}": () for number in range(100)})
        names = [each.name for each in tree.members if isinstance(each, Group)]
        assert names[0] == "n0 … n23" and names[-1] == "n96 … n99"
        assert sum(len(each.members) for each in tree.members if isinstance(each, Group)) == 100

    def test_a_module_that_all_parameters_lie_in_is_none(self) -> None:
        nodes = [
            plain("n0", "x gpu_0/w", "a"),
            plain("n1", "a", "b"),
            plain("n2", "b gpu_0/v", "c"),
        ]
        layers = layers_of(nodes, {}, {"gpu_0/w", "gpu_0/v"}, ())
        assert set(layers.values()) == {()}


def test_a_node_with_bodies_is_one_and_reads_what_they_read(tmp_path: Path) -> None:
    graph = training_graph(saved(scan_of_two(), tmp_path), "onnx", {})
    scan = next(each for each in graph.after if each.node.op_type == "Scan")
    assert "body" in scan.node.attributes
    assert {"trained"} <= {graph.tensors[name].role for name in scan.node.inputs if name}


def test_a_shared_weight_has_the_sum_of_its_gradients_beside_the_layers(tmp_path: Path) -> None:
    graph = training_graph(saved(models.shared_weight(), tmp_path), "onnx", {})
    assert [each.node.op_type for each in graph.after if each.owner is None] == ["Sum"]
