"""The element types that weights come in, where these are not the float32 in which they are trained."""

from __future__ import annotations

import onnx_ir as ir

# In the metadata of an initializer: the type that the model as it came has it in.
STORED_AS = "svgd.stored_as"


def stored_as(value: ir.Value) -> str:
    """The type of an initializer in the model as it came: "float32", "float16" or "bfloat16"."""
    return str(value.meta.get(STORED_AS, "float32"))
