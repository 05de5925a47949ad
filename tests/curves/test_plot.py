"""Logs of trainings in a picture: which numbers are drawn, what is said of them, and what is refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import matplotlib.style
import matplotlib.ticker
import numpy as np
import pytest
from conftest import Answer, Run
from PIL import Image

import svgd_onnx
from svgd_onnx.curves import picture
from svgd_onnx.curves.logs import columns_of, names_of, read_log, smoothed
from svgd_onnx.training.beginning import Beginning
from svgd_onnx.training.training_log import TrainingLog

ROWS = 40


def loss(step: int) -> float:
    return 2 / step + 0.1 * (step % 3)


def write_log(path: Path, count: int = ROWS, metrics: Sequence[str] = ("loss", "accuracy")) -> Path:
    """A log as a training writes it, with a validation each 10 steps."""
    path.parent.mkdir(exist_ok=True)
    with TrainingLog(path, Beginning(0), metrics) as rows:
        rows.saved()
        for step in range(1, count + 1):
            values = {name: step / 100 for name in metrics} if step % 10 == 0 else {}
            rows.write(step, step // 10, 0.1 / step, loss(step), values)
    return path


def drawn(
    runs: Sequence[Path], metrics: Sequence[str] = ("loss",), smooth: int = 1, log: bool = False
) -> Any:
    """The figure, as it is before it is written."""
    logs = [read_log(each) for each in runs]
    panels = {metric: columns_of(metric, logs) for metric in metrics}
    return picture._figure(picture._matplotlib(), logs, panels, smooth, log)


def lines(axes: Any) -> list[tuple[list[float], list[float]]]:
    return [(list(each.get_xdata()), list(each.get_ydata())) for each in axes.lines]


def texts(figure: Any) -> list[Any]:
    (legend,) = figure.legends
    return list(legend.get_texts())


def test_curves_are_those_of_the_logs(tmp_path: Path) -> None:
    runs = [write_log(tmp_path / "one.csv"), write_log(tmp_path / "two.csv", 25)]
    figure = drawn(runs, ("loss", "accuracy", "learning_rate"))
    losses, accuracies, rates = figure.axes
    steps = {40: list(range(1, 41)), 25: list(range(1, 26))}
    assert lines(losses) == [
        (steps[40], [loss(step) for step in steps[40]]),
        ([10, 20, 30, 40], [0.1, 0.2, 0.3, 0.4]),
        (steps[25], [loss(step) for step in steps[25]]),
        ([10, 20], [0.1, 0.2]),
    ]
    assert lines(accuracies) == [([10, 20, 30, 40], [0.1, 0.2, 0.3, 0.4]), ([10, 20], [0.1, 0.2])]
    assert lines(rates)[1] == (steps[25], [0.1 / step for step in steps[25]])
    labels = [each.get_ylabel() for each in figure.axes]
    assert labels == ["loss", "validation accuracy", "learning rate"]
    assert figure.axes[-1].get_xlabel() == "step"
    colors = [each.get_color() for each in losses.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert [each.get_text() for each in texts(figure)] == ["one", "two", "training", "validation"]


def test_a_smoothed_loss_is_the_mean_of_rows_before_it(tmp_path: Path) -> None:
    figure = drawn([write_log(tmp_path / "run.csv")], smooth=4)
    raw, mean, _ = lines(figure.axes[0])
    values = np.array(raw[1])
    expected = [values[max(0, at - 3) : at + 1].mean() for at in range(ROWS)]
    assert mean[1] == pytest.approx(expected, rel=1e-12)


def test_a_loss_that_is_nan_is_a_gap_and_does_not_count() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0])
    assert smoothed(values, 2) == pytest.approx([1.0, 1.0, 3.0, 3.0, 5.0])
    assert np.isnan(smoothed(values[1:2], 2)).all()


def test_names_are_no_formulas_and_none_is_left_out(tmp_path: Path) -> None:
    names = ["$x^2$", "_hidden", "a\x1b[31m", "<b>&amp;"]
    figure = drawn([write_log(tmp_path / f"{name}.csv") for name in names])
    shown = texts(figure)[:4]
    assert [each.get_text() for each in shown] == ["$x^2$", "_hidden", "a\\x1b[31m", "<b>&amp;"]
    assert not any(each.get_parse_math() for each in shown)
    figure.savefig(io.BytesIO())  # a formula that is none would raise here


def test_runs_of_one_name_have_their_folders_too(tmp_path: Path) -> None:
    logs = [read_log(write_log(tmp_path / folder / "log.csv")) for folder in ("sgd", "svgd")]
    assert names_of(logs) == ["sgd/log", "svgd/log"]
    assert names_of([read_log(write_log(tmp_path / "rate_0.1"))]) == ["rate_0.1"]


@pytest.mark.parametrize(("highest", "few"), [(1.7, 3), (30.0, 3), (1e5, 3)])
def test_a_logarithmic_axis_has_numbers(highest: float, few: int) -> None:
    axes = mpl.figure.Figure().add_subplot()
    axes.plot([1, 2], [0.8, highest])
    picture._logarithmic(mpl, axes)
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    shown = [t.get_text() for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert axes.get_yscale() == "log" and len(shown) >= few and "$" not in "".join(shown)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_logs_are_the_same_bytes(ending: str, tmp_path: Path) -> None:
    run = write_log(tmp_path / "run.csv")
    pictures = [svgd_onnx.plot([run], tmp_path / f"{name}{ending}") for name in ("one", "two")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert not [each for each in tmp_path.iterdir() if each.name.endswith("tmp")]


def test_settings_of_the_user_change_nothing(tmp_path: Path) -> None:
    run = write_log(tmp_path / "run.csv")
    plain = svgd_onnx.plot([run], tmp_path / "plain.png").read_bytes()
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black"}):
        assert svgd_onnx.plot([run], tmp_path / "set.png").read_bytes() == plain
        assert mpl.rcParams["text.usetex"]


def test_the_log_of_a_training_that_goes_on(tmp_path: Path) -> None:
    run = write_log(tmp_path / "run.csv", 3)
    with run.open("a") as file:
        file.write("4,0,0.1,0.")
    assert list(read_log(run).columns["step"]) == [1, 2, 3]


def test_the_command_line(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    one = write_log(tmp_path / "one.csv")
    two = write_log(tmp_path / "two.csv", metrics=["loss"])
    output = tmp_path / "runs.png"
    options = ("--metric", "loss", "--metric", "accuracy", "--smooth", 5, "--log-scale")
    done = run("plot", one, two, *options, "--output", output)
    assert done.out == f"{output}: loss, accuracy of 2 runs.\n"
    assert done.err == "svgd-onnx: There is no validation_accuracy of two.\n"
    with Image.open(output) as shown:
        assert shown.format == "PNG" and shown.size[0] > 1000
    assert run("plot", one, "--json").facts["picture"] == str(tmp_path / "one.png")


def test_of_many_metrics_the_first_are_drawn(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "_MOST_PANELS", 4)
    names = [f"m{number}" for number in range(400)]
    log = write_log(tmp_path / "log.csv", metrics=names)
    done = run("plot", log, *(part for name in names for part in ("--metric", name)))
    assert done.code == 0
    assert "A picture has 4 panels at most, and these have none: m4, " in done.err
    assert "m11 and 388 more: give them by --metric for another picture." in done.err
    with Image.open(tmp_path / "log.png") as shown:
        assert shown.size[1] < 5 * 3.4 * 150


def test_of_many_runs_the_first_are_named(tmp_path: Path) -> None:
    runs = [write_log(tmp_path / f"{'run ' * 9}{number}.csv", 10) for number in range(60)]
    figure = drawn(runs, ("accuracy", "loss"))
    figure.savefig(io.BytesIO(), format="png")
    names = [each.get_text() for each in texts(figure)]
    assert len(names) == 48 + 3 and names[48:] == ["and 12 more", "training", "validation"]
    assert len(figure.axes[0].lines) == 60
    assert all(each.get_window_extent().height > 300 for each in figure.axes)


class TestRefused:
    def test_what_is_no_log(self, tmp_path: Path, answer: Answer) -> None:
        (tmp_path / "table.csv").write_text("a,b\n1,2\n")
        assert "is not a log of svgd-onnx" in answer("plot", tmp_path / "table.csv")
        assert "cannot be read" in answer("plot", tmp_path / "none.csv")
        assert "cannot be read" in answer("plot", tmp_path)

    @pytest.mark.parametrize("row", ["1,0,0.1", "1,0,0.1,x,,", "1,0,0.1,1,,,,"])
    def test_a_damaged_log(self, row: str, tmp_path: Path, answer: Answer) -> None:
        path = write_log(tmp_path / "log.csv", 3)
        path.write_text(path.read_text() + row + "\n")
        assert "is damaged" in answer("plot", path)

    def test_a_log_without_rows(self, tmp_path: Path, answer: Answer) -> None:
        assert "has no row yet" in answer("plot", write_log(tmp_path / "log.csv", 0))

    def test_a_metric_that_is_not_there(self, tmp_path: Path, answer: Answer) -> None:
        said = answer("plot", write_log(tmp_path / "log.csv"), "--metric", "auc")
        assert "no values of the --metric 'auc': they have learning_rate, loss, accuracy." in said
        assert "no values" in answer("plot", tmp_path / "log.csv", "--metric", "step")

    def test_to_write_over_a_log(self, tmp_path: Path, answer: Answer) -> None:
        path = write_log(tmp_path / "log.png")
        before = path.read_bytes()
        assert "is a file that is read" in answer("plot", path)
        link = tmp_path / "link.png"
        link.symlink_to(path)
        assert "is a file that is read" in answer("plot", path, "--output", link)
        assert path.read_bytes() == before

    def test_other_formats_and_numbers(self, tmp_path: Path, answer: Answer) -> None:
        path = write_log(tmp_path / "log.csv")
        assert "choose from .png, .svg, .pdf" in answer("plot", path, "--output", "runs.gif")
        assert "must be 1 or more" in answer("plot", path, "--smooth", 0)

    def test_without_matplotlib(
        self, tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        said = answer("plot", write_log(tmp_path / "log.csv"))
        assert "pip install 'svgd-onnx[plot]'" in said
