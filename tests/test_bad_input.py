"""Each mistake of a user: exit code 2, one clear sentence, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from attacks import attacked
from onnx import helper

import svgd_onnx
from svgd_onnx import cli, runtime
from svgd_onnx.files.folder_lock import LOCK_NAME

COUNT, model, data = attacked.COUNT, attacked.model, attacked.data


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """Artifacts of that model."""
    path = tmp_path / "artifacts"
    cli.svgd_onnx.convert(model, path)
    return path


@pytest.fixture
def unknown_operators(tmp_path: Path) -> Path:
    """x (N, 6) -> two operators of a domain that nobody has -> logits (N, 4)."""
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("backbone", 6, 6))
    net.nodes.append(helper.make_node("Fold", [value], ["f"], "fold", domain="com.example"))
    value = net.node("MatMul", "f", net.weight("middle", 6, 6))
    net.nodes.append(helper.make_node("Bend", [value], ["b"], "bend", domain="com.example"))
    net.node("MatMul", "b", net.weight("head", 6, 4), output="logits")
    path = tmp_path / "unknown.onnx"
    model = net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}, domains=("com.example",))
    onnx.save(model, path)
    return path


class CommandLine:
    """Runs a command line in this process and says what came of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def refuses(self, *arguments: object) -> str:
        """The sentence with which it refuses."""
        self._monkeypatch.setattr(sys, "argv", ["svgd-onnx", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        error = self._capsys.readouterr().err
        assert stopped.value.code == 2, error
        assert error.startswith("svgd-onnx: ") and error.count("\n") == 1, error
        return error


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, hidden ones too, but for the lock that writers leave."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK_NAME)
    return {str(path): path.read_bytes() for path in files}


class TestConvert:
    """`convert` leaves the place it was to write to as it was."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
        yield
        assert not (tmp_path / "out").exists()
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def refuse(self, command_line: CommandLine, model: Path, *options: object) -> str:
        return command_line.refuses("convert", model, "--output", model.parent / "out", *options)

    def test_no_such_file(self, command_line: CommandLine, tmp_path: Path) -> None:
        assert "There is no file" in self.refuse(command_line, tmp_path / "none.onnx")

    def test_not_an_onnx_file(self, command_line: CommandLine, tmp_path: Path) -> None:
        path = tmp_path / "photo.onnx"
        path.write_bytes(b"\x89PNG\r\n" * 50)
        assert "not a valid ONNX model" in self.refuse(command_line, path)

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
    def test_a_truncated_file(self, command_line: CommandLine, model: Path, share: float) -> None:
        whole = model.read_bytes()
        model.write_bytes(whole[: int(len(whole) * share)])
        assert "cut short" in self.refuse(command_line, model)

    def test_no_trainable_parameter(self, command_line: CommandLine, tmp_path: Path) -> None:
        net = models.Network()
        net.node("Relu", "x", output="y")
        path = tmp_path / "relu.onnx"
        onnx.save(net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}), path)
        assert "no trainable parameter" in self.refuse(command_line, path)

    def test_everything_frozen(self, command_line: CommandLine, model: Path) -> None:
        assert "all of them are frozen" in self.refuse(command_line, model, "--freeze", "*")

    @pytest.mark.parametrize("option", ["--train", "--freeze"])
    def test_a_glob_that_matches_nothing(
        self, command_line: CommandLine, model: Path, option: str
    ) -> None:
        error = self.refuse(command_line, model, option, "encoder.*")
        assert f"{option} 'encoder.*' matches no parameter" in error
        assert "fc1.weight" in error

    def test_parameters_the_loss_does_not_depend_on(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        net = models.Network()
        net.node("MatMul", "x", net.weight("used", 6, 4), output="logits")
        value = net.node("MatMul", "x", net.weight("aside", 6, 4))
        net.node("Add", value, net.weight("shift", 4), output="other")
        path = tmp_path / "two.onnx"
        shapes = {"logits": ("batch", 4), "other": ("batch", 4)}
        onnx.save(net.model({"x": ("batch", 6)}, shapes), path)
        error = self.refuse(command_line, path, "--prediction", "logits", "--train", "*")
        assert "does not depend on 'aside', 'shift'" in error

    @pytest.mark.parametrize("target", ["ort-training", "onnx"])
    def test_parameters_before_an_operator_whose_derivative_is_zero(
        self, command_line: CommandLine, tmp_path: Path, target: str
    ) -> None:
        net = models.Network()
        value = net.node("Gemm", "x", net.weight("first", 6, 6), net.weight("shift", 6))
        value = net.node("Hardmax", value, axis=1)
        net.node("MatMul", value, net.weight("head", 6, 4), output="logits")
        path = tmp_path / "hardmax.onnx"
        onnx.save(net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)}), path)
        error = self.refuse(command_line, path, "--target", target)
        assert (
            "depends on 'first', 'shift' only through operators that pass no gradient on" in error
        )
        assert "Hardmax ('hardmax_1_node')" in error

    def test_several_outputs_need_a_choice(self, command_line: CommandLine, tmp_path: Path) -> None:
        net = models.Network()
        net.node("MatMul", "x", net.weight("first", 6, 4), output="a")
        net.node("MatMul", "x", net.weight("second", 6, 4), output="b")
        path = tmp_path / "two.onnx"
        onnx.save(net.model({"x": ("batch", 6)}, {"a": ("batch", 4), "b": ("batch", 4)}), path)
        error = self.refuse(command_line, path)
        assert "several outputs (a, b)" in error and "--prediction" in error and "--loss" in error
        assert "no output of the model" in self.refuse(command_line, path, "--prediction", "c")

    def test_operators_without_a_gradient_are_all_named_with_their_nodes(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        path = tmp_path / "model.onnx"
        onnx.save(models.obstacles(), path)
        error = self.refuse(command_line, path, "--differentiator", "onnxruntime")
        assert "no gradient" in error
        for operator in ("Hardmax ('one_node')", "Atan ('two_node')", "Mod ('three_node')"):
            assert operator in error
        assert "Train only what comes after them: --train 'head.*'" in error

    @pytest.mark.parametrize("command", ["convert", "inspect"])
    def test_operators_that_nothing_is_known_of(
        self, command_line: CommandLine, unknown_operators: Path, command: str
    ) -> None:
        """What follows them has no known shape, which is not the reason."""
        output = ("--output", unknown_operators.parent / "out") if command == "convert" else ()
        error = command_line.refuses(command, unknown_operators, *output)
        assert "no gradient" in error
        assert "com.example.Fold ('fold')" in error and "com.example.Bend ('bend')" in error
        assert "Train only what comes after them: --train 'head*'" in error

    def test_a_recurrent_network_over_sequences_of_any_length_by_onnxruntimes_builder(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        net = models.Network()
        weights = [net.weight("W", 1, 16, 3), net.weight("R", 1, 16, 4)]
        value = net.node("LSTM", "x", *weights, hidden_size=4)
        value = net.node("ReduceMean", value, axes=[0, 1], keepdims=0)
        net.node("MatMul", value, net.weight("head", 4, 2), output="logits")
        path = tmp_path / "model.onnx"
        onnx.save(net.model({"x": ("time", "batch", 3)}, {"logits": ("batch", 2)}), path)
        error = self.refuse(command_line, path, "--differentiator", "onnxruntime")
        reason = "the size of axis 0 of its input is not fixed"
        assert f"LSTM ('lstm_0_node': {reason})" in error
        assert "Or fix the sizes of open axes (time, batch) with --size." in error
        svgd_onnx.convert(path, tmp_path / "fixed", target="onnx", size={"time": 3})

    def test_an_operator_newer_than_the_runtime(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        weights = [onnx.numpy_helper.from_array(np.ones((6, 4), np.float32), "head")]
        nodes = [
            helper.make_node("MatMul", ["x", "head"], ["product"]),
            helper.make_node("BitCast", ["product"], ["bits"], to=onnx.TensorProto.INT32),
            helper.make_node("Cast", ["bits"], ["logits"], to=onnx.TensorProto.FLOAT),
        ]
        infos = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", size])
            for name, size in (("x", 6), ("logits", 4))
        ]
        graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], weights)
        path = tmp_path / "bits.onnx"
        opset = [helper.make_opsetid("", 26)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
        assert "opset 26 cannot be converted to 21" in self.refuse(command_line, path)

    def test_a_softmax_over_another_axis(self, command_line: CommandLine, tmp_path: Path) -> None:
        net = models.Network()
        value = net.node("MatMul", "x", net.weight("w", 6, 4))
        net.node("Softmax", value, output="y", axis=0)
        path = tmp_path / "softmax.onnx"
        onnx.save(net.model({"x": ("batch", 6)}, {"y": ("batch", 4)}), path)
        assert "normalizes axis 0" in self.refuse(command_line, path)

    def test_parameters_that_are_not_float32(
        self, command_line: CommandLine, tmp_path: Path
    ) -> None:
        weight = onnx.numpy_helper.from_array(np.ones((6, 4)), "w")
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        infos = [
            helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["batch", size])
            for name, size in (("x", 6), ("y", 4))
        ]
        graph = helper.make_graph([node], "g", infos[:1], infos[1:], [weight])
        path = tmp_path / "double.onnx"
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
        assert "Parameter 'w' is double" in self.refuse(command_line, path)

    def test_a_prediction_of_whole_numbers(self, command_line: CommandLine, tmp_path: Path) -> None:
        net = models.Network()
        net.node("ArgMax", net.node("MatMul", "x", net.weight("w", 6, 4)), output="y", axis=1)
        model = net.model({"x": ("batch", 6)}, {"y": ("batch", 1)}, check=False)
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
        path = tmp_path / "argmax.onnx"
        onnx.save(model, path)
        sentence = "The prediction 'y', which ArgMax 'y_node' gives, is of type int64"
        assert sentence in self.refuse(command_line, path)

    @pytest.mark.parametrize(
        ("option", "value", "sentence"),
        [
            ("--loss", "other", "Unknown --loss 'other'"),
            ("--optimizer", "adamax", "Unknown --optimizer 'adamax'"),
            ("--t-kernel", "quick", "Unknown --t-kernel 'quick'"),
            ("--scale", "-1", "--scale is -1.0"),
            ("--scale", "nan", "--scale is nan"),
            ("--rho", "1", "--rho is 1.0"),
            ("--rho", "-0.1", "--rho is -0.1"),
            ("--epsilon", "0", "--epsilon is 0.0"),
            ("--epsilon", "inf", "--epsilon is inf"),
            ("--l1", "-0.5", "--l1 is -0.5"),
            ("--momentum", "1.5", "--momentum is 1.5"),
            ("--weight-decay", "nan", "--weight-decay is nan"),
        ],
    )
    def test_options_out_of_range(
        self, command_line: CommandLine, model: Path, option: str, value: str, sentence: str
    ) -> None:
        assert sentence in self.refuse(command_line, model, option, value)

    def test_options_of_another_optimizer(self, command_line: CommandLine, model: Path) -> None:
        options = ("--optimizer", "adamw", "--momentum", "0.9")
        assert "does not go with" in self.refuse(command_line, model, *options)

    @pytest.mark.parametrize(
        ("option", "value", "sentence"),
        [
            ("--weight-decay", "much", "has 'much', which is not a number or GLOB=NUMBER"),
            ("--weight-decay", "fc*=much", "has 'fc*=much', which is not a number or GLOB=NUMBER"),
            ("--weight-decay", "=1", "has '=1', which is not a number or GLOB=NUMBER"),
            ("--weight-decay", "none*=1", "--weight-decay 'none*' matches no parameter"),
            ("--rate", "0.5", "--rate has '0.5', which is not GLOB=NUMBER"),
            ("--rate", "fc*=0", "--rate is 0.0, but must be more than 0."),
            ("--rate", "none*=1", "--rate 'none*' matches no parameter that is trained"),
            ("--clip-norm", "0", "--clip-norm is 0.0, but must be more than 0."),
            ("--clip-value", "-1", "--clip-value is -1.0, but must be more than 0."),
            ("--ema", "1", "--ema is 1.0, but must be at least 0 and below 1."),
            ("--proximal", "-1", "--proximal is -1.0, but must be 0 or more."),
        ],
    )
    def test_settings_of_the_update(
        self, command_line: CommandLine, model: Path, option: str, value: str, sentence: str
    ) -> None:
        assert sentence in self.refuse(command_line, model, option, value)

    def test_a_prediction_of_one_number(self, command_line: CommandLine, tmp_path: Path) -> None:
        net = models.Network()
        net.node("MatMul", "x", net.weight("w", 6, 1), output="y")
        path = tmp_path / "regression.onnx"
        onnx.save(net.model({"x": ("batch", 6)}, {"y": ("batch", 1)}), path)
        error = self.refuse(command_line, path)
        assert "--loss bce-with-logits" in error and "--loss mse" in error


def test_an_output_folder_that_is_not_empty(
    command_line: CommandLine, model: Path, folder: Path
) -> None:
    before = contents(folder)
    assert "not empty" in command_line.refuses("convert", model, "--output", folder)
    assert contents(folder) == before


def test_force_replaces_the_folder(model: Path, folder: Path) -> None:
    cli.svgd_onnx.convert(model, folder, optimizer="sgd", force=True)
    assert cli.svgd_onnx.Manifest.load(folder).optimizer == "sgd"


def test_force_never_replaces_the_folder_that_the_model_lies_in(
    command_line: CommandLine, model: Path
) -> None:
    before = contents(model.parent)
    error = command_line.refuses("convert", model, "--output", model.parent, "--force")
    assert "lies in the folder" in error
    assert contents(model.parent) == before


def test_force_never_replaces_the_folder_that_a_loss_lies_in(
    command_line: CommandLine, model: Path, folder: Path
) -> None:
    before = contents(folder)
    loss = folder / "eval_model.onnx"
    error = command_line.refuses("convert", model, "--loss", loss, "--output", folder, "--force")
    assert f"'{loss}' lies in the folder" in error
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["train", "freeze", "t_scope"])
def test_one_glob_in_place_of_several(model: Path, tmp_path: Path, name: str) -> None:
    sentence = rf"{name} is 'fc1\.\*', but must be a list: \['fc1\.\*'\]"
    with pytest.raises(cli.svgd_onnx.UserError, match=sentence):
        cli.svgd_onnx.convert(model, tmp_path / "out", **{name: "fc1.*"})
    with pytest.raises(cli.svgd_onnx.UserError, match=sentence):
        cli.svgd_onnx.inspect(model, **{name: "fc1.*"})


@pytest.mark.parametrize("name", ["data.npz", "labels.npz"])
def test_a_file_in_place_of_arrays(folder: Path, name: str) -> None:
    trainer = cli.svgd_onnx.Trainer(folder)
    with pytest.raises(cli.svgd_onnx.UserError, match=f"is '{name}': give arrays by name"):
        trainer.train(name, epochs=1, batch_size=8, learning_rate=0.1)
    with pytest.raises(cli.svgd_onnx.UserError, match=f"is '{name}': give arrays by name"):
        trainer.evaluate(name)


def test_a_failed_conversion_with_force_keeps_the_folder(
    command_line: CommandLine, model: Path, folder: Path
) -> None:
    before = contents(folder)
    command_line.refuses("convert", model, "--output", folder, "--force", "--freeze", "*")
    assert contents(folder) == before


def test_an_output_that_is_a_file(command_line: CommandLine, model: Path) -> None:
    assert "is a file" in command_line.refuses("convert", model, "--output", model)


def test_a_folder_in_place_of_a_model(command_line: CommandLine, tmp_path: Path) -> None:
    error = command_line.refuses("convert", tmp_path, "--output", tmp_path / "artifacts")
    assert "is a folder" in error


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("name", ["eval_model.onnx", "checkpoint"])
def test_a_damaged_artifact(
    command_line: CommandLine, model: Path, data: Path, tmp_path: Path, target: str, name: str
) -> None:
    folder = tmp_path / "damaged"
    cli.svgd_onnx.convert(model, folder, target=target)
    (path,) = folder.glob(f"{name}*")
    path.write_bytes(b"x")
    error = command_line.refuses("evaluate", folder, "--data", data)
    assert str(folder) in error and "convert the model again" in error


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
def test_tensors_that_there_are_not(model: Path, tmp_path: Path, target: str) -> None:
    cli.svgd_onnx.convert(model, tmp_path / "artifacts", target=target)
    trainer = cli.svgd_onnx.Trainer(tmp_path / "artifacts")
    with pytest.raises(cli.svgd_onnx.UserError, match="no tensor 'nothing'"):
        trainer.tensor("nothing")
    with pytest.raises(cli.svgd_onnx.UserError):
        trainer.gradient("nothing")


@pytest.mark.parametrize("command", ["train", "evaluate", "export"])
def test_a_training_session_where_onnxruntime_has_no_training(
    monkeypatch: pytest.MonkeyPatch,
    command_line: CommandLine,
    folder: Path,
    data: Path,
    tmp_path: Path,
    command: str,
) -> None:
    monkeypatch.setattr("svgd_onnx.runtime.installed_packages", lambda: {"onnxruntime": "1.32.0"})
    runtime.training_binding.cache_clear()
    options = {
        "train": ("--data", data, "--batch-size", 8, "--learning-rate", 0.1, "--epochs", 1),
        "evaluate": ("--data", data),
        "export": ("--output", tmp_path / "trained.onnx"),
    }
    try:
        error = command_line.refuses(command, folder, *options[command])
    finally:
        runtime.training_binding.cache_clear()
    assert "onnxruntime 1.32.0 is installed, which has no training" in error
    assert not (tmp_path / "trained.onnx").exists()


class TestTrain:
    """`train` leaves the artifacts as they were."""

    @pytest.fixture(autouse=True)
    def _nothing_is_changed(self, folder: Path) -> Any:
        before = contents(folder)
        yield
        assert contents(folder) == before

    def refuse(self, command_line: CommandLine, folder: Path, data: Path, *options: object) -> str:
        common = ("--batch-size", "8", "--learning-rate", "0.1", "--epochs", "2")
        return command_line.refuses("train", folder, "--data", data, *common, *options)

    def save(self, path: Path, **changes: Any) -> Path:
        arrays = {**models.examples(models.mlp(), COUNT), **changes}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            (
                {"labels": None},
                "no array 'labels' in the training data: the model wants 'x', 'labels'",
            ),
            ({"y": np.zeros(COUNT)}, "Array 'y' in the training data is no input of the model"),
            ({"labels": np.eye(4)[np.zeros(COUNT, int)]}, "give the numbers of the classes"),
            ({"labels": np.array(["a"] * COUNT)}, "but the model wants int64: give numbers"),
            ({"labels": np.zeros(COUNT)}, "is float64, but the model wants int64"),
            ({"x": np.zeros((COUNT, 6), np.int64)}, "is int64, but the model wants float32"),
            ({"x": np.array([["a"] * 6] * COUNT)}, "but the model wants float32"),
            ({"x": np.zeros((COUNT, 7))}, "has shape (16, 7), but the model wants (examples, 6)"),
            ({"x": np.zeros(COUNT)}, "has shape (16,), but the model wants (examples, 6)"),
            ({"labels": np.zeros((COUNT, 1), int)}, "has shape (16, 1)"),
            ({"labels": np.zeros(COUNT - 1, int)}, "differ in length (x: 16, labels: 15)"),
            ({"labels": np.full(COUNT, 4)}, "has 4 in row 0, where only 0 to 3 is in range"),
            ({"labels": np.full(COUNT, -1)}, "has -1 in row 0, where only 0 to 3"),
            ({"x": np.zeros((0, 6)), "labels": np.zeros(0, int)}, "is empty"),
            ({"x": np.full((COUNT, 6), np.nan)}, "contains NaN or infinity"),
        ],
    )
    def test_data_that_does_not_fit(
        self,
        command_line: CommandLine,
        folder: Path,
        tmp_path: Path,
        changes: dict[str, Any],
        sentence: str,
    ) -> None:
        path = self.save(tmp_path / "bad.npz", **changes)
        assert sentence in self.refuse(command_line, folder, path)

    def test_validation_data_that_does_not_fit(
        self, command_line: CommandLine, folder: Path, data: Path, tmp_path: Path
    ) -> None:
        path = self.save(tmp_path / "bad.npz", labels=None)
        error = self.refuse(command_line, folder, data, "--validation", path)
        assert "no array 'labels' in the validation data" in error

    def test_data_that_is_no_npz_file(
        self, command_line: CommandLine, folder: Path, tmp_path: Path, model: Path
    ) -> None:
        assert "no file" in self.refuse(command_line, folder, tmp_path / "none.npz")
        assert "not a readable .npz" in self.refuse(command_line, folder, model)
        np.save(tmp_path / "single.npy", np.zeros(COUNT))
        assert "a single array" in self.refuse(command_line, folder, tmp_path / "single.npy")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_arrays_of_a_name(
        self, command_line: CommandLine, folder: Path, data: Path
    ) -> None:
        with zipfile.ZipFile(data, "a") as archive:
            archive.writestr("labels.npy", archive.read("labels.npy"))
        error = self.refuse(command_line, folder, data)
        assert "holds two arrays called 'labels'" in error

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (("--batch-size", "0"), "--batch-size is 0"),
            (("--batch-size", "17"), "has only 16 examples"),
            (("--learning-rate", "nan"), "learning rate is nan"),
            (("--learning-rate", "-1"), "learning rate is -1.0"),
            (("--epochs", "0"), "--epochs is 0"),
            (("--steps", "5"), "either --epochs or --steps"),
            (("--schedule", "10=0.1"), "'10=0.1', which is not STEP:RATE"),
            (("--schedule", "10:inf"), "learning rate is inf"),
            (("--schedule", "cosin"), "write 1600:0.005,3600:0.001, or a name"),
            (("--early-stopping", "3"), "give --validation"),
            (("--monitor", "f1"), "--monitor goes with --early-stopping"),
            (("--metric", "f3"), "There is no metric 'f3'"),
            (("--checkpoint-keep", "0"), "--checkpoint-keep is 0"),
            (("--checkpoint", "best"), "train with --checkpoint-best for that"),
            (("--checkpoint", "step-9"), "no --checkpoint 'step-9': choose from last, step-0"),
            (("--checkpoint-every", "0"), "--checkpoint-every is 0"),
            (("--log-every", "0"), "--log-every is 0"),
            (("--threads", "0"), "--threads is 0"),
            (("--threads", "100000"), "--threads is 100000, but this machine has"),
            (("--seed", "-1"), "--seed is -1, but must be from 0"),
            (("--non-finite", "ignore"), "Unknown --non-finite 'ignore'"),
            (("--log", "no/such/folder/log.csv"), "no folder"),
            (("--resume",), "nothing to resume"),
        ],
    )
    def test_options_out_of_range(
        self,
        command_line: CommandLine,
        folder: Path,
        data: Path,
        options: tuple[str, ...],
        sentence: str,
    ) -> None:
        assert sentence in self.refuse(command_line, folder, data, *options)

    def test_a_loss_that_explodes_names_the_step_and_keeps_the_checkpoint(
        self, command_line: CommandLine, folder: Path, data: Path
    ) -> None:
        error = self.refuse(command_line, folder, data, "--learning-rate", "1e30", "--epochs", "20")
        assert "NaN or infinite at step" in error and "is kept" in error


def test_parameters_that_explode_in_the_last_step_are_not_saved(
    command_line: CommandLine, tmp_path: Path, data: Path
) -> None:
    """The loss is of before that step, and finite; rates of groups make the learning rate infinite."""
    folder = tmp_path / "artifacts"
    cli.svgd_onnx.convert(models.mlp(), folder, rate={"*": 1e30}, verify=False)
    before = contents(folder)
    options = ("--learning-rate", "1e30", "--epochs", "1", "--batch-size", "16")
    error = command_line.refuses("train", folder, "--data", data, *options)
    assert "became NaN or infinite" in error
    assert contents(folder) == before


def test_a_folder_without_artifacts(command_line: CommandLine, tmp_path: Path, data: Path) -> None:
    for command in (("evaluate", tmp_path, "--data", data), ("inspect", tmp_path)):
        assert "holds no training artifacts" in command_line.refuses(*command)


def test_damaged_artifacts(command_line: CommandLine, folder: Path, data: Path) -> None:
    (folder / "checkpoint").write_bytes(b"not a checkpoint")
    error = command_line.refuses("export", folder, "--output", folder / "model.onnx")
    assert "damaged" in error and not (folder / "model.onnx").exists()
    (folder / "svgd.json").write_text('{"format": 1}')
    assert "damaged" in command_line.refuses("evaluate", folder, "--data", data)


def test_training_a_trained_folder_goes_on_but_not_with_another_seed(
    command_line: CommandLine, folder: Path, data: Path
) -> None:
    cli.svgd_onnx.Trainer(folder).train(
        models.examples(models.mlp(), COUNT), steps=3, batch_size=8, learning_rate=0.1
    )
    common = ("--data", data, "--learning-rate", "0.1", "--steps", "9")
    seed = command_line.refuses("train", folder, *common, "--batch-size", "8", "--seed", "7")
    assert "seed 0, not 7" in seed and "--checkpoint initial" in seed
    for given in (("--resume",), ("--checkpoint", "step-0")):
        both = command_line.refuses(
            "train", folder, *common, "--batch-size", "8", "--restart", *given
        )
        assert "--restart begins from the initial parameters" in both


WITH_LITTLE_SPACE = """
import resource, sys
from svgd_onnx import cli, runtime
from svgd_onnx.files.folder_lock import LOCK_NAME
import svgd_onnx.runtime
svgd_onnx.runtime.training_binding()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("command", ["convert", "train", "export"])
def test_no_space_left(command: str, model: Path, folder: Path, data: Path, tmp_path: Path) -> None:
    """Files that cannot grow beyond 1,000 bytes stand for a full disk."""
    arguments = {
        "convert": (model, "--output", tmp_path / "out"),
        "train": (folder, "--data", data, "--steps", 1, "--batch-size", 8, "--learning-rate", 0.1),
        "export": (folder, "--output", tmp_path / "out"),
    }[command]
    before = contents(tmp_path)
    result = subprocess.run(
        [
            sys.executable,
            "-P" if sys.version_info >= (3, 11) else "-s",
            "-c",
            WITH_LITTLE_SPACE,
            "1000",
            command,
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 2, result.stderr
    assert "no space left" in result.stderr and "Traceback" not in result.stderr
    assert contents(tmp_path) == before
