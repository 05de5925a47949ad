"""Tables, figures and the page they are written into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data import MLP

import svgd_onnx
from tools.paper import authors, report
from tools.paper.result import Result, Test
from tools.paper.runner import Run
from tools.paper.statistics import Sample

PAGE = """# By hand

<!-- begin table mlp_mnist -->
old
<!-- end -->
between
<!-- begin pairs mlp_mnist -->
<!-- end -->
<!-- begin beginnings mlp_mnist -->
<!-- end -->
<!-- begin figure mlp_mnist -->
<!-- end -->
<!-- begin study mlp_mnist -->
<!-- end -->
<!-- begin nearness mlp_mnist -->
<!-- end -->
<!-- begin table vgg_cifar10 -->
<!-- end -->
the end
"""


def result(run: Run, folder: Path, *errors: float) -> None:
    tests = [
        Test(100 * i, 1 / i, 1 / i, error, 1 / i, 2 * error) for i, error in enumerate(errors, 1)
    ]
    tests[-1] = Test(run.steps, *list(vars(tests[-1]).values())[1:])
    result = Result(run.settings, tests, 1.0)
    if run.optimizer == "svgd":
        result.r_below_epsilon, result.median_factor = 0.25, 50.0
        result.operations = {"fc1.weight": (run.seed / 4, 60.0), "fc2.weight": (0.0, 7.0)}
    result.save(folder / f"{run.name}.csv")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "mlp_mnist"
    folder.mkdir(parents=True)
    for seed, error in enumerate((0.016, 0.018, 0.020)):
        result(Run.of(MLP, "svgd", seed), folder, 0.5, *[error] * 6)
        result(Run.of(MLP, "sgd", seed), folder, 0.5, *[error + 0.001 + 0.001 * seed] * 6)
        result(Run.of(MLP, "svgd", seed, epsilon=1e-4), folder, *[error + 0.01] * 6)
    (tmp_path / "page.md").write_text(PAGE)
    return folder.parent


def test_tables_say_mean_deviation_interval_and_pairs(tmp_path: Path, results: Path) -> None:
    report.write(tmp_path / "page.md", results, None)
    text = (tmp_path / "page.md").read_text()
    assert (
        "| SVGD (s = 0.1) | 0.01, 0.005, 0.001 | 6,000 | 3 | 1.60 | 1.80 | 0.20 | ±0.50 |" in text
    )
    assert "| SVGD - SGD | 6,000 | 3 | -0.20 | ±0.25 | 3 of 3 |" in text
    assert "| ε = 0.0001 | 6,000 | 3 | 2.80 | 0.20 | 5.60 | +1.00 | ±0.00 | 25.0% | 50 |" in text
    assert "| fc1 | 3 | 25.0% | 60 |" in text
    assert "No runs yet." in text


def test_what_is_written_by_hand_stays(tmp_path: Path, results: Path) -> None:
    report.write(tmp_path / "page.md", results, None)
    once = (tmp_path / "page.md").read_bytes()
    report.write(tmp_path / "page.md", results, None)
    assert (tmp_path / "page.md").read_bytes() == once
    text = once.decode()
    assert text.startswith("# By hand\n")
    assert "\nbetween\n" in text
    assert text.endswith("\nthe end\n")
    assert "old" not in text


def test_figures_are_small_the_same_each_time_and_hold_text(tmp_path: Path, results: Path) -> None:
    written = []
    for _ in range(2):
        report.write(tmp_path / "page.md", results, None)
        written.append((tmp_path / "paper" / "mlp_mnist.svg").read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) < 200_000
    assert b">SVGD</text>" in written[0]


def test_the_authors_curves_lie_beside_ours(tmp_path: Path, results: Path) -> None:
    report.write(tmp_path / "page.md", results, None)
    alone = (tmp_path / "paper" / "mlp_mnist.svg").read_text()
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("so", "sgd", "rmsprop", "adam"):
        rows = "0,x,0,2.5,0.1\n" + "".join(f"{100 * i},x,{i},0.3,0.9\n" for i in range(1, 7))
        (logs / f"mlp_{name}.csv").write_text(f",datetime,step,loss,accuracy\n{rows}")
    report.write(tmp_path / "page.md", results, logs)
    beside = (tmp_path / "paper" / "mlp_mnist.svg").read_text()
    assert "the authors'" in beside and "the authors'" not in alone
    # The mean of their last six tests, as ours.
    page = (tmp_path / "page.md").read_text()
    assert "| 3 | 1.60 | 10.00 | 1.80 |" in page
    # At equal steps, up to the first change of the rate: not the last test, at 6,000.
    assert "| step 600: ours | step 600: authors' log |\n" in page
    assert "| SVGD (s = 0.1) | 50.00 | 10.00 | 1.80 | 10.00 |" in page
    (logs / "mlp_so.csv").unlink()
    with pytest.raises(svgd_onnx.UserError, match="mlp_so.csv"):
        report.write(tmp_path / "page.md", results, logs)


@pytest.mark.parametrize("log", ["", "step,loss\n", "step,loss\n0\n", "step,loss\n0,x\n", "a\n1\n"])
def test_a_damaged_log_of_the_authors_is_named(tmp_path: Path, log: str) -> None:
    (tmp_path / "math_gd.csv").write_text(log)
    with pytest.raises(svgd_onnx.UserError, match="math_gd.csv' is no log"):
        authors.hilbert("gd", tmp_path)


def test_an_unknown_block_is_refused(tmp_path: Path, results: Path) -> None:
    (tmp_path / "page.md").write_text("<!-- begin table of nothing -->\n<!-- end -->\n")
    with pytest.raises(svgd_onnx.UserError, match="'table of nothing'"):
        report.write(tmp_path / "page.md", results, None)


def test_a_file_that_is_no_result_is_named(tmp_path: Path, results: Path) -> None:
    (results / "mlp_mnist" / "svgd-9.csv").write_text("step\n1\n")
    with pytest.raises(svgd_onnx.UserError, match="svgd-9.csv"):
        report.write(tmp_path / "page.md", results, None)


def test_the_interval_is_that_of_student() -> None:
    # t(0.975; 4) = 2.776445 from a table.
    sample = Sample.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert sample.half_width == pytest.approx(2.776445 * np.sqrt(2.5) / np.sqrt(5), rel=1e-6)
    assert Sample.of([1.0]).half_width is None
