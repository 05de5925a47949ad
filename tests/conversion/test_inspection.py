"""What `inspect` says of a model, before it is converted and after."""

from __future__ import annotations

import sys
from pathlib import Path

import models
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import cli


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(models.convolutional(), path)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"train": ["fc.*"]},
        {"freeze": ["conv1.*"], "granularity": "channel"},
        {"t_scope": ["all-linear"]},
    ],
)
def test_a_model_is_shown_as_it_would_be_converted(
    model: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    svgd_onnx.convert(model, tmp_path / "artifacts", **options)
    before, after = svgd_onnx.inspect(model, **options), svgd_onnx.inspect(tmp_path / "artifacts")
    assert before.operations == after.operations
    assert before.parameters == after.parameters
    assert before.obstacle is None


def test_a_folder_has_the_options_that_it_was_made_with(model: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(model, tmp_path / "artifacts")
    with pytest.raises(svgd_onnx.UserError, match="leave out train"):
        svgd_onnx.inspect(tmp_path / "artifacts", train=["fc.*"])


@pytest.mark.parametrize(
    ("encapsulation", "made"),
    [("operators", "own for twin operators."), ("graph", "svgd-onnx's own.")],
)
def test_a_folder_says_who_made_its_gradients(
    encapsulation: str,
    made: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "artifacts"
    svgd_onnx.convert(model, folder, target="onnx", encapsulation=encapsulation)
    monkeypatch.setattr(sys, "argv", ["svgd-onnx", "inspect", str(folder)])
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr().out
    assert made in printed and "Train with arrays named '" in printed


def test_state_is_r_beside_the_state_of_other_optimizers(model: Path) -> None:
    inspection = svgd_onnx.inspect(model)
    r = sum(item.state_nbytes for item in inspection.operations)
    weights = inspection.parameter_bytes
    expected = {"svgd": r, "sgd": 0, "momentum": weights, "rmsprop": weights, "adamw": 2 * weights}
    assert expected.items() <= inspection.state_bytes.items()
    assert r > 0


@pytest.mark.parametrize("optimizer", ["adamw", "svgd"])
def test_of_a_folder_the_state_is_that_of_its_own_optimizer(
    optimizer: str, model: Path, tmp_path: Path
) -> None:
    svgd_onnx.convert(model, tmp_path / "artifacts", optimizer=optimizer, verify=False)
    of_folder = svgd_onnx.inspect(tmp_path / "artifacts").state_bytes
    assert of_folder == {optimizer: svgd_onnx.inspect(model).state_bytes[optimizer]}


def test_momentum_under_t_is_state_beside_r(model: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(model, tmp_path / "artifacts", momentum=0.9, verify=False)
    needed = svgd_onnx.inspect(model).state_bytes
    of_folder = svgd_onnx.inspect(tmp_path / "artifacts").state_bytes
    assert of_folder == {"svgd": needed["svgd"] + needed["momentum"]}


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("optimizer", ["svgd", "adamw", "nesterov", "adafactor"])
def test_of_a_folder_the_state_has_all_that_the_update_keeps(
    optimizer: str, target: str, model: Path, tmp_path: Path
) -> None:
    """The accumulated gradients and the averages are of the parameters' size each."""
    settings = {"accumulation_steps": 2, "ema": 0.9, "optimizer": optimizer, "target": target}
    svgd_onnx.convert(model, tmp_path / "artifacts", verify=False, **settings)
    of_folder = svgd_onnx.inspect(tmp_path / "artifacts")
    of_rule = svgd_onnx.inspect(model).state_bytes[optimizer]
    assert of_folder.state_bytes == {optimizer: of_rule + 2 * of_folder.parameter_bytes}


def test_adafactor_keeps_rows_and_columns_of_matrices(tmp_path: Path) -> None:
    onnx.save(models.gemm(), tmp_path / "model.onnx")
    shapes = [item.shape for item in svgd_onnx.inspect(tmp_path / "model.onnx").parameters]
    numbers = sum(shape[0] + shape[1] if len(shape) == 2 else shape[0] for shape in shapes)
    assert svgd_onnx.inspect(tmp_path / "model.onnx").state_bytes["adafactor"] == 4 * numbers


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [("adamw", "parameters, whose gradients"), ("svgd", "parameters, T before 3")],
)
def test_a_conversion_speaks_of_t_where_the_optimizer_has_it(
    optimizer: str,
    said: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["convert", model, "--output", tmp_path / "artifacts", "--optimizer", optimizer]
    monkeypatch.setattr(sys, "argv", ["svgd-onnx", *map(str, arguments), "--no-verify"])
    with pytest.raises(SystemExit):
        cli.main()
    assert said in capsys.readouterr().out


def test_a_language_model_that_ends_in_its_product_is_shown(tmp_path: Path) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("head", 4, 3), output="y")
    shapes = {"x": ("batch", 5, 4)}, {"y": ("batch", 5, 3)}
    onnx.save(net.model(*shapes), tmp_path / "model.onnx")
    inspection = svgd_onnx.inspect(tmp_path / "model.onnx")
    assert inspection.obstacle is None
    assert [each.parameter for each in inspection.operations] == ["head"]


def test_operators_in_the_way_of_a_conversion_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.obstacles(), path)
    with pytest.raises(svgd_onnx.UserError) as refused:
        svgd_onnx.convert(path, tmp_path / "artifacts")
    monkeypatch.setattr(sys, "argv", ["svgd-onnx", "inspect", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert refused.value.on_command_line() in capsys.readouterr().out
    assert svgd_onnx.inspect(path, train=["head.*"]).obstacle is None


REFUSED = {
    "one class": ({"y": ("N", 1)}, {}),
    "classes on the batch axis": (
        {"y": ("N", 4)},
        {"loss_settings": svgd_onnx.LossSettings(class_axis=0)},
    ),
    "no loss": ({"y": ("N", 4)}, {"loss": "none"}),
    "several outputs": ({"y": ("N", 4), "z": ("N", 4)}, {}),
    "no such output": ({"y": ("N", 4)}, {"prediction": "other"}),
    "no such axis": ({"y": ("N", 4)}, {"size": {"time": 3}}),
    "nothing but frozen": ({"y": ("N", 4)}, {"freeze": ["*"]}),
}


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_convert_refuses_inspect_says(name: str, target: str, tmp_path: Path) -> None:
    outputs, options = REFUSED[name]
    net = Network()
    for output, shape in outputs.items():
        net.node("MatMul", "x", net.weight(f"{output}.w", 6, int(shape[1])), output=output)
    path = tmp_path / "model.onnx"
    onnx.save(net.model({"x": ("N", 6)}, outputs), path)
    with pytest.raises(svgd_onnx.UserError) as refused:
        svgd_onnx.convert(path, tmp_path / "artifacts", target=target, **options)
    try:
        said = svgd_onnx.inspect(path, target=target, **options).obstacle
    except svgd_onnx.UserError as error:
        said = str(error)
    assert said == str(refused.value)


def test_it_is_said_what_data_a_model_takes(tmp_path: Path) -> None:
    net = Network()
    net.node("MatMul", "x", "references", output="h")
    net.node("Mul", "h", net.weight("w", 5), output="y")
    path = tmp_path / "model.onnx"
    onnx.save(net.model({"x": ("N", 3), "references": (3, 5)}, {"y": ("N", 5)}), path)
    seen = svgd_onnx.inspect(path)
    assert {each.name: each.batch_axis for each in seen.arrays} == {"x": 0, "references": None}
    assert svgd_onnx.inspect(path, batch_axis={"references": 1}).arrays[1].batch_axis == 1
