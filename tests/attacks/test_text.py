"""Names and messages from files are shown as they stand: they are no markup, and no terminal obeys them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network

import svgd_onnx
from svgd_onnx import cli
from svgd_onnx.errors import Advice
from svgd_onnx.printable import printable

ROOT = Path(__file__).parent.parent.parent

NAMES = {
    "closing tag": "[/]",
    "tag": "[red]w[/red]",
    "link": "[link=https://example.com]w[/link]",
    "emoji code": ":smile:",
    "escape code": "w\x1b[31m\x1b]0;title\x07",
    "one-byte escape code": "w\x9b31m",
    "bell": "w\x07",
    "carriage return": "w\rsvgd-onnx: all is well",
    "line end": "w\nsvgd-onnx: all is well",
    "line separator": "w\u2028v\u2029",
    "right to left": "w\u202eexe\u2066",
    "backspace": "w\b\b",
}
each_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)

# What a terminal shows as a character.
SHOWN = re.compile(
    r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]*"
)


def layer(name: str) -> onnx.ModelProto:
    """x (batch, 4) -> a dense layer, all of whose names are this -> logits (batch, 4)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight(name, 4, 4), output=f"{name}.product")
    net.node("Add", value, net.constant(f"{name}.b", np.ones((2, 4), np.float32)), output="logits")
    net.nodes[0].name = name
    return net.model({"x": (2, 4)}, {"logits": (2, 4)}, check=False)


def shown(name: str) -> str:
    """The name, as it is to appear; a table may break it, so without spaces."""
    return re.sub(r"\s", "", printable(name))


class TestCommands:
    """What a command line prints, in this process."""

    @pytest.fixture(autouse=True)
    def _wide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "400")

    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["svgd-onnx", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stopped:
            assert stopped.code in (0, 1, 2)

    @each_name
    @pytest.mark.parametrize("command", ["inspect", "check", "convert"])
    def test_show_names(
        self,
        command: str,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        onnx.save(layer(name), tmp_path / "model.onnx")
        more = ["--output", tmp_path / "out", "--no-verify"] if command == "convert" else []
        self.run(monkeypatch, command, tmp_path / "model.onnx", "--target", "onnx", *more)
        printed = capsys.readouterr()
        assert SHOWN.fullmatch(printed.out), printed.out
        assert SHOWN.fullmatch(printed.err), printed.err
        if command == "inspect":
            assert shown(name) in re.sub(r"\s", "", printed.out)

    @each_name
    def test_name_it_in_one_line_on_stderr(
        self,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        onnx.save(layer(name), tmp_path / "model.onnx")
        self.run(
            monkeypatch, "inspect", tmp_path / "model.onnx", "--freeze", "*", "--target", "onnx"
        )
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert SHOWN.fullmatch(error), error

    @each_name
    def test_name_arrays_of_data(
        self,
        name: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        svgd_onnx.convert(models.mlp(), tmp_path / "out", target="onnx", verify=False)
        np.savez(tmp_path / "data.npz", **{name.replace("/", "") or "w": np.ones(3)})
        options = ("--batch-size", 2, "--steps", 1, "--learning-rate", 0.1)
        self.run(monkeypatch, "train", tmp_path / "out", "--data", tmp_path / "data.npz", *options)
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert SHOWN.fullmatch(error), error


@each_name
def test_messages_are_printable_in_python_too(name: str) -> None:
    for message in (svgd_onnx.UserError(f"'{name}' is wrong"), Advice(f"'{name}' is odd")):
        assert str(message).isprintable()
        assert message.on_command_line().isprintable()


def test_every_warning_of_the_package_is_one_of_these() -> None:
    """A plain string would be shown as it is."""
    for folder in ("svgd_onnx", "transforms"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = re.findall(r"warnings\.warn\(\s*(\w+)", path.read_text())
            assert set(calls) <= {"Advice"}, path


def test_halves_of_characters_are_written_out() -> None:
    assert printable("a\udc80b\u00e4\U0001f600") == "a\\udc80b\u00e4\U0001f600"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
def test_a_path_that_is_no_text_and_a_terminal_of_ascii(tmp_path: Path) -> None:
    """The name of a file may be any bytes, and a terminal may have no letters but those of ASCII."""
    onnx.save(layer("gewichte_\u00e4\u6f22"), tmp_path / "model.onnx")
    path = bytes(tmp_path) + b"/\xff\x1b[31m.onnx"
    (tmp_path / "model.onnx").rename(os.fsdecode(path))
    done = subprocess.run(
        [sys.executable, "-m", "svgd_onnx", "inspect", path, "--target", "onnx"],
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"gewichte_\\xe4\\u6f22" in done.stdout
    assert not done.stderr and b"\x1b" not in done.stdout


@pytest.mark.parametrize("mark", ["\ue000", "\ue002", "\ue003", "\ue004"])
def test_marks_of_ours_in_names_are_refused(mark: str, tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="private to Unicode"):
        svgd_onnx.convert(layer(f"w{mark}"), tmp_path / "out")


def test_names_stay_as_they_are_in_what_is_exported(tmp_path: Path) -> None:
    name = "[red]w\x1b[31m"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        svgd_onnx.convert(layer(name), tmp_path / "out", target="onnx", verify=False)
    svgd_onnx.Trainer(tmp_path / "out").export(tmp_path / "trained.onnx")
    exported = onnx.load(tmp_path / "trained.onnx")
    assert name in {each.name for each in exported.graph.initializer}


def test_the_page_puts_text_into_text_alone() -> None:
    for path in (ROOT / "examples" / "web").glob("*.*"):
        if path.suffix in (".js", ".html", ".mjs"):
            words = path.read_text()
            for each in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
                assert each not in words, path
