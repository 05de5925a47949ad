"""Where a training graph comes from: a model, as it would be converted, or a folder, as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from svgd_onnx.conversion.description import describe_operation
from svgd_onnx.conversion.encapsulation import (
    check_differentiator,
    differentiator_for,
    virtual_gradients,
)
from svgd_onnx.conversion.garbage import garbage_kept
from svgd_onnx.conversion.inspection import folder_as_made
from svgd_onnx.conversion.keywords import take
from svgd_onnx.conversion.model import model_at_fault
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import TrainingPlan, plan_of, read_model
from svgd_onnx.conversion.tensor_roles import tensor_roles
from svgd_onnx.errors import UserError, check_choice, first_line
from svgd_onnx.files import PathLike
from svgd_onnx.graph.layers import Path as LayerPath
from svgd_onnx.graph.layers import layers_of
from svgd_onnx.graph.roles import seen_nodes
from svgd_onnx.graph.training_graph import (
    FORWARD,
    Seen,
    TensorFacts,
    TrainingGraph,
    plain_nodes,
    scope_of,
    shapes_of,
)
from svgd_onnx.manifest import FILE_NAME, Manifest, Operation, Parameter
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import TARGETS, target_here, target_named
from svgd_onnx.targets.target import MODEL_WITHOUT_WEIGHTS
from svgd_onnx.transforms.virtualize import ParameterUse, VirtualGradientSettings

_LOSSES = ("loss/", "svgd.loss")


def training_graph(
    path: PathLike, target: str | None, settings: Mapping[str, Any]
) -> TrainingGraph:
    """The graph of a model as `inspect` would take it, or that of a folder of artifacts.

    Raises:
        UserError: it is neither, or what `convert` would refuse.
    """
    training = take(TrainingSettings, dict(settings))
    virtual_gradient = take(VirtualGradientSettings, dict(settings))
    training.check()
    virtual_gradient.check()
    source = Path(path)
    if source.is_dir() or source.name == FILE_NAME:
        return _of_folder(*folder_as_made(source, training, virtual_gradient))
    target = target_here() if target is None else target
    check_choice("target", target, TARGETS)
    check_differentiator(virtual_gradient, training.differentiator)
    with garbage_kept(), model_at_fault(source):
        return _of_model(source, training, virtual_gradient, target)


def _of_model(
    source: Path, training: TrainingSettings, settings: VirtualGradientSettings, target: str
) -> TrainingGraph:
    as_it_came, canonical = read_model(source, training)
    known = _noted(
        ((node.name, *node.outputs), node.scope) for node in plain_nodes(as_it_came.graph)
    )
    plan = plan_of(as_it_came, canonical, training)
    wanted = differentiator_for(TARGETS[target], training.differentiator)
    after, uses, maker = virtual_gradients(plan, settings, wanted)
    # the same differentiation without T: so nodes and values have the same names
    without = replace(settings, t_scope=(), encapsulation="graph")
    before, _, _ = virtual_gradients(plan, without, maker)
    operations = [_as_called(use) for use in uses]
    trained = plan.selection.trainable
    outputs = [value.name or "" for value in after.graph.outputs]
    tensors = _facts_of_plan(plan, after.graph, before.graph, operations)
    facts = {
        "model": source.name,
        "loss": " + ".join(f"{each.loss.name} of {each.prediction}" for each in plan.losses),
        "gradients by": "onnxruntime's builder"
        if maker == "onnxruntime"
        else "svgd-onnx's own rules",
    }
    return _assembled(
        seen_nodes(plain_nodes(after.graph), outputs, operations, trained),
        seen_nodes(plain_nodes(before.graph), outputs, operations, trained),
        tensors,
        operations,
        known,
        facts,
    )


def _as_called(use: ParameterUse) -> Operation:
    """An element of sigma-prime by the names that it has in the graph."""
    return replace(
        describe_operation(use),
        node=use.node,
        parameter=use.parameter,
        output=use.output,
        state=use.state,
    )


def _facts_of_plan(
    plan: TrainingPlan, after: ir.Graph, before: ir.Graph, operations: Sequence[Operation]
) -> dict[str, TensorFacts]:
    found = {
        name: TensorFacts(shape)
        for graph in (before, after)
        for name, shape in shapes_of(graph).items()
    }
    labels = {value.name for value in plan.labels}
    roles = {
        **dict.fromkeys(after.initializers, ("constant", "")),
        **{name: ("input", "") for name in plan.inputs},
        **{name or "": ("label", "") for name in labels},
    }
    noted = {each.name: each for each in tensor_roles(plan.canonical.graph, plan.selection)}
    for name in plan.selection.all:
        role = noted.get(unquoted(name))
        kind = "frozen" if role is None or role.role == "constant" else role.role
        roles[name] = ("statistic" if kind == "statistics" else kind, role.reason if role else "")
    for name, role in noted.items():
        if role.role == "constant" and name in found:
            roles[name] = ("constant", role.reason)
    return _with_roles(found, roles, operations)


def _of_folder(folder: Path, manifest: Manifest) -> TrainingGraph:
    step = target_named(manifest.target).step
    graph = ir.serde.deserialize_model(_read(manifest.check_file(folder, step))).graph
    found = {name: TensorFacts(shape) for name, shape in shapes_of(graph).items()}
    labels = {each.name for each in manifest.labels}
    roles = {
        **{value.name or "": ("state", "") for value in graph.inputs},
        **dict.fromkeys(graph.initializers, ("constant", "")),
        **{
            each.name: ("label" if each.name in labels else "input", "") for each in manifest.arrays
        },
        **{each.name: (_role(each), "") for each in manifest.parameters},
    }
    trained = [each.name for each in manifest.parameters if each.trainable]
    outputs = [value.name or "" for value in graph.outputs]
    nodes = seen_nodes(plain_nodes(graph), outputs, manifest.operations, trained)
    facts = {
        "folder": folder.resolve().name,
        "file": step,
        "target": manifest.target,
        "loss": " + ".join(f"{each.loss} of {each.prediction}" for each in manifest.terms),
        "optimizer": manifest.optimizer,
        "gradients by": manifest.maker,
    }
    known = _noted_in_file(folder / MODEL_WITHOUT_WEIGHTS)
    tensors = _with_roles(found, roles, manifest.operations)
    return _assembled(nodes, [], tensors, manifest.operations, known, facts)


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf has its own
        raise UserError(f"'{path}' is no ONNX model ({first_line(error)}).") from error


def _role(parameter: Parameter) -> str:
    if parameter.trainable:
        return "trained"
    return "statistic" if parameter.statistic else "frozen"


def _with_roles(
    found: Mapping[str, TensorFacts],
    roles: Mapping[str, tuple[str, str]],
    operations: Sequence[Operation],
) -> dict[str, TensorFacts]:
    facts = dict(found)
    for name, (role, note) in roles.items():
        if name in facts:
            facts[name] = replace(facts[name], role=role, note=note)
    for each in operations:
        if each.state is not None:
            facts[each.state] = TensorFacts(tuple(each.state_shape), "r", each.reason)
    return facts


def _noted(nodes: Iterable[tuple[Sequence[str], LayerPath]]) -> dict[str, LayerPath]:
    """The scopes that an exporter noted, by the names of nodes and of what they give."""
    return {name: scope for names, scope in nodes if scope for name in map(unquoted, names) if name}


def _noted_in_file(path: Path) -> dict[str, LayerPath]:
    if not path.is_file():
        return {}
    return _noted(
        (
            (node.name, *node.output),
            scope_of({each.key: each.value for each in node.metadata_props}),
        )
        for node in _read(path).graph.node
    )


def _assembled(
    after: Sequence[Seen],
    before: Sequence[Seen],
    tensors: Mapping[str, TensorFacts],
    operations: Sequence[Operation],
    known: Mapping[str, LayerPath],
    facts: Mapping[str, str],
) -> TrainingGraph:
    forward = [each.node for each in after if each.kind == FORWARD]
    losses = frozenset(each.name for each in forward if each.name.startswith(_LOSSES))
    return TrainingGraph(
        after=after,
        before=before,
        tensors=tensors,
        layers=layers_of(forward, known, _learned(tensors), losses),
        operations=operations,
        losses=losses,
        facts=facts,
    )


def _learned(tensors: Mapping[str, TensorFacts]) -> set[str]:
    return {
        name for name, fact in tensors.items() if fact.role in ("trained", "frozen", "statistic")
    }
