"""`convert --data-parallel` proves that the step in pieces is the step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import has_custom_op_library
from svgd_onnx.step_names import EXAMPLES, LOSS_SHARE, MEAN, SUM
from svgd_onnx.targets.standard_onnx import artifacts


def convert(model: onnx.ModelProto, folder: Path, **settings: Any) -> Manifest:
    return svgd_onnx.convert(model, folder, target="onnx", data_parallel=True, **settings)


def dropout() -> onnx.ModelProto:
    """x (batch, 6) -> MatMul -> Dropout -> MatMul -> logits (batch, 5)."""
    net = Network()
    value = net.node("Dropout", net.node("MatMul", "x", net.weight("w", 6, 8)))
    net.node("MatMul", value, net.weight("head", 8, 5), output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 5)})


def of_fixed_size() -> onnx.ModelProto:
    """x (4, 6) -> MatMul -> less the batch's mean -> logits (4, 5)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 5))
    mean = net.node("ReduceMean", value, axes=[0], keepdims=1)
    net.node("Sub", value, mean, output="logits")
    return net.model({"x": (4, 6)}, {"logits": (4, 5)})


RIGHT: dict[str, tuple[Callable[[], onnx.ModelProto], dict[str, Any]]] = {
    "statistics of a batch": (models.mlp, {"batch_norm": "synchronized"}),
    "statistics of each rank": (models.mlp, {}),
    "whole steps of what is but rounding": (models.mlp, {"optimizer": "adamw"}),
    "lamb": (models.convolutional, {"optimizer": "lamb"}),
    "several batches a step": (models.convolutional, {"accumulation_steps": 2}),
    "a sequence": (models.sequence, {}),
    "random numbers": (dropout, {}),
    "a batch of fixed size": (of_fixed_size, {"fixed_batch": True}),
    "float16": (models.convolutional, {"compute": "float16"}),
    "local r": (models.convolutional, {"r": "local"}),
    "gradients of examples": (models.convolutional, {"gradient": "example"}),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_right_passes(case: str, tmp_path: Path) -> None:
    model, settings = RIGHT[case]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*left out.*", Advice)
        manifest = convert(model(), tmp_path / "a", **settings)
    assert manifest.verified is not None


@pytest.mark.parametrize("weight", [SUM, MEAN, LOSS_SHARE])
def test_a_wrong_weight_of_a_rank_is_found(
    weight: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = artifacts.cut

    def reweighed(*given: Any) -> list[onnx.ModelProto]:
        made = cut(*given)
        for entry in (entry for piece in made for entry in piece.metadata_props):
            entry.value = entry.value.replace(f'"{weight}"', f'"{EXAMPLES}"')
        return made

    monkeypatch.setattr(artifacts, "cut", reweighed)
    with pytest.raises(UserError, match="for several ranks is another"):
        convert(models.convolutional(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def without_the_last_update(made: list[onnx.ModelProto]) -> list[onnx.ModelProto]:
    """Pieces whose first parameter comes out as it went in."""
    last = made[-1].graph
    output = next(each.name for each in last.output if each.name.endswith("weight.new"))
    node = next(node for node in last.node if output in node.output)
    node.CopyFrom(onnx.helper.make_node("Identity", [output.removesuffix(".new")], [output]))
    return made


def test_pieces_that_make_another_step_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = artifacts.cut
    monkeypatch.setattr(artifacts, "cut", lambda *given: without_the_last_update(cut(*given)))
    with pytest.raises(UserError, match="weight' comes out differently"):
        convert(models.convolutional(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_pieces_that_do_not_load_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = artifacts.cut

    def broken(*given: Any) -> list[onnx.ModelProto]:
        made = cut(*given)
        made[0].graph.node[0].op_type = "NoOperator"
        return made

    monkeypatch.setattr(artifacts, "cut", broken)
    with pytest.raises(UserError, match="it does not run"):
        convert(models.convolutional(), tmp_path / "a")


@pytest.mark.skipif(not has_custom_op_library(), reason="there is no fast form without it")
def test_a_fast_form_whose_pieces_are_wrong_is_left_out_with_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut, calls = artifacts.cut, iter((False, True))

    def wrong(*given: Any) -> list[onnx.ModelProto]:
        made = cut(*given)
        return without_the_last_update(made) if next(calls) else made

    monkeypatch.setattr(artifacts, "cut", wrong)
    with pytest.warns(Advice, match=r"training_step\.fast\.onnx was left out"):
        manifest = convert(models.convolutional(), tmp_path / "a")
    assert not list((tmp_path / "a").glob("*fast*"))
    assert not [name for name in manifest.files if "fast" in name]
    assert (tmp_path / "a" / "training_step.piece-1.onnx").is_file()


def test_a_loss_that_is_no_mean_over_examples_is_found(tmp_path: Path) -> None:
    """The model's own, a sum over the batch."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("w", 6, 1))
    net.node("ReduceSum", net.node("Mul", value, value), keepdims=0, output="loss")
    model = net.model({"x": ("batch", 6)}, {"loss": ()})
    with (
        pytest.warns(Advice, match="takes the loss for a mean over examples"),
        pytest.raises(UserError, match="no mean over examples"),
    ):
        convert(model, tmp_path / "a", loss="none")
