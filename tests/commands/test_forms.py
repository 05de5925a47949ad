"""--json, --quiet, the help and completion: what all commands have."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from attacks import attacked
from conftest import Run

import svgd_onnx
from svgd_onnx import cli, terminal
from svgd_onnx.command_help import EXAMPLES, GROUP_OF
from svgd_onnx.run_config import COMMANDS

data, folder, model = attacked.data, attacked.folder, attacked.model
TRAIN = (*attacked.TRAIN, "--steps", 3)

PROGRAM: Any = typer.main.get_command(cli._app)
CONTEXT = PROGRAM.context_class(PROGRAM, info_name="svgd-onnx")


class TestJson:
    def test_of_convert(self, run: Run, model: Path, tmp_path: Path) -> None:
        output = tmp_path / "made"
        facts = run("convert", model, "--output", output, "--json").facts
        assert facts["artifacts"] == str(output)
        assert [each["name"] for each in facts["arrays"]] == ["x", "labels"]
        assert set(facts["files"]) <= {each.name for each in output.iterdir()}

    def test_of_train(self, run: Run, folder: Path, data: Path) -> None:
        facts = run("train", folder, "--data", data, "--validation", data, *TRAIN, "--json").facts
        assert (facts["from_step"], facts["step"], facts["skipped"]) == (0, 3, 0)
        trainer = svgd_onnx.Trainer(folder)
        with np.load(data) as arrays:
            scores = trainer.evaluate(dict(arrays))
        assert facts["validation_loss"] == pytest.approx(scores["loss"], rel=1e-6)

    def test_of_evaluate(self, run: Run, folder: Path, data: Path) -> None:
        facts = run("evaluate", folder, "--data", data, "--json").facts
        assert facts.keys() >= {"loss", "accuracy", "step"}

    def test_of_export(self, run: Run, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "trained.onnx"
        assert run("export", folder, "--output", output, "--json").facts["model"] == str(output)

    def test_of_export_that_can_write_one_of_two_files_and_writes_none(
        self, run: Run, folder: Path, tmp_path: Path
    ) -> None:
        output, adapter = tmp_path / "trained.onnx", tmp_path / "adapter.safetensors"
        refused = run("export", folder, "--output", output, "--adapter", adapter)
        assert refused.code == 2 and "has no adapters" in refused.err
        assert not output.exists() and not adapter.exists()

    def test_of_inspect(self, run: Run, model: Path, folder: Path) -> None:
        facts = run("inspect", model, "--json").facts
        assert {each["parameter"] for each in facts["operations"]} >= {"fc1.weight", "fc2.weight"}
        assert facts["refusal"] is None and facts["manifest"] is None
        assert run("inspect", folder, "--json").facts["manifest"]["target"] == "onnx"

    def test_of_inspect_where_memory_is_not_estimated(
        self, run: Run, model: Path, tmp_path: Path
    ) -> None:
        options = ("--loss", "triplet", "--no-verify")
        made = run("convert", model, "--output", tmp_path / "made", *options)
        assert "Memory is not estimated: " in " ".join((made.out + made.err).split())
        for line in ((tmp_path / "made",), (model, "--loss", "triplet")):
            why = run("inspect", *line, "--json").facts["memory_unknown"]
            assert why.startswith("Memory is not estimated: ")

    def test_of_memory(self, run: Run, model: Path, tmp_path: Path) -> None:
        arguments = ("--memory-limit", "1GB", "--target", "onnx", "--json")
        for line in (("inspect", model), ("convert", model, "--output", tmp_path / "made")):
            memory = run(*line, *arguments).facts["memory"]
            assert memory["bytes"]["1"] < memory["bytes"]["128"] < 1e9
            assert memory["largest_batch"] > 128

    def test_of_check(self, run: Run, model: Path) -> None:
        facts = run("check", model, "--json").facts
        assert facts["wrong"] == 0
        assert {each["parameter"] for each in facts["parameters"]} >= {"fc1.weight"}

    def test_of_a_wrong_gradient(self, run: Run, model: Path) -> None:
        wrong = run("check", model, "--tolerance", 0, "--json")
        assert wrong.code == (1 if wrong.facts["wrong"] else 0)

    def test_a_mistake_is_a_sentence(self, run: Run, tmp_path: Path) -> None:
        refused = run("inspect", tmp_path / "none.onnx", "--json")
        assert refused.code == 2 and refused.out == ""
        assert refused.err.startswith("svgd-onnx: ")

    def test_warnings_are_in_it(self, run: Run, model: Path, tmp_path: Path) -> None:
        arguments = ("--output", tmp_path / "made", "--fixed-batch", "--no-verify", "--json")
        done = run("convert", model, *arguments)
        (told,) = [each for each in done.facts["warnings"] if "--fixed-batch" in each]
        assert told in done.err

    def test_numbers_that_json_has_no_word_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        terminal.use(terminal.Form.JSON)
        terminal.result(loss=np.float32("nan"), most=float("inf"), count=np.int64(3))
        terminal.finish()
        terminal.use(terminal.Form.TEXT)
        expected = '{"loss": null, "most": null, "count": 3, "warnings": []}\n'
        assert capsys.readouterr().out == expected

    def test_a_table_of_numbers(self, capsys: pytest.CaptureFixture[str]) -> None:
        terminal.use(terminal.Form.JSON)
        terminal.result(matrix=np.array([[1.0, np.nan], [2.0, 3.0]]))
        terminal.finish()
        terminal.use(terminal.Form.TEXT)
        assert capsys.readouterr().out == '{"matrix": [[1.0, null], [2.0, 3.0]], "warnings": []}\n'

    def test_of_an_evaluation_with_a_confusion_matrix(
        self, run: Run, model: Path, data: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        run("convert", model, "--output", made, "--target", "onnx", "--no-verify", "-q")
        metric = ("--metric", "confusion-matrix", "--json")
        facts = run("evaluate", made, "--data", data, *metric).facts
        with np.load(data) as arrays:
            count = len(arrays["labels"])
        assert sum(map(sum, facts["confusion-matrix"])) == count

    def test_what_training_says_of_classes_and_the_best_checkpoint(
        self, run: Run, model: Path, data: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        run("convert", model, "--output", made, "--target", "onnx", "--no-verify", "-q")
        options = ("--classes", "a,b,c,d", "--validation", data, "--checkpoint-best")
        facts = run("train", made, "--data", data, *TRAIN, *options, "--json").facts
        assert facts["classes"] == ["a", "b", "c", "d"]
        assert 0 < facts["best_step"] <= facts["step"] and 0 <= facts["waiting"] <= 1

    def test_why_training_stopped_early(
        self, run: Run, model: Path, data: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        run("convert", model, "--output", made, "--target", "onnx", "--no-verify", "-q")
        line = ("train", made, "--data", data, "--validation", data, "--batch-size", 8)
        line = (*line, "--early-stopping", 1, "--learning-rate", 0, "--epochs", 9)
        facts = run(*line, "--json").facts
        assert facts["stopped_early"] and facts["best_step"] == facts["step"] / 2
        assert facts["why_stopped"].startswith("validation loss did not improve in 1 epoch after")
        facts = run("train", made, "--data", data, *TRAIN, "--restart", "--json").facts
        assert not facts["stopped_early"] and facts["why_stopped"] is None


def test_quiet_says_nothing(run: Run, model: Path, data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    lines = [
        ("convert", model, "--output", made, "--fixed-batch", "--target", "onnx"),
        ("train", made, "--data", data, *TRAIN, "--verbose"),
        ("evaluate", made, "--data", data),
        ("export", made, "--output", tmp_path / "trained.onnx"),
        ("inspect", made),
        ("check", model),
    ]
    for line in lines:
        done = run(*line, "--quiet")
        assert (done.code, done.out, done.err) == (0, "", ""), line


def test_quiet_says_mistakes(run: Run, tmp_path: Path) -> None:
    refused = run("inspect", tmp_path / "none.onnx", "-q")
    assert refused.code == 2 and refused.err.count("\n") == 1


def test_json_and_quiet_do_not_go_together(run: Run, model: Path) -> None:
    refused = run("inspect", model, "--quiet", "--json")
    assert refused.code == 2 and "--json and --quiet do not go together" in refused.err


def test_a_misspelt_command_is_told_the_nearest(run: Run) -> None:
    refused = run("conver", "model.onnx")
    assert refused.code == 2 and "convert" in refused.err


class TestHelp:
    def test_all_commands_are_known_to_config(self) -> None:
        assert set(COMMANDS) == set(PROGRAM.list_commands(CONTEXT))

    @pytest.mark.parametrize("name", COMMANDS)
    def test_examples_are_commands(self, name: str) -> None:
        assert 2 <= len(EXAMPLES[name]) <= 3
        for example in EXAMPLES[name]:
            program, command, *arguments = shlex.split(example)
            assert (program, command) == ("svgd-onnx", name)
            parsed = PROGRAM.get_command(CONTEXT, name)
            context = parsed.context_class(parsed, info_name=name)
            parsed.make_parser(context).parse_args(arguments)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_it_shows_groups_and_examples(
        self, name: str, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        shown = run(name, "--help")
        assert shown.code == 0
        assert "Every command" in shown.out
        assert all(example in shown.out for example in EXAMPLES[name])

    def test_groups_are_of_options_that_there_are(self) -> None:
        commands = [PROGRAM.get_command(CONTEXT, name) for name in COMMANDS]
        there = {each.name for command in commands for each in command.params}
        assert GROUP_OF.keys() <= there


def test_a_shell_can_complete_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SVGD_ONNX_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "svgd-onnx train --check")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        PROGRAM.main(args=[], prog_name="svgd-onnx")
    options = capsys.readouterr().out.split()
    assert {"--checkpoint-every", "--checkpoint-on-stop"} < set(options)
    assert all(each.startswith("--check") for each in options)


class TestDevice:
    def test_what_runs_is_said(self, run: Run, folder: Path, data: Path) -> None:
        said = run("train", folder, "--data", data, *TRAIN, "-v", "--kernels", "standard").out
        assert "Steps run with standard kernels, on onnxruntime" in said
        facts = run("evaluate", folder, "--data", data, "--json").facts
        assert facts["device"] == "cpu"

    def test_options_are_keys_and_values(self, run: Run, folder: Path, data: Path) -> None:
        refused = run("evaluate", folder, "--data", data, "--device-option", "device_id")
        assert refused.code == 2 and "is not KEY=VALUE" in refused.err

    def test_options_need_a_device(self, run: Run, folder: Path, data: Path) -> None:
        refused = run("evaluate", folder, "--data", data, "--device-option", "device_id=1")
        assert refused.code == 2 and "name the --device that takes them" in refused.err
