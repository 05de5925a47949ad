"""run.toml in the artifacts: what `convert` and `train` did, so that it can be done again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from attacks import attacked
from conftest import Run

import svgd_onnx
from svgd_onnx.files import whole
from svgd_onnx.run_config import load

data, model = attacked.data, attacked.model
TRAIN = (*attacked.TRAIN, "--steps", 3)


@pytest.fixture
def made(run: Run, tmp_path: Path, model: Path) -> Path:
    """Artifacts that the command line made."""
    path = tmp_path / "made"
    assert run("convert", model, "--output", path, "--no-verify", "--freeze", "fc1.*").code == 0
    return path


def trained(folder: Path) -> list[np.ndarray]:
    trainer = svgd_onnx.Trainer(folder)
    return [trainer.tensor(each.name) for each in trainer.manifest.parameters]


def test_conversion_and_training_are_repeated(run: Run, made: Path, data: Path) -> None:
    assert run("train", made, "--data", data, *TRAIN, "--seed", 7).code == 0
    once = trained(made)
    assert run("convert", "--config", made / "run.toml", "--force").code == 0
    assert svgd_onnx.Trainer(made).step == 0
    assert run("train", "--config", made / "run.toml").code == 0
    assert svgd_onnx.Trainer(made).seed == 7
    for array, again in zip(once, trained(made)):
        np.testing.assert_array_equal(array, again)


def test_it_says_with_what(run: Run, made: Path, data: Path) -> None:
    run("train", made, "--data", data, *TRAIN)
    tables = load(made / "run.toml")
    assert tables["train"]["seed"] == 0
    assert tables["train"]["data"] == str(data)
    record = tables["record"]["train"]
    assert record["versions"]["svgd-onnx"] == svgd_onnx.__version__
    assert record["sha256"] == {"data": hashlib.sha256(data.read_bytes()).hexdigest()}
    assert tables["record"]["convert"]["sha256"].keys() == {"model"}


def test_it_appears_with_the_folder(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed once the folder has its name leaves its record too."""
    found: list[dict[str, object]] = []

    def look(name: str) -> None:
        put = getattr(whole, name)

        def looked(folder: Path, *places: Path) -> None:
            found.append(load(folder / "run.toml")["convert"])
            put(folder, *places)

        monkeypatch.setattr(whole, name, looked)

    look("_put")
    look("_replace")
    output = tmp_path / "made"
    for more in ([], ["--force"]):
        assert run("convert", model, "--output", output, "--no-verify", *more).code == 0
        assert found[-1]["output"] == str(output)
        assert load(output / "run.toml")["convert"] == found[-1]
        assert sorted(each.name for each in output.iterdir() if "tmp" in each.name) == []
    assert len(found) == 2


def test_a_file_that_has_changed_is_told(run: Run, made: Path, data: Path) -> None:
    run("train", made, "--data", data, *TRAIN)
    data.write_bytes(data.read_bytes() + b" ")
    assert run("convert", "--config", made / "run.toml", "--force").err == ""
    told = run("train", "--config", made / "run.toml")
    assert f"'{data}' is not the file that '{made / 'run.toml'}' tells of" in told.err


def test_an_interrupted_run_is_one_run(run: Run, made: Path, data: Path) -> None:
    run("train", made, "--data", data, *TRAIN)
    before = load(made / "run.toml")["train"]
    assert run("train", "--config", made / "run.toml", "--resume", "--steps", 5).code == 0
    assert load(made / "run.toml")["train"] == {**before, "steps": 5}


def test_a_run_that_goes_on_otherwise_is_two(run: Run, made: Path, data: Path) -> None:
    run("train", made, "--data", data, *TRAIN)
    before = load(made / "run.toml")["train"]
    run("train", "--config", made / "run.toml", "--resume", "--steps", 5, "--learning-rate", 0.2)
    tables = load(made / "run.toml")
    assert tables["train"] == {**before, "steps": 5, "learning-rate": 0.2, "resume": True}
    assert tables["record"]["train"]["before"] == before


