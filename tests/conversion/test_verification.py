"""`convert` proves what it made before it puts it in place."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from models import Network
from typer.testing import CliRunner

import svgd_onnx
from svgd_onnx import LossSettings, Manifest, UserError
from svgd_onnx.cli import _app
from svgd_onnx.conversion import verification
from svgd_onnx.conversion.raw_gradients import RawGradients
from svgd_onnx.runtime import installed_packages
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS, Backward
from svgd_onnx.transforms.lower.lower import RULES
from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.writer import Writer

TARGETS = pytest.mark.parametrize("target", svgd_onnx.targets.TARGETS)


def tanh(**shapes: Any) -> onnx.ModelProto:
    """x (batch, 6) -> MatMul -> Tanh -> MatMul -> logits (batch, 5)."""
    net = Network()
    value = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 6, 8)))
    net.node("MatMul", value, net.weight("head", 8, 5), output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 5)})


def test_a_softmax_in_per_cent_is_not_taken_for_logits(tmp_path: Path) -> None:
    net = Network()
    shares = net.node("Softmax", net.node("MatMul", "x", net.weight("w", 6, 4)))
    net.node("Mul", shares, net.constant("hundred", np.array(100, np.float32)), output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    with pytest.raises(UserError, match="'y' looks like probabilities .* from_logits"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")


def test_a_head_that_says_the_same_of_all_is_taken_for_logits(tmp_path: Path) -> None:
    net = Network()
    head = net.constant("head", np.zeros((6, 4), np.float32))
    net.node("Gemm", "x", head, net.constant("bias", np.ones(4, np.float32)), output="y")
    model = net.model({"x": ("batch", 6)}, {"y": ("batch", 4)})
    assert svgd_onnx.convert(model, tmp_path / "a", target="onnx").verified is not None


def test_elements_that_overwrite_each_other_are_named(tmp_path: Path) -> None:
    """As torch's legacy exporter writes index_add: without a reduction, of which only the last counts."""
    net = Network()
    hidden = net.node("MatMul", "x", net.weight("w", 4, 4))
    zeros = net.constant("zeros", np.zeros((8, 4), np.float32))
    net.node("ScatterElements", zeros, "index", hidden, axis=0, output="y")
    model = net.model({"x": (8, 4)}, {"y": (8, 4)}, check=False)
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("index", onnx.TensorProto.INT64, (8, 4))
    )
    with pytest.raises(UserError, match="ScatterElements .* more than once"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss="mse", fixed_batch=True)


@TARGETS
def test_svgd_json_says_what_verified(target: str, tmp_path: Path) -> None:
    svgd_onnx.convert(tanh(), tmp_path / "a", target=target)
    verified = Manifest.load(tmp_path / "a").verified
    assert verified is not None
    assert {verified.package: verified.version} == installed_packages()
    assert verified.unresolved == []


