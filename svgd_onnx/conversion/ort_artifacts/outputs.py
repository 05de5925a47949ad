"""Which outputs the models of `generate_artifacts` have: the loss, and those that are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from svgd_onnx.errors import UserError

# What they give differs between training and evaluation.
_OF_A_MODE = frozenset({"BatchNormalization", "Dropout"})


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of a model that gives these values too, after its own outputs.

    Raises:
        UserError: the model computes no such value, or its type is not known.
    """
    copy = onnx.shape_inference.infer_shapes(model)
    graph = copy.graph
    described = {value.name: value for value in graph.value_info}
    there = {value.name for value in graph.output}
    computed = {name for node in graph.node for name in node.output}
    for name in names:
        if name not in computed:
            raise UserError(
                f"The model computes no value '{name}': name one of its nodes' outputs."
            )
        if name not in there:
            if name not in described:
                raise UserError(f"The type of '{name}' is unknown: export the model with types.")
            graph.output.append(described[name])
    return copy


def evaluation_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Leaves an evaluation model its loss, the first output, and these."""
    outputs = {value.name: value for value in model.graph.output}
    kept = [model.graph.output[0], *(outputs[name] for name in names)]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def training_outputs(
    model: onnx.ModelProto, evaluation: onnx.ModelProto, names: Sequence[str]
) -> None:
    """Gives a training model these outputs after its loss.

    What the loss does not need, as a Softmax that it contains, is computed as the evaluation model does it.

    Raises:
        UserError: it cannot be, as BatchNormalization and Dropout behave otherwise there.
    """
    graph = model.graph
    for name in names:
        _compute(graph, evaluation.graph, name, name)
    described = {value.name: value for value in evaluation.graph.output}
    loss, *others = list(graph.output)
    del graph.output[:]
    graph.output.extend([loss, *(described[name] for name in names), *others])


def _compute(graph: onnx.GraphProto, evaluation: onnx.GraphProto, name: str, wanted: str) -> None:
    """Adds the nodes that lack for a value."""
    there = {value.name for value in graph.input} | {each.name for each in graph.initializer}
    if not name or name in there or any(name in node.output for node in graph.node):
        return
    for tensor in evaluation.initializer:
        if tensor.name == name:
            graph.initializer.append(tensor)
            return
    maker = next((node for node in evaluation.node if name in node.output), None)
    if maker is None or maker.op_type in _OF_A_MODE:
        raise UserError(
            f"The training step does not compute '{wanted}': leave it out of additional_output_names."
        )
    for source in maker.input:
        _compute(graph, evaluation, source, wanted)
    graph.node.append(maker)
