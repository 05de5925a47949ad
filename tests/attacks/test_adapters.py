"""Files of adapters that ask for what no model has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attacks import attacked

import svgd_onnx
from svgd_onnx import UserError

model = attacked.model


@pytest.mark.parametrize("count", [-3, 0, 6, 2**40])
def test_a_head_that_the_file_does_not_hold_is_refused_before_room_is_taken(
    count: int, model: Path, tmp_path: Path
) -> None:
    options = {"target": "onnx", "verify": False, "lora": 1, "num_classes": 7}
    svgd_onnx.convert(model, tmp_path / "adapted", **options)
    path = tmp_path / "adapter.safetensors"
    svgd_onnx.Trainer(tmp_path / "adapted").export_adapter(path)
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    metadata = json.loads(header["__metadata__"]["svgd.adapter"])
    metadata["num_classes"] = count
    header["__metadata__"]["svgd.adapter"] = json.dumps(metadata)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[end:])
    with pytest.raises(UserError, match=f"no head of {count} classes"):
        svgd_onnx.apply_adapter(model, path, tmp_path / "applied.onnx")
