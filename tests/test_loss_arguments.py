"""What the command line says of losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from models import Network
from typer.testing import CliRunner

from svgd_onnx import LossSettings, OutputLoss
from svgd_onnx.cli import _app
from svgd_onnx.errors import UserError
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.loss_arguments import take_losses

NOTHING: dict[str, Any] = {
    **{name: [] for name in ("reduction", "class_axis", "ignore_index", "class_weights")},
    **{name: [] for name in ("label_smoothing", "focal_gamma", "margin")},
    "from_logits": False,
}


def taken(*losses: str, **options: Any) -> dict[str, Any]:
    """The keywords of losses and of options about them."""
    return take_losses({**NOTHING, "loss": list(losses), **options})


def test_one_loss() -> None:
    found = taken("focal", class_axis=["2"], focal_gamma=["1.5"], class_weights=["0.5,1"])
    settings = LossSettings(class_axis=2, focal_gamma=1.5, class_weights=(0.5, 1.0))
    assert found == {"loss": "focal", "loss_settings": settings}
    assert taken("my.onnx") == {"loss": "my.onnx", "loss_settings": LossSettings()}


def test_weights_of_many_classes_are_no_file_name() -> None:
    many = ",".join(["0.5"] * 1000)
    found = taken("class=focal", class_weights=[f"class={many}"])
    assert found["loss"]["class"].settings.class_weights == (0.5,) * 1000


def test_several_losses() -> None:
    found = taken(
        "class=cross-entropy",
        "box=l1:0.5",
        "a=b=own.onnx:2e-1",
        reduction=["box=sum", "mean"],
        label_smoothing=["0.1"],
        ignore_index=["class=-100"],
        from_logits=True,
    )
    of_class = LossSettings(label_smoothing=0.1, ignore_index=-100, from_logits=True)
    assert found == {
        "loss": {
            "class": OutputLoss("cross-entropy", 1.0, of_class),
            "box": OutputLoss("l1", 0.5, LossSettings(reduction="sum")),
            "a=b": OutputLoss("own.onnx", 0.2),
        }
    }


@pytest.mark.parametrize(
    ("losses", "options", "message"),
    [
        (["mse", "box=l1"], {}, "loss has 'mse', which names no output, beside others"),
        (["box=l1", "box=mse"], {}, "names the output 'box' twice"),
        (["box=l1:much"], {}, "loss has 'much', which is no number"),
        (["box=l1"], {"reduction": ["class=sum"]}, "reduction has 'class=sum', but loss names 'box'"),
        (["l1"], {"reduction": ["class=sum"]}, "but loss names no output"),
        (["box=l1"], {"margin": ["2"]}, "None of the losses has margin"),
        (["box=l1"], {"from_logits": True}, "None of the losses has from_logits"),
        (["mse"], {"class_axis": ["x"]}, "class_axis has 'x', which is no whole number"),
        (["mse"], {"label_smoothing": ["x"]}, "label_smoothing has 'x', which is no number"),
    ],
)  # fmt: skip
def test_what_is_not_written_so(losses: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        taken(*losses, **options)


def test_the_commands_take_them(tmp_path: Any) -> None:
    net = Network()
    net.node("MatMul", "x", net.weight("a", 4, 3), output="class")
    net.node("MatMul", "x", net.weight("b", 4, 2), output="box")
    outputs = {"class": ("batch", 3), "box": ("batch", 2)}
    onnx.save(net.model({"x": ("batch", 4)}, outputs), tmp_path / "m.onnx")
    losses = ["--loss", "class=focal", "--loss", "box=huber:0.5", "--reduction", "box=sum"]

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(_app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    model, folder = str(tmp_path / "m.onnx"), str(tmp_path / "a")
    made = run("convert", model, "--output", folder, *losses)
    assert "arrays named 'x', 'class_labels', 'box_target'." in made
    assert (
        "The loss is 1 x focal of 'class' beside 'class_labels' + 0.5 x huber of 'box' beside 'box_target'."
        in made
    )
    assert "0 wrong" in run("check", model, *losses)
    assert "sigma-prime" in run("inspect", model, *losses)
    batch = example_batch(model, loss={"class": "focal", "box": "huber"})
    np.savez(tmp_path / "data.npz", **batch)
    found = run("evaluate", folder, "--data", str(tmp_path / "data.npz"))
    assert all(each in found for each in ("loss ", "class_loss ", "class_accuracy ", "box_loss "))
