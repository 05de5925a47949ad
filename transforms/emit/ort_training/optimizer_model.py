"""The optimizer as the graph that onnxruntime's training session runs after each batch."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.optimizers.session_operator import SessionOperator

_ADAMW_INPUTS = (
    "learning_rate",
    "step",
    "params",
    "gradients",
    "first_order_moments",
    "second_order_moments",
)
# Operator -> what the session feeds, and what of it the operator takes.
_INPUTS = {
    "SGDOptimizerV2": (_ADAMW_INPUTS[:5], ("learning_rate", "params", "gradients")),
    "AdamWOptimizer": (_ADAMW_INPUTS, _ADAMW_INPUTS),
}


def optimizer_model(name: str, operator: SessionOperator, opset: int) -> ir.Model:
    """The optimizer graph, updating sequences of parameters in place.

    Args:
        name: of the node.
        operator: the operator, and its attributes.
        opset: version of the default domain to declare.

    Returns:
        A model with the inputs and the output (one flag) that onnxruntime's Optimizer expects.
    """
    fed, taken = _INPUTS[operator.op_type]
    inputs = {each: _input(each) for each in fed}
    node = ir.node(
        operator.op_type,
        [inputs[each] for each in taken],
        operator.attributes,
        domain="com.microsoft",
        name=name,
    )
    updated = node.outputs[0]
    updated.name, updated.dtype, updated.shape = "updated", ir.DataType.BOOL, ir.Shape([1])
    graph = ir.Graph(
        list(inputs.values()),
        [updated],
        nodes=[node],
        opset_imports={"": opset, "com.microsoft": 1},
        name=f"{name}_optimizer",
    )
    return ir.Model(graph, ir_version=8, producer_name="svgd-onnx")


def _input(name: str) -> ir.Value:
    if name == "learning_rate":
        return ir.val(name, ir.DataType.FLOAT, [1])
    if name == "step":
        return ir.val(name, ir.DataType.INT64, [1])
    return ir.val(name, type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
