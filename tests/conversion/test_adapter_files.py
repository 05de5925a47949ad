"""Trained adapters in a file of their own, and put on their model again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from low_rank import NETWORKS, QUANTIZED, predictions, trained, weights_of
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx.cli import _app
from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.adapter_file import export_adapter
from svgd_onnx.training.export import export


@pytest.mark.parametrize("name", [*NETWORKS, *QUANTIZED])
def test_an_adapter_is_put_on_the_model_again(name: str, tmp_path: Path) -> None:
    onnx.save({**NETWORKS, **QUANTIZED}[name](), tmp_path / "base.onnx")
    arrays, *_ = trained(tmp_path / "base.onnx", tmp_path / "a")
    export(tmp_path / "a", tmp_path / "exported.onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    assert all("lora" in each for each in load_file(tmp_path / "tuned.safetensors"))
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    exported, applied = (
        weights_of(tmp_path / "exported.onnx"),
        weights_of(tmp_path / "applied.onnx"),
    )
    assert exported.keys() == applied.keys()
    assert all(np.array_equal(exported[each], applied[each]) for each in exported)
    assert np.array_equal(
        predictions(tmp_path / "exported.onnx", arrays),
        predictions(tmp_path / "applied.onnx", arrays),
    )


def test_a_new_head_goes_with_its_adapter(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "base.onnx")
    trained(tmp_path / "base.onnx", tmp_path / "a", num_classes=7, train=["bn.*"])
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.export(tmp_path / "exported.onnx")
    trainer.export_adapter(tmp_path / "tuned.safetensors")
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    exported, applied = (
        weights_of(tmp_path / "exported.onnx"),
        weights_of(tmp_path / "applied.onnx"),
    )
    assert all(np.array_equal(exported[each], applied[each]) for each in exported)
    shape = onnx.load(tmp_path / "applied.onnx").graph.output[0].type.tensor_type.shape
    assert shape.dim[1].dim_value == 7


@pytest.mark.parametrize("option", ["train", "reset"])
def test_a_weight_that_is_whole_in_the_file_has_its_adapter_too(
    option: str, tmp_path: Path
) -> None:
    onnx.save(models.mlp(), tmp_path / "base.onnx")
    settings: dict[str, Any] = {option: ["fc1.weight"]}
    trained(tmp_path / "base.onnx", tmp_path / "a", **settings)
    export(tmp_path / "a", tmp_path / "exported.onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    assert {"fc1.weight", "fc1.weight.lora_A"} <= load_file(tmp_path / "tuned.safetensors").keys()
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    assert np.array_equal(
        weights_of(tmp_path / "exported.onnx")["fc1.weight"],
        weights_of(tmp_path / "applied.onnx")["fc1.weight"],
    )


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    onnx.save(models.mlp(), tmp_path / "base.onnx")
    svgd_onnx.convert(tmp_path / "base.onnx", tmp_path / "a", lora=2, target="onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    onnx.save(models.matmul_add(), tmp_path / "other.onnx")

    def applied(model: Path | onnx.ModelProto) -> None:
        svgd_onnx.apply_adapter(model, tmp_path / "tuned.safetensors", tmp_path / "applied.onnx")

    with pytest.raises(UserError, match=r"trained over another model than .*its SHA-256 is"):
        applied(tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"'fc1.weight' is of the shape \[6, 5\] in the model"):
        applied(models.matmul_add())
    with pytest.raises(UserError, match="the model has no layer of 'fc1.weight'"):
        applied(models.large_outputs())
    assert not (tmp_path / "applied.onnx").exists()


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    for name, why in (("other", "is none of svgd-onnx's adapters"), ("damaged", "is damaged")):
        with pytest.raises(UserError, match=why):
            svgd_onnx.apply_adapter(
                models.mlp(), tmp_path / f"{name}.safetensors", tmp_path / "applied.onnx"
            )
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    with pytest.raises(UserError, match="has no adapters: convert with lora"):
        export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")


def constant_weights() -> onnx.ModelProto:
    """As `models.mlp`, where each weight is a Constant node."""
    model = models.mlp()
    graph = model.graph
    nodes = [
        onnx.helper.make_node("Constant", [], [each.name], value=each) for each in graph.initializer
    ]
    nodes += graph.node
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    return model


def test_weights_that_are_constant_nodes(tmp_path: Path) -> None:
    onnx.save(constant_weights(), tmp_path / "base.onnx")
    arrays, *_ = trained(tmp_path / "base.onnx", tmp_path / "a", num_classes=7)
    export(tmp_path / "a", tmp_path / "exported.onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    exported, applied = (
        predictions(tmp_path / f"{name}.onnx", arrays) for name in ("exported", "applied")
    )
    assert applied.shape == (32, 7) and applied == pytest.approx(exported, abs=1e-6)


def test_large_tensors_go_into_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = models.Network()
    value = net.node("Relu", net.node("MatMul", "x", net.weight("w", 6, 50)))
    net.node("MatMul", value, net.weight("head", 50, 4), output="logits")
    onnx.save(net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}), tmp_path / "base.onnx")
    arrays, *_ = trained(tmp_path / "base.onnx", tmp_path / "a")
    export(tmp_path / "a", tmp_path / "exported.onnx")
    export_adapter(tmp_path / "a", tmp_path / "tuned.safetensors")
    monkeypatch.setattr("svgd_onnx.training.exported_model._LARGEST_FILE", 1000)
    svgd_onnx.apply_adapter(
        tmp_path / "base.onnx", tmp_path / "tuned.safetensors", tmp_path / "applied.onnx"
    )
    assert (tmp_path / "applied.onnx.data").stat().st_size == 6 * 50 * 4
    assert np.array_equal(
        predictions(tmp_path / "applied.onnx", arrays),
        predictions(tmp_path / "exported.onnx", arrays),
    )


def test_the_command_line(tmp_path: Path) -> None:
    def run(*line: object) -> Any:
        return CliRunner().invoke(_app, [str(each) for each in line])

    model, folder, adapter = (tmp_path / name for name in ("model.onnx", "a", "tuned.safetensors"))
    onnx.save(models.mlp(), model)
    line = [
        "convert",
        model,
        "--output",
        folder,
        "--target",
        "onnx",
        "--lora",
        2,
        "--lora-alpha",
        4,
    ]
    assert run(*line, "--lora-targets", "fc*", "--no-verify").exit_code == 0
    assert Manifest.load(folder).lora is not None
    assert isinstance(run("export", folder).exception, UserError)
    assert "the trained adapters" in run("export", folder, "--adapter", adapter).output
    both = run("export", folder, "--output", tmp_path / "one", "--adapter", tmp_path / "one")
    assert "are one file" in str(both.exception) and not (tmp_path / "one").exists()
    line = ["apply", model, "--adapter", adapter, "--output", tmp_path / "tuned.onnx"]
    assert run(*line).exit_code == 0
    assert (tmp_path / "tuned.onnx").is_file()
