"""Put BatchNormalization and Dropout into training mode."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import input_of, integer
from svgd_onnx.transforms.writer import Writer

DEFAULT_DROPOUT_RATIO = 0.5


class TrainingMode(ir.passes.InPlacePass):
    """BatchNormalization normalizes with the batch's statistics, Dropout drops.

    BatchNormalization gets its running mean and variance as outputs, which onnxruntime's training
    kernel writes back onto its inputs. Dropout gets its mask, without which it has no gradient.

    Args:
        batch_normalization: whether BatchNormalization trains; where not, it keeps its statistics.
        frozen: names of initializers; a BatchNormalization whose scale and shift are among them does not
            train either.
        dropout: whether Dropout drops; if not, it has a mask of ones.

    Requires: opset 14 or newer, inference mode.
    Raises: UserError, where a BatchNormalization that trains is in a body of control flow.
    Ensures: every BatchNormalization that trains has three outputs, every Dropout a mask.
    """

    def __init__(
        self,
        *,
        batch_normalization: bool = True,
        frozen: Collection[str] = (),
        dropout: bool = True,
    ) -> None:
        super().__init__()
        self._rules = dict(_RULES)
        self._frozen = frozenset(frozen)
        if not dropout:
            self._rules["Dropout"] = _dropout_nothing
        if not batch_normalization:
            del self._rules["BatchNormalization"]

    def requires(self, model: ir.Model) -> None:
        if model.graph.opset_imports.get("", 0) < 14:
            raise ir.passes.PreconditionError(
                "BatchNormalization has a training mode from opset 14"
            )
        for node in all_nodes(model.graph):
            if node.op_type == "BatchNormalization" and integer(node, "training_mode", 0):
                raise ir.passes.PreconditionError(f"{node.name} is in training mode already")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(all_nodes(model.graph)):
            rule = self._rules.get(node.op_type) if node.domain == "" else None
            if rule is not None and not self._is_frozen(node):
                assert isinstance(node.graph, ir.Graph)
                if node.op_type == "BatchNormalization" and node.graph is not model.graph:
                    raise UserError(
                        f"BatchNormalization '{node.name}' is in a body of control flow, where its running "
                        f"statistics cannot be updated: leave them as they are with {option('freeze_bn')}."
                    )
                rule(node.graph, node)
                modified = True
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        for node in all_nodes(model.graph):
            trains = node.op_type in self._rules and not self._is_frozen(node)
            if trains and node.op_type == "BatchNormalization" and len(node.outputs) != 3:
                raise ir.passes.PostconditionError(f"{node.name} does not update its statistics")
            if node.op_type == "Dropout" and len(node.outputs) != 2:
                raise ir.passes.PostconditionError(f"{node.name} has no mask")

    def _is_frozen(self, node: ir.Node) -> bool:
        if node.op_type != "BatchNormalization":
            return False
        return all(value is not None and value.name in self._frozen for value in node.inputs[1:3])


def _batch_normalization(graph: ir.Graph, node: ir.Node) -> None:
    if node.inputs[3] is node.inputs[4]:
        raise UserError(
            f"BatchNormalization '{node.name}' has one tensor for mean and variance, which each change: export "
            f"the model again, or leave them as they are with {option('freeze_bn')}."
        )
    node.attributes["training_mode"] = ir.AttrInt64("training_mode", 1)
    node.resize_outputs(3)
    for output, statistic in zip(node.outputs[1:], node.inputs[3:]):
        assert statistic is not None
        output.name = f"{node.outputs[0].name}/updated/{statistic.name}"
        output.type, output.shape = statistic.type, statistic.shape


def _dropout_nothing(graph: ir.Graph, node: ir.Node) -> None:
    _set_dropout(graph, node, 0.0)


def _dropout(graph: ir.Graph, node: ir.Node) -> None:
    _set_dropout(graph, node, None if input_of(node, 1) is not None else DEFAULT_DROPOUT_RATIO)


def _set_dropout(graph: ir.Graph, node: ir.Node, ratio: float | None) -> None:
    """Drops that share, or if it is None, as much as the node says."""
    name = node.outputs[0].name
    write = Writer(f"{name}/training", graph.opset_imports[""])
    node.resize_inputs(3)
    if ratio is not None:
        node.replace_input_with(1, write.scalar(ratio))
    node.replace_input_with(2, write.constant(np.array(True)))
    node.attributes.pop("seed", None)  # by which a session would draw on from step to step
    write.insert_before(graph, node)
    if len(node.outputs) < 2:
        node.resize_outputs(2)
    node.outputs[1].name = node.outputs[1].name or f"{name}/mask"
    node.outputs[1].dtype, node.outputs[1].shape = ir.DataType.BOOL, node.outputs[0].shape


_RULES = {"BatchNormalization": _batch_normalization, "Dropout": _dropout}
