"""What a file of options may hold that no command line can."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attacks import attacked
from attacks.attacked import Refused
from conftest import Run

import svgd_onnx
from svgd_onnx import UserError

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"steps = 0x{'f' * 6000}", "an integer of more than 64 bits as 'steps'"),
        (f"learning-rate = {'9' * 400}", "an integer of more than 64 bits as 'learning-rate'"),
        ('log = "a\\u0000b"', "a character 0 in 'log'"),
        ('metric = ["accuracy", "a\\u0000b"]', "a character 0 in 'metric'"),
    ],
    ids=["digits", "no float", "text", "list"],
)
def test_what_no_command_line_holds_is_refused(
    line: str, sentence: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "run.toml").write_text(f"[train]\n{line}\n")
    assert sentence in refused("train", "--config", tmp_path / "run.toml")


@pytest.mark.parametrize(
    "line",
    [
        "a" + ".a" * 500_000 + " = 1",
        "[a" + " . a" * 200_000 + "]",
        r"""'a'."\"" . """ * 50_000 + "a = 1",
        "a" + ".a" * 90 + " = 1",
        "a = " + "{a.a.a.a.a.a.a.a = " * 30 + "1" + "}" * 30,
        "a = " + "[" * 40 + "]" * 40,
        "a = " + "[" * 10_000 + "]" * 10_000,
    ],
    ids=["key", "table", "quoted", "deep", "in line", "list", "deep list"],
)
def test_keys_of_many_parts_and_deep_tables_are_refused_at_once(
    line: str, folder: Path, data: Path, run: Run, refused: Refused
) -> None:
    """A run.toml may be anybody's. Python reads a key in a time that is the square of its parts."""
    path = folder / "run.toml"
    path.write_text(f"[train]\n{line}\n")
    assert "run.toml" in refused("train", "--config", path)
    assert run("evaluate", folder, "--data", data).code == 0


def test_so_many_steps_as_no_counter_holds_are_refused(
    folder: Path, data: Path, refused: Refused
) -> None:
    options = ("--data", data, "--batch-size", 4, "--learning-rate", 0.1, "--steps", "9" * 400)
    assert f"but must be {2**63 - 1} at most" in refused("train", folder, *options)


def test_a_folder_whose_name_is_no_text_is_refused(folder: Path, model: Path) -> None:
    odd = folder.with_name("\udcff")
    with pytest.raises(UserError, match="is no UTF-8"):
        svgd_onnx.convert(model, odd, verify=False)
    try:
        folder.rename(odd)
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system has no such names")
    with pytest.raises(UserError, match="is no UTF-8"):
        svgd_onnx.Trainer(odd)


def test_a_path_of_no_characters_is_refused(tmp_path: Path, refused: Refused) -> None:
    """It would be the current folder."""
    (tmp_path / "run.toml").write_text('[train]\nfolder = "a"\ndata = ""\n')
    assert "has 'data' = '', which is no path" in refused(
        "train", "--config", tmp_path / "run.toml"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path, refused: Refused) -> None:
    os.mkfifo(tmp_path / "run.toml")
    assert "is no file" in refused("train", "--config", tmp_path / "run.toml")
