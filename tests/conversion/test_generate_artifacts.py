"""`generate_artifacts`, whose artifacts code for onnxruntime's own loads and trains."""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from models import Network
from onnx import numpy_helper

import svgd_onnx
from svgd_onnx import UserError, runtime

# As it is written for onnxruntime's artifacts. onnxruntime.training imports PyTorch in its __init__; a bare
# package in its place lets its `api` in.
PACKAGE = """
import os, sys, types, numpy, onnxruntime
package = types.ModuleType("onnxruntime.training")
package.__path__ = [os.path.join(os.path.dirname(onnxruntime.__file__), "training")]
sys.modules["onnxruntime.training"] = package
"""
SCRIPT = (
    PACKAGE
    + """
from onnxruntime.training.api import CheckpointState, Module, Optimizer
os.chdir(sys.argv[1])
prefix, outputs, data = sys.argv[2], int(sys.argv[3]), numpy.load("data.npz")
state = CheckpointState.load_checkpoint(f"{prefix}checkpoint")
model = Module(f"{prefix}training_model.onnx", state, f"{prefix}eval_model.onnx")
optimizer = Optimizer(f"{prefix}optimizer_model.onnx", model)
optimizer.set_learning_rate(0.1)
results = {}
for step in range(3):
    found = model(*(data[name] for name in data.files))
    loss, *others = found if outputs else [found]
    for number, other in enumerate(others):
        results[f"training {step} {number}"] = other
    results[f"loss {step}"] = loss
    optimizer.step()
    model.lazy_reset_grad()
model.eval()
found = model(*(data[name] for name in data.files))
loss, *others = found if outputs else [found]
results["evaluated"] = loss
for number, other in enumerate(others):
    results[f"evaluation {number}"] = other
for name, parameter in state.parameters:
    results[f"parameter {name}"] = parameter.data
numpy.savez("results.npz", **results)
"""
)


class LossType(enum.Enum):
    """As onnxruntime has it."""

    MSELoss = 1
    CrossEntropyLoss = 2


class OptimType(enum.Enum):
    """As onnxruntime has it."""

    AdamW = 1
    SGD = 2


def trained(
    folder: Path, data: dict[str, np.ndarray], prefix: str = "", outputs: int = 0
) -> dict[str, np.ndarray]:
    """What onnxruntime's own API makes of the artifacts of a folder in three steps."""
    np.savez(folder / "data.npz", **data)
    arguments = [sys.executable, "-c", SCRIPT, str(folder), prefix, str(outputs)]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(folder / "results.npz") as results:
        return dict(results)


def linear() -> onnx.ModelProto:
    """x (batch, 3) -> y (batch, 2)"""
    net = Network()
    net.node("MatMul", "x", net.weight("w", 3, 2), output="product")
    net.node("Add", "product", net.weight("b", 2), output="y")
    return net.model({"x": ("batch", 3)}, {"y": ("batch", 2)})


def regression_data() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "x": random.normal(size=(8, 3)).astype(np.float32),
        "target": random.normal(size=(8, 2)).astype(np.float32),
    }


def by_numpy(optimizer: str) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Losses of three steps, w and b, in float64, by the formula of onnxruntime's operator."""
    data = regression_data()
    w, b = (numpy_helper.to_array(each).astype(np.float64) for each in linear().graph.initializer)
    x, target = data["x"].astype(np.float64), data["target"].astype(np.float64)
    moments = {name: (0.0, 0.0) for name in "wb"}
    losses = []
    for step in range(1, 4):
        difference = x @ w + b - target
        losses.append(float((difference**2).mean()))
        dy = 2 * difference / difference.size
        gradients, values = {"w": x.T @ dy, "b": dy.sum(axis=0)}, {"w": w, "b": b}
        for name, g in gradients.items():
            if optimizer == "SGD":
                values[name] = values[name] - 0.1 * g
                continue
            m, v = moments[name]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            moments[name] = m, v
            rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            values[name] = values[name] - rate * m / (np.sqrt(v) + 1e-6)
        w, b = values["w"], values["b"]
    return losses, w, b


