"""Passes that write artifacts refuse a graph that lacks what they need."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import pytest

from svgd_onnx.transforms.emit.ort_training import AccumulateGradients, EvaluationInputs
from svgd_onnx.transforms.emit.standard_onnx import ParameterUpdate, StateOutputs
from svgd_onnx.transforms.optimizers import OPTIMIZERS, Optimizer
from svgd_onnx.transforms.optimizers.optimizer import of_its_shape
from svgd_onnx.transforms.optimizers.step import Step
from svgd_onnx.transforms.optimizers.update import Update

LOSS = "svgd.loss"
SGD = Update("sgd", {})


def model(inputs: Sequence[str], outputs: Sequence[str], state: str | None = None) -> ir.Model:
    """Each output is the first input; a T reads `state`, which need be no input."""
    values = {name: ir.val(name, ir.DataType.FLOAT, [2]) for name in inputs}
    nodes = [ir.node("Identity", [values[inputs[0]]], name=name) for name in outputs]
    for node, name in zip(nodes, outputs):
        node.outputs[0].name = name
    results = [node.outputs[0] for node in nodes]
    if state is not None:
        r = values.get(state, ir.val(state, ir.DataType.FLOAT, [2]))
        nodes.append(
            ir.node(
                "VirtualGradient", [values[inputs[0]], r], domain="ai.svgd", num_outputs=2, name="T"
            )
        )
    graph = ir.Graph(
        list(values.values()), results, nodes=nodes, opset_imports={"": 17, "ai.svgd": 1}
    )
    return ir.Model(graph, ir_version=8)


@pytest.mark.parametrize(
    ("emit", "lacking"),
    [
        (AccumulateGradients(["w"], SGD), model(["x", "w"], [LOSS])),
        (AccumulateGradients(["w"], SGD), model(["x", "w"], ["w_grad"])),
        (EvaluationInputs(model(["w"], []).graph, ["w", "u"]), model(["x", "u"], [LOSS])),
        (ParameterUpdate(["w"], SGD), model(["x"], ["w_grad", LOSS])),
        (ParameterUpdate(["w"], SGD), model(["w"], [LOSS])),
        (ParameterUpdate(["w"], SGD), model(["w"], ["w_grad"])),
        (StateOutputs(), model(["x"], [LOSS], state="r")),
    ],
    ids=[
        "AccumulateGradients, gradient",
        "AccumulateGradients, loss",
        "EvaluationInputs, tensor that only evaluation takes",
        "ParameterUpdate, parameter",
        "ParameterUpdate, gradient",
        "ParameterUpdate, loss",
        "StateOutputs, r",
    ],
)
def test_what_is_missing_is_noticed_before_anything_changes(
    emit: ir.passes.PassBase, lacking: ir.Model
) -> None:
    before = ir.to_proto(lacking)
    with pytest.raises(ir.passes.PreconditionError):
        emit(lacking)
    assert ir.to_proto(lacking) == before


def test_a_state_that_could_change_before_it_is_read_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it lies in memory that would be read too late: by another state, and not by the direction."""

    def formula(step: Step) -> tuple[ir.Value, dict[str, ir.Value]]:
        doubled = step.write.node("Add", step.state("a"), step.gradient)
        other = step.write.node("Add", step.state("a"), step.gradient)
        return step.gradient, {"a": doubled, "b": other}

    optimizer = Optimizer({}, {}, of_its_shape("a", "b"), None, formula)
    monkeypatch.setitem(OPTIMIZERS, "late", optimizer)
    graph = model(["w"], [LOSS, "w_grad"])
    with pytest.raises(ir.passes.PostconditionError, match=r"'w\.a' changes before it is read"):
        AccumulateGradients(["w"], Update("late", {}))(graph)


@pytest.mark.parametrize("batches", [1, 3])
def test_a_network_of_many_vectors_takes_no_more_operators_to_update_than_one_of_two(
    batches: int,
) -> None:
    assert nodes_of_update(20, batches) == nodes_of_update(2, batches)


def nodes_of_update(vectors: int, batches: int) -> int:
    names = [f"b{index}" for index in range(vectors)]
    updated = model(["x", *names], [LOSS, *(f"{name}_grad" for name in names)])
    before = len(updated.graph)
    update = Update("momentum", {"momentum": 0.9}, accumulation_steps=batches)
    ParameterUpdate(names, update)(updated)
    return len(updated.graph) - before
