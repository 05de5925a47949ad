"""Lemma 4.1 and the least-squares problem with the Hilbert matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.paper import hilbert, lemma

# Of the authors' logs: the loss at steps 0, 5, 50 and 95.
AUTHORS = {
    "gd": [0.025000002, 0.016487272, 0.005868493, 0.0048734997],
    "adagrad": [0.025000002, 0.010264884, 0.00417825, 0.0029661767],
}


@pytest.mark.parametrize(("n", "norm"), lemma.NORMS.items())
def test_the_mean_is_proportional_to_the_inner_product(n: int, norm: float) -> None:
    random = np.random.default_rng(1)
    points = [lemma.point(n, norm, 4_000, random) for _ in range(6)]
    assert lemma.correlation(points, n) >= 0.999


def test_too_few_pairs_for_a_correlation_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lemma", "--pairs", "2"])
    with pytest.raises(SystemExit, match="2"):
        lemma.main()
    assert "argument --pairs: must be 3 or more, not 2" in capsys.readouterr().err


def test_the_mean_of_one_matrix_is_that_of_the_formula() -> None:
    point = lemma.point(2, 3.0, 1, np.random.default_rng(5))
    random = np.random.default_rng(5)
    v, u = (each / np.linalg.norm(each) for each in random.standard_normal((2, 2)))
    m = random.uniform(-1, 1, (2, 2))
    m *= 3 / np.sqrt(np.linalg.eigvalsh(m.T @ m).max())
    assert point.estimate == pytest.approx(v @ m.T @ m @ u)
    assert point.product == pytest.approx(v @ u)


def test_svgd_that_forgets_loses_as_the_authors_svgd_until_rounding_decides() -> None:
    losses = hilbert.minimize("svgd_rho_0", hilbert.RATE, 40).losses
    theirs = [0.0056234905, 0.0034698434, 0.002172444, 0.0013971205, 0.0012425015, 0.00080212226]
    np.testing.assert_allclose(losses[[5, 10, 15, 20, 30, 40]], theirs, rtol=1e-3)


@pytest.mark.parametrize("optimizer", AUTHORS)
def test_losses_are_those_of_the_authors(optimizer: str) -> None:
    losses = hilbert.minimize(optimizer, hilbert.RATE, 96).losses
    np.testing.assert_allclose(losses[[0, 5, 50, 95]], AUTHORS[optimizer], rtol=1e-5)


def test_svgd_is_algorithm_1_and_descends_at_a_small_rate() -> None:
    run = hilbert.minimize("svgd", 0.001, 50)
    h, x, r = hilbert.matrix().astype(np.float64), np.zeros(10), np.zeros(10)
    expected = []
    for _ in range(51):
        residual = h @ x - 0.05
        expected.append(residual @ residual)
        gradient = 2 * residual
        r = 0.9 * r + 0.1 * gradient**2
        x -= 0.001 * h.T @ (gradient / np.sqrt(r + 1e-6))
    np.testing.assert_allclose(run.losses, expected, rtol=1e-4)
    assert run.descending == 1


def test_points_and_losses_are_read_as_they_were_written(tmp_path: Path) -> None:
    runs = [hilbert.minimize("adagrad", rate, 3) for rate in (0.01, 0.1)]
    hilbert.save(runs, tmp_path / "folder" / "hilbert.csv")
    for run, again in zip(runs, hilbert.load(tmp_path / "folder" / "hilbert.csv")):
        assert run[:2] == again[:2]
        np.testing.assert_allclose(run.losses, again.losses, rtol=1e-6)
    points = [lemma.Point(2, 1.0, -0.5, -0.25), lemma.Point(25, 4.0, 0.125, 0.5)]
    lemma.save(points, tmp_path / "lemma.csv")
    assert lemma.load(tmp_path / "lemma.csv") == points
