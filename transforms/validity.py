"""What onnx's checker says of a model, but for what it refuses and onnxruntime runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from svgd_onnx.errors import first_line

# onnxruntime has them in the default domain, where the standard has the former since opset 17 only.
_ONNXRUNTIME_ONLY = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})
# Deprecated since its opset's next version, but runs as it always did.
_DEPRECATED = "GroupNormalization"


def is_of_onnx(op_type: str, opset: int) -> bool:
    """Whether the standard has an operator in an opset of the default domain."""
    try:
        onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return False
    return True


def refused_by_checker(model: Path | onnx.ModelProto) -> str | None:
    """What the checker has against a file or a model, in a line; None if it has nothing.

    Outputs may be without a shape, external data may be links to files, and operators may be of an
    older opset (GroupNormalization of 18) or of onnxruntime's own in the default domain. Of a model in
    memory the values of initializers are not looked at.
    """
    try:
        onnx.checker.check_model(
            _without_values(model) if isinstance(model, onnx.ModelProto) else str(model)
        )
        return None
    except Exception as error:  # the checker's own, or protobuf's
        first = first_line(error)
    try:
        if not isinstance(model, onnx.ModelProto):
            model = onnx.load(model, load_external_data=False)
        onnx.checker.check_model(_as_the_checker_wants_it(model))
    except Exception:
        return first
    return None


def _without_values(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose initializers are empty, so that a large model is not held twice."""
    copy = onnx.ModelProto()
    for field, value in proto.ListFields():
        if field.name != "graph":
            _set(copy, field.name, value)
    for field, value in proto.graph.ListFields():
        if field.name != "initializer":
            _set(copy.graph, field.name, value)
    copy.graph.initializer.extend(map(_empty_like, proto.graph.initializer))
    return copy


def _set(message: Any, name: str, value: Any) -> None:
    if isinstance(value, str | int | float | bytes):
        setattr(message, name, value)
    else:
        getattr(message, name).MergeFrom(value)


def _as_the_checker_wants_it(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy to be checked: outputs have shapes, and such operators another domain."""
    copy = _without_values(proto)
    for value in copy.graph.output:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and not tensor.HasField("shape"):
            tensor.shape.SetInParent()
    opset = max((each.version for each in copy.opset_import if not each.domain), default=1)
    for node in copy.graph.node:
        alone = node.op_type in _ONNXRUNTIME_ONLY and not is_of_onnx(node.op_type, opset)
        if not node.domain and (alone or node.op_type == _DEPRECATED):
            node.domain = "com.microsoft"
    if not any(each.domain == "com.microsoft" for each in copy.opset_import):
        copy.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return copy


def _empty_like(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0], raw_data=b"")