@pytest.mark.parametrize("optimizer", list(OptimType), ids=str)
def test_plain_code_trains_as_the_formulas_say(optimizer: OptimType, tmp_path: Path) -> None:
    svgd_onnx.generate_artifacts(
        linear(),
        requires_grad=["w", "b"],
        loss=LossType.MSELoss,
        optimizer=optimizer,
        artifact_directory=tmp_path,
    )
    found = trained(tmp_path, regression_data())
    losses, w, b = by_numpy(optimizer.name)
    np.testing.assert_allclose([found[f"loss {step}"] for step in range(3)], losses, rtol=1e-5)
    np.testing.assert_allclose(found["parameter w"], w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["parameter b"], b, rtol=1e-4, atol=1e-6)


BOTH = """
import onnx, svgd_onnx
from onnxruntime.training import artifacts
for generate, folder in (artifacts.generate_artifacts, "theirs"), (svgd_onnx.generate_artifacts, "ours"):
    os.mkdir(folder)
    generate(
        "model.onnx",
        requires_grad=["fc1.weight", "fc2.weight", "fc2.bias"],
        frozen_params=["fc1.bias"],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType[sys.argv[1]],
        artifact_directory=folder,
        additional_output_names=["logits"],
    )
made = onnx.load("theirs/optimizer_model.onnx")  # in the format of the onnx package, which may be too new
made.ir_version = 8
onnx.save(made, "theirs/optimizer_model.onnx")
"""


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_artifacts_train_as_those_of_onnxruntime_do(optimizer: str, tmp_path: Path) -> None:
    runtime.training_binding()
    model = models.gemm()
    onnx.save(model, tmp_path / "model.onnx")
    arguments = [sys.executable, "-c", PACKAGE + BOTH, optimizer]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    data = models.examples(model, 8)
    theirs, ours = (trained(tmp_path / each, data, outputs=1) for each in ("theirs", "ours"))
    assert theirs.keys() == ours.keys()
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_svgd_trains_as_a_folder_of_convert_does(tmp_path: Path) -> None:
    model = models.mlp()
    data = models.examples(model, 16)
    settings = {"scale": 0.02, "rho": 0.8}
    svgd_onnx.generate_artifacts(
        model,
        loss="cross-entropy",
        optimizer=svgd_onnx.SVGD(**settings),
        artifact_directory=str(tmp_path),
        prefix="mlp_",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mlp_checkpoint",
        "mlp_eval_model.onnx",
        "mlp_optimizer_model.onnx",
        "mlp_training_model.onnx",
    ]
    found = trained(tmp_path, data, "mlp_")
    svgd_onnx.convert(
        model, tmp_path / "artifacts", target="ort-training", t_kernel="portable", **settings
    )
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    losses = [trainer.train_step(data, 0.1) for _ in range(3)]
    np.testing.assert_allclose([found[f"loss {step}"] for step in range(3)], losses, rtol=1e-6)
    np.testing.assert_allclose(found["evaluated"], trainer.evaluate(data)["loss"], rtol=1e-6)


def test_what_is_frozen_stays(tmp_path: Path) -> None:
    svgd_onnx.generate_artifacts(
        linear(),
        requires_grad=["w"],
        frozen_params=["b"],
        loss=LossType.MSELoss,
        optimizer=OptimType.SGD,
        artifact_directory=tmp_path,
    )
    found = trained(tmp_path, regression_data())
    before = {each.name: numpy_helper.to_array(each) for each in linear().graph.initializer}
    np.testing.assert_array_equal(found["parameter b"], before["b"])
    assert (found["parameter w"] != before["w"]).all()


def test_values_that_are_asked_for_come_after_the_loss(tmp_path: Path) -> None:
    """One within the model, and its output, which the loss of logits does not need."""
    model = models.mlp()
    data = models.examples(model, 8)
    (hidden,) = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    svgd_onnx.generate_artifacts(
        model,
        loss=LossType.CrossEntropyLoss,
        optimizer=OptimType.SGD,
        artifact_directory=tmp_path,
        additional_output_names=["probabilities", hidden],
    )
    found = trained(tmp_path, data, outputs=2)
    for name in ("training 0", "evaluation"):
        np.testing.assert_allclose(found[f"{name} 0"].sum(axis=1), 1, rtol=1e-5)
        assert found[f"{name} 1"].shape == (8, 5)
    picked = found["training 0 0"][np.arange(8), data["labels"]]
    np.testing.assert_allclose(-np.log(picked).mean(), found["loss 0"], rtol=1e-5)


