"""--config: options by their names, in a table of the command's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from attacks import attacked
from conftest import Run

import svgd_onnx

data, folder, model = attacked.data, attacked.folder, attacked.model
TRAIN = (*attacked.TRAIN, "--steps", 3)


@pytest.fixture
def config(tmp_path: Path, folder: Path, data: Path) -> Path:
    """A file with all that `train` must be told."""
    path = tmp_path / "run.toml"
    path.write_text(
        f"[train]\nfolder = '{folder}'\ndata = '{data}'\nbatch_size = 8\nlearning-rate = 0.1\n"
        'steps = 3\nschedule = ["1:0.05", "2:0.01"]\n'
    )
    return path


def add(path: Path, line: str) -> Path:
    path.write_text(path.read_text() + line + "\n")
    return path


def test_a_file_says_what_the_command_line_would(run: Run, config: Path, folder: Path) -> None:
    assert run("train", "--config", config).code == 0
    assert svgd_onnx.Trainer(folder).step == 3


def test_it_trains_to_the_same_numbers(
    run: Run,
    config: Path,
    folder: Path,
    data: Path,
    model: Path,
) -> None:
    by_file = run("train", "--config", config, "--json").facts
    svgd_onnx.convert(model, folder, target="onnx", verify=False, force=True)
    said = run(
        "train", folder, "--data", data, *TRAIN, "--schedule", "1:0.05,2:0.01", "--json"
    ).facts
    assert by_file["loss"] == said["loss"]


def test_the_command_line_wins(run: Run, config: Path) -> None:
    assert run("train", "--config", config, "--steps", 2, "--json").facts["step"] == 2


def test_the_command_line_wins_over_what_stands_for_the_same(run: Run, config: Path) -> None:
    assert run("train", "--config", config, "--epochs", 2, "--json").facts["step"] == 4


def test_lists_and_switches(run: Run, tmp_path: Path, model: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f"[convert]\nmodel = '{model}'\noutput = '{tmp_path / 'out'}'\nfreeze = ['fc1.*', 'bn.*']\n"
        "verify = false\nl1 = 1\nfreeze-bn = true\n"
    )
    assert run("convert", "--config", config).code == 0
    manifest = svgd_onnx.Manifest.load(tmp_path / "out")
    trained = {each.name for each in manifest.parameters if each.trainable}
    assert trained == {"fc2.weight", "fc2.bias"}
    assert manifest.hyper_parameters["l1"] == 1
    assert manifest.verified is None


def test_numbers_stand_as_numbers_where_the_command_line_takes_more(
    run: Run, tmp_path: Path, model: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f"[convert]\nmodel = '{model}'\noutput = '{tmp_path / 'out'}'\nverify = false\n"
        "class-weights = [1, 0.5, 2, 1]\nweight-decay = 0.25\nlabel-smoothing = 0.125\n"
    )
    assert run("convert", "--config", config).code == 0
    manifest = svgd_onnx.Manifest.load(tmp_path / "out")
    assert manifest.loss_settings.class_weights == (1, 0.5, 2, 1)
    assert manifest.loss_settings.label_smoothing == 0.125
    assert manifest.hyper_parameters["weight_decay"] == 0.25


def test_a_share_for_validation_stands_as_a_number(run: Run, config: Path) -> None:
    facts = run("train", "--config", add(config, "validation = 0.2"), "--json").facts
    assert "validation_loss" in facts


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "batch_sise = 8",
            "'batch_sise', which is no option of train; the nearest is 'batch-size'.",
        ),
        ("warp = 1", "'warp', which is no option of train."),
        ("no-shuffle = true", "'no-shuffle', which is written as shuffle = false here."),
        (
            "batch-size = 8",
            "has 'batch-size' and 'batch_size', which are one option: leave one out.",
        ),
        ("seed = '3'", "has 'seed' = '3', but it must be a whole number."),
        ("seed = true", "has 'seed' = true, but it must be a whole number."),
        ("log = 3", "has 'log' = 3, but it must be a string."),
        ("resume = 1", "has 'resume' = 1, but it must be true or false."),
        ("device = ['cpu']", "has 'device' = ['cpu'], but it must be a string."),
        ("json = true", "'json', which is given on the command line alone"),
        ("[trian]", "has a table [trian], which is no command; the nearest is 'train'."),
        ("seed", "cannot be read ("),
    ],
)
def test_what_is_no_option_is_refused(run: Run, config: Path, line: str, sentence: str) -> None:
    refused = run("train", "--config", add(config, line))
    assert refused.code == 2
    assert refused.err.startswith("svgd-onnx: ") and refused.err.count("\n") == 1
    assert sentence in refused.err and str(config) in refused.err


def test_a_list_is_not_a_string(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("[inspect]\nfreeze = 'fc1.*'\n")
    error = run("inspect", "--config", config).err
    assert "has 'freeze' = 'fc1.*', but it must be a list, each a string." in error


def test_options_belong_into_a_table(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("batch-size = 3\n")
    assert "'batch-size' outside of a table" in run("train", "--config", config).err


def test_a_file_without_a_table_of_the_command(run: Run, config: Path) -> None:
    assert "has no table [export]" in run("export", "--config", config).err


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    refused = run("train", "--config", tmp_path / "none.toml")
    assert refused.code == 2 and "none.toml' cannot be read" in refused.err


def test_names_are_shown_as_they_stand(run: Run, config: Path) -> None:
    refused = run("train", "--config", add(config, '"[red]\\u001b[31m" = 1'))
    assert "'[red]\\x1b[31m', which is no option" in refused.err


def test_help_needs_no_file(run: Run, tmp_path: Path) -> None:
    assert run("train", "--config", tmp_path / "none.toml", "--help").code == 0