@TARGETS
@pytest.mark.parametrize(
    "options",
    [
        {"t_scope": ["all-linear"], "rho": 0.0},
        {"t_scope": ["all-linear"], "t_kernel": "portable", "granularity": "channel"},
        {"gradient": "example", "scale": 3.0, "epsilon": 1e-12},
        {"l1": 0.1, "optimizer": "adamw"},
        {"recompute": True, "encapsulation": "operators"},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("name", ["convolutional", "shared_weight"])
def test_t_and_the_update_are_left_out(
    name: str, options: dict[str, Any], target: str, tmp_path: Path
) -> None:
    manifest = svgd_onnx.convert(getattr(models, name)(), tmp_path / "a", target=target, **options)
    assert manifest.verified is not None


def test_accumulated_gradients_are_those_of_a_batch(tmp_path: Path) -> None:
    manifest = svgd_onnx.convert(tanh(), tmp_path / "a", target="onnx", accumulation_steps=3)
    assert manifest.verified is not None


@TARGETS
def test_dropout_drops_the_same_at_both_ends_of_a_difference(target: str, tmp_path: Path) -> None:
    net = Network()
    value = net.node("Dropout", net.node("MatMul", "x", net.weight("w", 40, 30)))
    net.node("MatMul", value, net.weight("head", 30, 5), output="logits")
    model = net.model({"x": ("batch", 40)}, {"logits": ("batch", 5)})
    manifest = svgd_onnx.convert(model, tmp_path / "a", target=target)
    assert manifest.random
    assert manifest.verified is not None
    assert manifest.verified.unresolved == []


def half(rule: Callable[[Backward], Any]) -> Callable[[Backward], Any]:
    """The rule, and all that it gives times a half."""

    def wrong(back: Backward) -> Any:
        return [
            each and back.write.node("Mul", each, back.write.scalar(0.5)) for each in rule(back)
        ]

    return wrong


@TARGETS
def test_a_wrong_gradient_is_an_error_and_nothing_is_written(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRADIENTS, "Tanh", half(GRADIENTS["Tanh"]))
    with pytest.raises(
        UserError, match=r"^Nothing was written: the loss changes .*'w' \(2 times\)"
    ):
        svgd_onnx.convert(tanh(), tmp_path / "a", target=target, differentiator="own")
    assert not list(tmp_path.iterdir())
    svgd_onnx.convert(tanh(), tmp_path / "a", target=target, differentiator="own", verify=False)
    assert Manifest.load(tmp_path / "a").verified is None


def test_predictions_that_are_drawn_are_compared_with_nothing(tmp_path: Path) -> None:
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 4, 3))
    net.node("Add", value, net.node("RandomNormalLike", value), output="logits")
    model = net.model({"x": ("batch", 4)}, {"logits": ("batch", 3)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")


def test_a_wrong_lowering_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(node: Any, write: Writer) -> Any:
        return write.node("Mul", node.inputs[0], node.inputs[1])

    monkeypatch.setitem(RULES, "TanhGrad", Lowering(wrong))
    with pytest.raises(UserError, match="the loss changes .*'w'"):
        svgd_onnx.convert(tanh(), tmp_path / "a", target="onnx")


def test_a_head_of_zeros_is_named_and_right(tmp_path: Path) -> None:
    model = tanh()
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.CopyFrom(onnx.numpy_helper.from_array(np.zeros((8, 5), np.float32), "head"))
    with pytest.warns(UserWarning, match="The gradient of 'w' is zero everywhere on made-up data"):
        manifest = svgd_onnx.convert(model, tmp_path / "a", target="onnx")
    assert manifest.verified is not None


def test_what_look_like_probabilities_are_not_taken_for_logits_in_silence(tmp_path: Path) -> None:
    model = models.shares()
    with pytest.raises(UserError, match="'y' looks like probabilities .* from_logits"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")
    settings = LossSettings(from_logits=True)
    manifest = svgd_onnx.convert(model, tmp_path / "a", target="onnx", loss_settings=settings)
    assert manifest.verified is not None
    assert svgd_onnx.convert(model, tmp_path / "b", target="onnx", loss="mse").verified is not None


def in_pairs() -> onnx.ModelProto:
    """x (batch, length) with a length that has to be a multiple of 6."""
    net = Network()
    pairs = net.node("Reshape", "x", net.constant("shape", np.array([0, -1, 6])))
    pooled = net.node("ReduceMean", pairs, axes=[1], keepdims=0)
    net.node("MatMul", pooled, net.weight("w", 6, 5), output="logits")
    return net.model({"x": ("batch", "length")}, {"logits": ("batch", 5)})


def test_made_up_data_that_a_model_does_not_take_do_not_refuse_it(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="could not be verified.* random_size; .*verify=False"):
        manifest = svgd_onnx.convert(in_pairs(), tmp_path / "a", target="onnx")
    assert manifest.verified is None
    assert "made-up data" in str(Manifest.load(tmp_path / "a").unverified)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manifest = svgd_onnx.convert(
            in_pairs(), tmp_path / "b", target="onnx", random_size={"length": 12}
        )
    assert manifest.verified is not None


def test_a_weight_of_nan_is_named(tmp_path: Path) -> None:
    net = Network()
    weight = np.ones((4, 3), np.float32)
    weight[1, 2] = np.nan
    net.node("MatMul", "x", net.constant("w", weight), output="logits")
    model = net.model({"x": ("batch", 4)}, {"logits": ("batch", 3)})
    with pytest.raises(UserError, match="as 'w' holds NaN: export the model with numbers"):
        svgd_onnx.convert(model, tmp_path / "a", target="onnx")
    assert not (tmp_path / "a").exists()


def test_the_command_takes_sizes_and_says_what_verified(tmp_path: Path) -> None:
    onnx.save(in_pairs(), tmp_path / "m.onnx")
    command = ["convert", str(tmp_path / "m.onnx"), "--target", "onnx", "--output"]
    found = CliRunner().invoke(_app, [*command, str(tmp_path / "a"), "--random-size", "length=12"])
    assert "Verified on made-up data, with onnxruntime" in found.output
    found = CliRunner().invoke(_app, [*command, str(tmp_path / "b"), "--no-verify"])
    assert "Verified" not in found.output


def test_without_onnxruntime_the_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "installed_packages", dict)
    manifest = svgd_onnx.convert(tanh(), tmp_path / "a", target="onnx")
    assert manifest.verified is None
    assert "onnxruntime is not installed" in str(manifest.unverified)


def test_what_was_not_verified_is_opened_before_the_first_step(tmp_path: Path) -> None:
    svgd_onnx.convert(tanh(), tmp_path / "a", target="onnx", verify=False)
    manifest = svgd_onnx.Manifest.load(tmp_path / "a")
    manifest.files["eval_model.onnx"] = hashlib.sha256().hexdigest()  # else told to be another one
    manifest.save(tmp_path / "a")
    (tmp_path / "a" / "eval_model.onnx").write_bytes(b"")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    with pytest.raises(UserError, match="cannot load .*eval_model"):
        trainer.train_step(models.examples(tanh(), 4), 0.1)


def deep(seed: int, layers: int) -> onnx.ModelProto:
    """Layers of Gemm and Relu, whose loss bends at so many kinks that only the smallest steps are straight."""
    random = np.random.default_rng(seed)
    net = models.Network()
    value = "x"
    for layer in range(layers):
        sizes = 64, 10 if layer == layers - 1 else 64
        weight = (random.normal(size=sizes) / 8).astype(np.float32)
        value = net.node("Gemm", value, net.constant(f"w{layer}", weight))
        value = net.node("Relu", value) if sizes[1] == 64 else value
    net.nodes[-1].output[0] = "logits"
    return net.model({"x": ("N", 64)}, {"logits": ("N", 10)})


@pytest.mark.parametrize("seed", [0, 1])
def test_a_deep_network_of_relus_is_not_called_wrong(seed: int, tmp_path: Path) -> None:
    svgd_onnx.convert(deep(seed, 15), tmp_path / "a", target="onnx")


def test_a_wrong_gradient_of_a_deep_network_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = RawGradients.loss_and_gradients

    def wrong(self: RawGradients) -> tuple[float, dict[str, np.ndarray]]:
        loss, gradients = exact(self)
        return loss, {**gradients, "w9": 0.5 * gradients["w9"]}

    monkeypatch.setattr(RawGradients, "loss_and_gradients", wrong)
    with pytest.raises(svgd_onnx.UserError, match="another amount than the gradient .* 'w9'"):
        svgd_onnx.convert(deep(0, 15), tmp_path / "a", target="onnx")
