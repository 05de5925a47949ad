"""Bring a model of a newer opset down, which onnx's version converter does not do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.errors import UserError, listed
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.fold_constants import NO_WEIGHT, SCALE, FoldConstants
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.canonicalize.newer_operators import (
    LEARNED_INPUTS,
    NEWER_OPERATORS,
    SCALES,
)
from svgd_onnx.transforms.canonicalize.schema_functions import InlineSchemaFunctions
from svgd_onnx.transforms.passes import run
from svgd_onnx.transforms.rule import RefusedError, apply_rule

# What these say is of types of 16 bits and fewer.
_OF_SMALL_TYPES = frozenset({"round_mode", "stash_type"})


class OlderOpset(ir.passes.InPlacePass):
    """Writes a model with the operators of an older opset.

    Since 21 new operators have come; others take more types of tensors, or have new attributes, whose
    defaults mean what was meant before (opset 28, onnx 1.23). New operators are written by a rule or
    else by the function body that ONNX gives them, the others stay as they are.

    Args:
        opset: the opset, 21 or newer.

    Raises:
        UserError: an operator can be written by neither; the message names its nodes.

    Ensures: the default domain's opset is that, and has every operator, attribute and type of the graph.
    """

    def __init__(self, opset: int) -> None:
        super().__init__()
        self._opset = opset

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        run(
            model,
            common.RemoveInitializersFromInputsPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.InlinePass(),
            FoldConstants(),
            InferShapes(),
        )
        refusals: dict[ir.Node, str] = {}
        modified = True
        while modified:  # a body may have newer operators in turn
            self._leave_out_defaults(model)
            _tell_weights(self._newer(model))
            _apply_rules(model, self._newer(model), refusals)
            bodies = [node for node in self._newer(model) if node not in refusals]
            modified = InlineSchemaFunctions(bodies)(model).modified
        left = self._newer(model)
        if left:
            raise self._error(model, left, refusals)
        model.graph.opset_imports[""] = self._opset
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        if model.graph.opset_imports.get("") != self._opset or self._newer(model):
            raise ir.passes.PostconditionError(f"opset {self._opset} does not have an operator")

    def _leave_out_defaults(self, model: ir.Model) -> None:
        for node, schema in self._schemas(model):
            newest = onnx.defs.get_schema(node.op_type, model.graph.opset_imports[""], "")
            for name, attribute in list(node.attributes.items()):
                if schema is None or name in schema.attributes or name not in newest.attributes:
                    continue
                default = onnx.helper.get_attribute_value(newest.attributes[name].default_value)
                given = onnx.helper.get_attribute_value(ir.to_proto(attribute))
                if given == default or name in _OF_SMALL_TYPES:
                    del node.attributes[name]

    def _newer(self, model: ir.Model) -> list[ir.Node]:
        """The nodes that the opset does not have as they are."""
        return [
            node
            for node, schema in self._schemas(model)
            if schema is None
            or not schema.attributes.keys() >= node.attributes.keys()
            or not _takes(schema.inputs, node.inputs)
            or not _takes(schema.outputs, node.outputs)
        ]

    def _schemas(self, model: ir.Model) -> Iterator[tuple[ir.Node, Any]]:
        """The nodes of the default domain, each with what the opset says of its operator."""
        for node in all_nodes(model.graph):
            if node.domain == "":
                try:
                    yield node, onnx.defs.get_schema(node.op_type, self._opset, "")
                except onnx.defs.SchemaError:
                    yield node, None

    def _error(
        self, model: ir.Model, nodes: Iterable[ir.Node], refusals: dict[ir.Node, str]
    ) -> UserError:
        obstacles = [
            f"{node.op_type} ('{node.name or node.outputs[0].name}'"
            f"{f': {refusals[node]}' if node in refusals else ''})"
            for node in nodes
        ]
        return UserError(
            f"The model's opset {model.graph.opset_imports['']} cannot be converted to {self._opset}, "
            f"which has no such {listed(obstacles)}: export it again with an opset up to {self._opset}."
        )


def _tell_weights(nodes: Sequence[ir.Node]) -> None:
    """Notes what the constants that newer nodes read are to them, as it will not be seen any more."""
    newer = set(nodes)
    for node in nodes:
        learned = LEARNED_INPUTS.get(node.op_type, frozenset())
        for position, value in enumerate(node.inputs):
            if value is not None and value.is_initializer() and position not in learned:
                alone = all(reader in newer for reader, _ in value.uses())
                value.meta[NO_WEIGHT] = value.meta.get(NO_WEIGHT, alone)
            elif value is not None and position in SCALES.get(node.op_type, ()):
                value.meta[SCALE] = True


def _apply_rules(model: ir.Model, nodes: Iterable[ir.Node], refusals: dict[ir.Node, str]) -> None:
    for node in nodes:
        rule = NEWER_OPERATORS.get(node.op_type)
        if rule is None or node.graph is not model.graph:
            continue
        try:
            apply_rule(model.graph, node, rule)
        except RefusedError as refused:
            refusals[node] = str(refused)


def _takes(formal: Sequence[Any], values: Sequence[ir.Value | None]) -> bool:
    """Whether the types of values, as far as they are known, are among those of formal parameters."""
    for index, value in enumerate(values):
        if value is None or not isinstance(value.type, ir.TensorType):
            continue
        types = formal[min(index, len(formal) - 1)].types
        if f"tensor({value.type.dtype.name.lower()})" not in types:
            return False
    return True
