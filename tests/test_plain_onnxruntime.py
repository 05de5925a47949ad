"""The artifacts need nothing of this package: onnxruntime's own training API loads and trains them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnxruntime
import pytest

import svgd_onnx

# onnxruntime.training imports PyTorch in its __init__; a bare package in its place lets its `api` in.
SCRIPT = """
import os, sys, types, numpy, onnxruntime
package = types.ModuleType("onnxruntime.training")
package.__path__ = [os.path.join(os.path.dirname(onnxruntime.__file__), "training")]
sys.modules["onnxruntime.training"] = package
from onnxruntime.training.api import CheckpointState, Module, Optimizer
folder, library, data = sys.argv[1], sys.argv[2], numpy.load(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
if library: options.register_custom_ops_library(library)
state = CheckpointState.load_checkpoint(f"{folder}/checkpoint")
model = Module(f"{folder}/training_model.onnx", state, f"{folder}/eval_model.onnx", session_options=options)
optimizer = Optimizer(f"{folder}/optimizer_model.onnx", model)
optimizer.set_learning_rate(0.1)
for step in range(10):
    print(repr(float(model(data["x"], data["labels"]))))
    optimizer.step()
    model.lazy_reset_grad()
model.eval()
print(repr(float(model(data["x"], data["labels"])[0])))
model.export_model_for_inferencing(f"{folder}/exported.onnx", ["probabilities"])
print([name for name in sys.modules if name.split(".")[0] in ("svgd_onnx", "torch")])
"""


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ("fused", {}),
        ("portable", {}),
        ("portable", {"optimizer": "nesterov", "clip_norm": 1.0, "rate": {"*.bias": 0.5}}),
    ],
    ids=["fused", "portable", "directions"],
)
def test_a_script_without_this_package_trains_evaluates_and_exports(
    kernel: str, options: dict[str, Any], tmp_path: Path
) -> None:
    model = models.mlp()
    data = models.examples(model, 16)
    np.savez(tmp_path / "data.npz", **data)
    svgd_onnx.convert(model, tmp_path / "artifacts", t_kernel=kernel, **options)
    library = str(svgd_onnx.custom_op_library()) if kernel == "fused" else ""
    arguments = [tmp_path / "artifacts", library, tmp_path / "data.npz"]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    *losses, evaluation, modules = run.stdout.strip().splitlines()
    assert modules == "[]"
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts", threads=1, kernels="standard")
    assert [trainer.train_step(data, 0.1) for _ in range(10)] == [float(loss) for loss in losses]
    assert trainer.evaluate(data)["loss"] == float(evaluation)

    session = onnxruntime.InferenceSession(tmp_path / "artifacts" / "exported.onnx")
    trainer.export(tmp_path / "ours.onnx")
    ours = onnxruntime.InferenceSession(tmp_path / "ours.onnx")
    np.testing.assert_array_equal(
        session.run(["probabilities"], {"x": data["x"]})[0],
        ours.run(["probabilities"], {"x": data["x"]})[0],
    )


def test_this_environment_has_no_deep_learning_framework() -> None:
    script = "import importlib.util as u; print([n for n in ('torch', 'tensorflow', 'jax') if u.find_spec(n)])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
