"""`convert --force` leaves the old folder or the new one, whole, and what a killed one left goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from svgd_onnx import UserError
from svgd_onnx.files import recover, whole, whole_file, whole_folder

# Replaces a folder, and is killed by itself at a call of the function that is named.
KILLED = """
import os, pathlib, signal, sys
from svgd_onnx.files import whole, whole_folder, workplace
module, name, folder, calls = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])
whole.exchange = {exchange}
owner = pathlib.Path if module == "path" else whole
called = getattr(owner, name)
def killed(*arguments):
    global calls
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    calls -= 1
    return called(*arguments)
setattr(owner, name, killed)
with whole_folder(folder, force=True, foreign=lambda path: None) as made:
    (made / "which").write_text("new")
"""
CANNOT, CAN = "lambda one, other: False", "whole.exchange"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is to be replaced."""
    path = tmp_path / "parent" / "folder"
    path.mkdir(parents=True)
    (path / "which").write_text("old")
    return path


def kill_at(module: str, name: str, folder: Path, calls: int, exchange: str) -> None:
    program = KILLED.format(exchange=exchange)
    command = [sys.executable, "-c", program, module, name, str(folder), str(calls)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


@contextlib.contextmanager
def unable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a system that cannot exchange two folders."""
    with monkeypatch.context() as patch:
        patch.setattr(whole, "exchange", lambda one, other: False)
        yield


def beside(folder: Path) -> list[str]:
    return [path.name for path in folder.parent.iterdir() if path != folder]


@pytest.mark.parametrize(
    ("module", "name", "calls", "exchange", "which"),
    [
        pytest.param("whole", "exchange", 0, CAN, "old", id="before the exchange"),
        pytest.param("whole", "_flush_folder", 1, CAN, "new", id="after the exchange"),
        pytest.param("path", "rename", 0, CANNOT, "old", id="before both renames"),
        pytest.param("path", "rename", 1, CANNOT, "new", id="between the renames"),
        pytest.param("whole", "_flush_folder", 1, CANNOT, "new", id="after both renames"),
    ],
)
def test_old_or_new_under_its_name(
    folder: Path, module: str, name: str, calls: int, exchange: str, which: str
) -> None:
    kill_at(module, name, folder, calls, exchange)
    assert beside(folder)
    recover(folder)  # as every command that opens it does
    assert (folder / "which").read_text() == which
    with whole_folder(folder, force=True, foreign=lambda path: None) as made:
        (made / "which").write_text("newer")
    assert (folder / "which").read_text() == "newer"
    assert not beside(folder)


def test_what_a_living_process_makes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as first:
        first.write_text("first")
        with whole_file(path) as second:
            second.write_text("second")
        assert first.read_text() == "first"


def test_without_an_exchange_a_folder_is_replaced_too(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    with unable(monkeypatch), whole_folder(folder, force=True, foreign=lambda path: None) as made:
        (made / "which").write_text("new")
    assert (folder / "which").read_text() == "new"
    assert not beside(folder)


def test_a_failure_between_the_renames_puts_the_old_back(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    rename, calls = Path.rename, iter(range(9))

    def fails_second(self: Path, target: Path) -> Path:
        if next(calls) == 1:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with unable(monkeypatch), monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails_second)
        with (
            pytest.raises(UserError, match="Input/output error"),
            whole_folder(folder, force=True, foreign=lambda path: None) as made,
        ):
            (made / "which").write_text("new")
    assert (folder / "which").read_text() == "old"
    assert not beside(folder)


def test_a_folder_that_was_filled_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with (
        pytest.raises(UserError, match="meanwhile"),
        whole_folder(folder, force=True, foreign=lambda path: None) as made,
    ):
        (made / "which").write_text("ours")
        folder.mkdir()
        (folder / "which").write_text("theirs")
    assert (folder / "which").read_text() == "theirs"


def test_leftovers_of_another_name_go_too(tmp_path: Path) -> None:
    (tmp_path / ".a.12345678.svgd-tmp").mkdir()
    (tmp_path / ".a.12345678.svgd-tmp" / "a").write_text("half")
    with whole_file(tmp_path / "b") as made:
        made.write_text("b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_of_another_name_is_recovered_too(folder: Path) -> None:
    kill_at("path", "rename", folder, 1, CANNOT)
    assert not folder.exists()
    with whole_file(folder.parent / "b") as made:
        made.write_text("b")
    assert (folder / "which").read_text() == "new"
    assert beside(folder) == ["b"]


def test_names_as_long_as_they_can_be(tmp_path: Path) -> None:
    name = "ä" * 127
    with whole_file(tmp_path / name) as made:
        made.write_text("a")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name != "posix", reason="of links")
def test_a_link_in_the_place_of_a_leftover_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (tmp_path / ".a.12345678.svgd-tmp").symlink_to(mine)
    with whole_file(tmp_path / "a") as made:
        made.write_text("a")
    assert (mine / "notes.txt").read_text() == "mine"
    shutil.rmtree(mine)
