"""The checkpoint that training starts from is one that onnxruntime reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from svgd_onnx.runtime import training_binding
from svgd_onnx.targets.ort_training import checkpoint_file


def tensors(*named: tuple[str, tuple[int, ...]]) -> dict[str, ir.TensorProtocol]:
    random = np.random.default_rng(len(named))
    return {name: ir.tensor(random.normal(size=shape).astype(np.float32)) for name, shape in named}


@pytest.mark.parametrize("largest", [1_000_000, 8])
def test_onnxruntime_reads_names_shapes_and_numbers(
    largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one file, or the numbers beside it."""
    monkeypatch.setattr(checkpoint_file, "_LARGEST_FILE", largest)
    path = tmp_path / "checkpoint"
    trainable = tensors(("w", (3, 5)), ("a longer name, ü", (7,)), ("one", ()))
    others = tensors(("mean", (2, 1, 3)), ("empty", (0, 4)))
    checkpoint_file.write(path, trainable, others)
    assert path.with_name("checkpoint.data").is_file() == (largest == 8)

    state = training_binding().load_checkpoint(str(path))
    assert set(state.parameter_names()) == {*trainable, *others}
    for name, tensor in (*trainable.items(), *others.items()):
        read = state.get_parameter(name)
        assert read.requires_grad == (name in trainable)
        np.testing.assert_array_equal(read.data.numpy(), tensor.numpy(), strict=True)


def test_there_may_be_nothing_but_trained_tensors(tmp_path: Path) -> None:
    checkpoint_file.write(tmp_path / "checkpoint", tensors(("w", (2, 2))), {})
    state = training_binding().load_checkpoint(str(tmp_path / "checkpoint"))
    assert state.parameter_names() == ["w"]
