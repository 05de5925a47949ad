"""Every operator of the ONNX standard has a gradient, or a reason to have none."""

from __future__ import annotations

import onnx
from onnx.defs import OpSchema
from settings import CASES

from svgd_onnx.transforms.canonicalize.newer_operators import NEWER_OPERATORS
from svgd_onnx.transforms.decompose import RULES
from svgd_onnx.transforms.decompose.differentiable import WITHOUT_GRADIENT, path_to_loss
from svgd_onnx.transforms.differentiate.control_flow import BODY_RULES
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS

CONTROL_FLOW = {*BODY_RULES, "SequenceMap"}


def newest_schemas() -> dict[str, OpSchema]:
    schemas: dict[str, OpSchema] = {}
    for schema in onnx.defs.get_all_schemas():
        if schema.domain == "" and not schema.deprecated:
            schemas[schema.name] = schema
    return schemas


def takes_and_gives_numbers(schema: OpSchema) -> bool:
    """Whether an input and an output may be of float32, or hold what is."""
    return all(
        any("tensor(float)" in kind for value in values for kind in value.types)
        for values in (schema.inputs, schema.outputs)
    )


def test_every_operator_has_a_gradient_or_a_reason_to_have_none() -> None:
    unknown = {
        name
        for name, schema in newest_schemas().items()
        if takes_and_gives_numbers(schema)
        and not (schema.has_function or schema.has_context_dependent_function)
        and name not in {*GRADIENTS, *RULES, *NEWER_OPERATORS, *WITHOUT_GRADIENT, *CONTROL_FLOW}
    }
    assert not unknown


def test_every_rule_is_reached() -> None:
    reached = {
        node.op_type
        for case in CASES.values()
        for node in path_to_loss(case.backward.graph, case.varied)
    }
    known = {*newest_schemas(), "BatchNormInternal"}
    assert not (GRADIENTS.keys() & known) - reached
