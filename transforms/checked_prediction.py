"""A model that predicts, and looks at what it computes from data that would end the process."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.guarded_inference import infer_shapes
from svgd_onnx.transforms.check_indices import CheckIndices

# Of which on what looks is written: Shape has a start and an end.
_OLDEST_OPSET = 15


def look_at_indices(path: Path) -> None:
    """Puts `CheckIndices` into the file of an exported model; one of an older opset stays as it is.

    Raises:
        UserError: the types of its values cannot be found.
    """
    typed = infer_shapes(onnx.load(path, load_external_data=False), follow=False)
    model = ir.from_proto(typed)
    if model.graph.opset_imports.get("", 0) >= _OLDEST_OPSET and CheckIndices()(model).modified:
        path.write_bytes(ir.to_proto(model).SerializeToString())