def test_what_is_refused_leaves_the_record(run: Run, made: Path, data: Path) -> None:
    run("train", made, "--data", data, *TRAIN)
    before = (made / "run.toml").read_text()
    assert run("train", made, "--data", data, *TRAIN, "--seed", "5").code == 2
    assert (made / "run.toml").read_text() == before


def test_a_conversion_into_another_folder_takes_the_run_along(
    run: Run,
    made: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    run("train", made, "--data", data, *TRAIN)
    other = tmp_path / "other"
    run("convert", "--config", made / "run.toml", "--output", other)
    assert run("train", "--config", other / "run.toml", "--json").facts["artifacts"] == str(other)


def test_names_of_any_characters_are_written(run: Run, model: Path, tmp_path: Path) -> None:
    output = tmp_path / 'a"b\\c 日本\x7f[x]\n'
    assert run("convert", model, "--output", output, "--no-verify").code == 0
    assert load(output / "run.toml")["convert"]["output"] == str(output)


def test_a_loss_of_one_output_is_found_from_anywhere(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        own (float[n, c] prediction, float[n, c] target) => (float loss) {
            apart = Sub (prediction, target)
            size = Abs (apart)
            loss = ReduceMean <keepdims = 0> (size)
        }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "own.onnx")
    np.save(tmp_path / "weights.npy", np.ones(4))
    (tmp_path / "elsewhere").mkdir()
    output = onnx.load(model).graph.output[0].name
    made, weighted = tmp_path / "made", tmp_path / "weighted"
    monkeypatch.chdir(tmp_path)
    run("convert", model, "--output", made, "--loss", f"{output}=own.onnx:0.5", "--no-verify")
    classes = ("--loss", f"{output}=focal", "--class-weights", f"{output}=weights.npy")
    run("convert", model, "--output", weighted, *classes, "--no-verify")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for folder in (made, weighted):
        again = ("convert", "--config", folder / "run.toml", "--force")
        assert run(*again).code == 0
    assert load(made / "run.toml")["convert"]["loss"] == [f"{output}={tmp_path}/own.onnx:0.5"]


def test_what_else_is_in_it_stays(run: Run, made: Path, data: Path) -> None:
    text = "[evaluate]\ndata = 'd.npz'\n[record.note]\nday = 2026-01-02\nat = [{ a = 1, b = [1.5, true] }]\n"
    (made / "run.toml").write_text(text)
    before = load(made / "run.toml")
    run("train", made, "--data", data, *TRAIN)
    after = load(made / "run.toml")
    assert after["evaluate"] == before["evaluate"]
    assert after["record"]["note"] == before["record"]["note"]


@pytest.mark.parametrize("content", [b"[train", b"\xff", b"#" * (1 << 20) + b"##", b"[" * 100_000])
def test_a_damaged_record_is_written_anew(content: bytes, run: Run, made: Path, data: Path) -> None:
    (made / "run.toml").write_bytes(content)
    assert run("train", made, "--data", data, *TRAIN).code == 0
    assert load(made / "run.toml")["train"]["steps"] == 3


def test_the_record_is_no_log(run: Run, made: Path, data: Path) -> None:
    refused = run("train", made, "--data", data, *TRAIN, "--log", made / "run.toml")
    assert refused.code == 2 and "is a file that is read" in refused.err


def test_files_of_options_that_may_be_repeated_are_recorded(
    run: Run, model: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.npy"
    np.save(weights, np.ones(4))
    made = tmp_path / "made"
    line = ("--class-weights", weights, "--no-verify", "-q")
    assert run("convert", model, "--output", made, *line).code == 0
    again = ("convert", "--config", made / "run.toml", "--force")
    assert "is not the file" not in run(*again).err
    np.save(weights, np.full(4, 2.0))
    assert f"'{weights}' is not the file that" in run(*again).err
