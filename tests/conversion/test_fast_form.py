"""A fast form that is not the step of standard operators is left out, whatever it differs in."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import Network
from runtimes import RUNNABLE_TARGETS

import svgd_onnx
from svgd_onnx.errors import Advice
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.ort_training import artifacts as of_ort_training
from svgd_onnx.targets.standard_onnx import artifacts as of_standard_onnx
from svgd_onnx.transforms import with_fast_operators as with_fast_operators_file
from svgd_onnx.transforms.with_fast_operators import with_fast_operators

WRITERS = {"ort-training": of_ort_training, "onnx": of_standard_onnx}


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
def test_a_row_of_infinity_that_nothing_reads_changes_nothing(target: str, tmp_path: Path) -> None:
    """Verification moves parameters, and the fast form is held against the other where they were."""
    net = Network()
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    rows[0] = -np.inf
    read = net.node("Gather", net.constant("rows", rows), "word")
    net.node("MatMul", net.node("Softmax", read), net.weight("w", 6, 4), output="logits")
    model = net.model({"word": ("N",)}, {"logits": ("N", 4)}, check=False)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target=target, train=["rows", "w"])
    assert TARGETS[target].fast_step in manifest.files


@pytest.mark.parametrize("target", RUNNABLE_TARGETS)
@pytest.mark.parametrize(
    ("operator", "attribute", "said"),
    [
        ("BatchNormalizationTraining", ir.AttrFloat32("epsilon", 1.0), "its loss is"),
        ("BatchNormalizationTraining", ir.AttrFloat32("momentum", 0.1), "comes out differently"),
        ("BatchNormalizationGradient", ir.AttrInt64("relu", 0), "comes out differently"),
        ("BatchNormalizationTraining", ir.AttrFloat32("epsilon", -1.0), "its loss is nan"),
    ],
    ids=["loss", "statistics", "gradients", "not finite"],
)
def test_what_differs_is_left_out_and_named(
    operator: str,
    attribute: ir.Attr,
    said: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_a_fault(model: ir.Model, *, portable: bool) -> ir.Model | None:
        fast = with_fast_operators(model, portable=portable)
        assert fast is not None
        (node, *_) = (each for each in fast.graph if each.op_type == operator)
        node.attributes[attribute.name] = attribute
        return fast

    monkeypatch.setattr(WRITERS[target], "with_fast_operators", with_a_fault)
    with pytest.warns(Advice, match=f"fast.onnx was left out .*{said}"):
        manifest = svgd_onnx.convert(models.mlp(), tmp_path / "artifacts", target=target)
    name = TARGETS[target].fast_step
    assert name not in manifest.files and not (tmp_path / "artifacts" / name).exists()
    assert svgd_onnx.Trainer(tmp_path / "artifacts").kernels == "standard"


@pytest.mark.parametrize(("many", "there"), [(100, False), (10_000, True)])
def test_a_second_form_of_very_many_nodes_is_made_where_operators_of_ours_are_some_of_them(
    many: int, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_fast_operators_file, "_MANY_NODES", many)
    net = models.Network()
    value = "image"
    for _ in range(700):
        value = net.node("Tanh", value)
    net.node("MatMul", value, net.weight("head.weight", 4, models.CLASSES), output="logits")
    model = net.model({"image": ("batch", 4)}, {"logits": ("batch", models.CLASSES)})
    manifest = svgd_onnx.convert(model, tmp_path / "artifacts", target="onnx", verify=False)
    assert (TARGETS["onnx"].fast_step in manifest.files) == there