def test_the_first_output_may_be_the_loss(tmp_path: Path) -> None:
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 3, 1))
    net.node("ReduceMean", net.node("Mul", value, value), output="cost", keepdims=0)
    model = net.model({"x": ("batch", 3)}, {"cost": ()})
    svgd_onnx.generate_artifacts(model, optimizer="sgd", artifact_directory=tmp_path)
    found = trained(tmp_path, {"x": regression_data()["x"]})
    assert found["loss 2"] < found["loss 0"]


def test_the_loss_may_read_a_value_that_is_no_output(tmp_path: Path) -> None:
    model, data = linear(), regression_data()
    svgd_onnx.generate_artifacts(
        model,
        requires_grad=["w"],
        loss=LossType.MSELoss,
        optimizer="sgd",
        artifact_directory=tmp_path,
        loss_input_names=["product"],
    )
    weight = numpy_helper.to_array(model.graph.initializer[0])
    wanted = ((data["x"] @ weight - data["target"]) ** 2).mean()
    np.testing.assert_allclose(trained(tmp_path, data)["loss 0"], wanted, rtol=1e-5)


def test_a_file_may_have_its_weights_beside_it(tmp_path: Path) -> None:
    model = models.mlp()
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    (tmp_path / "made").mkdir()
    svgd_onnx.generate_artifacts(
        str(tmp_path / "model.onnx"),
        loss="cross-entropy",
        optimizer="svgd",
        artifact_directory=tmp_path / "made",
        additional_output_names=["probabilities", "gemm_0"],
    )
    found = trained(tmp_path / "made", models.examples(models.mlp(), 8), outputs=2)
    assert found["evaluation 1"].shape == (8, 5)


def test_without_an_optimizer_no_model_of_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    svgd_onnx.generate_artifacts(linear(), loss="mse")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint", "eval_model.onnx", "training_model.onnx"]


def test_files_of_before_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("of before")
    (tmp_path / "notes").write_text("mine")
    svgd_onnx.generate_artifacts(linear(), loss="mse", artifact_directory=tmp_path)
    assert (tmp_path / "checkpoint").read_bytes() != b"of before"
    assert (tmp_path / "notes").read_text() == "mine"


class Block:
    """As one of onnxblock's."""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"loss": Block()}, "loss is a Block, which is not known here"),
        ({"loss": "none_such"}, "loss is 'none_such'"),
        ({"optimizer": Block()}, "optimizer is a Block, which is not known here"),
        ({"optimizer": "lion"}, "optimizer is 'lion'"),
        ({"ort_format": True}, "ort_format is not done here: python -m onnxruntime.tools"),
        ({"custom_op_library": "lib.so"}, "custom_op_library is not done here"),
        ({"nominal_checkpoint": True}, "nominal_checkpoint is not done here"),
        ({"requires_grad": ["w"], "frozen_params": ["w"]}, "both have 'w'"),
        ({"requires_grad": ["v"]}, "'v' matches no parameter of the model"),
        ({"requires_grad": ["w"], "frozen_params": ["v"]}, "frozen_params has 'v'"),
        ({"additional_output_names": ["z"]}, "The model computes no value 'z'"),
        ({"loss_input_names": ["y", "product"]}, "a loss compares one value with the label"),
        ({"accumulation_steps": 2}, "accumulation_steps is not done here: onnxruntime's Module"),
        ({"ema": 0.9}, "ema is not done here"),
        ({"proximal": 1}, "proximal is not done here"),
        ({"optimizer": "adamw", "rate": {"w": 2}}, "rate by globs is not done here under AdamW"),
        (
            {"optimizer": "adamw", "weight_decay": {"w": 2}},
            "weight_decay by globs is not done here",
        ),
        ({"artifact_directory": "nowhere"}, "There is no folder 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(
    arguments: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        svgd_onnx.generate_artifacts(linear(), **{"loss": "mse", "optimizer": "sgd", **arguments})
    assert not list(tmp_path.iterdir())
