"""The figures of docs/paper.md: SVG, the same bytes from the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from svgd_onnx.files import whole_file
from tools.paper import authors
from tools.paper import hilbert as hilbert_study
from tools.paper import lemma as lemma_study
from tools.paper.experiment import Experiment
from tools.paper.tables import NAMES, NONE, Group, as_in_paper

COLORS = {
    "svgd": "#c0392b",
    "sgd": "#2471a3",
    "rmsprop": "#239b56",
    "adamw": "#b9770e",
    "momentum": "#7d3c98",
}
MOST_POINTS = 100  # of a curve
AUTHORS = {"linewidth": 0.9, "linestyle": (0, (3, 2)), "alpha": 0.7}


def curves(experiment: Experiment, groups: Sequence[Group], folder: Path, logs: Path | None) -> str:
    """Test error and loss against steps: Figures 9, 11 and 12.

    Ours are means over seeds. Runs shorter than the paper's are drawn over its whole length.
    """
    ours = as_in_paper(groups)
    if not ours:
        return NONE
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    error_axes, loss_axes = figure.subplots(1, 2)
    longest = {}
    for group in ours:
        longest.setdefault(group.run.optimizer, group)
    for optimizer in reversed(experiment.recipes):
        color = COLORS[optimizer]
        if logs is not None:
            steps, errors, losses = authors.curve(experiment, optimizer, logs)
            error_axes.plot(steps, 100 * errors, color=color, **AUTHORS)
            loss_axes.plot(steps, losses, color=color, **AUTHORS)
        if optimizer in longest:
            group = longest[optimizer]
            stretch = experiment.steps / group.run.steps
            label = (
                f"{NAMES[optimizer]}, {group.run.steps:,} steps"
                if stretch != 1
                else NAMES[optimizer]
            )
            for axes, name, factor in (
                (error_axes, "batch_error", 100),
                (loss_axes, "batch_loss", 1),
            ):
                steps, values = map(_thinned, group.mean_curve(name))
                axes.plot(steps * stretch, factor * values, color=color, linewidth=1.3, label=label)
    for axes, name in ((error_axes, "test error, %"), (loss_axes, "test loss")):
        axes.set_yscale("log")
        axes.set_xlabel("step of the paper's schedule")
        axes.set_ylabel(name)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", linewidth=0.3)
    error_axes.legend(fontsize=8)
    beside = "solid: ours, mean over seeds"
    if logs is not None:
        beside += "; dashed: the authors'"
    figure.suptitle(f"{experiment.title} ({beside})", fontsize=10)
    return _save(figure, folder, experiment.name, f"{experiment.title}: test error and loss")


def lemma(path: Path, folder: Path, logs: Path | None) -> str:
    """Figure 7."""
    if not path.is_file():
        return NONE
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    points = lemma_study.load(path)
    theirs = [] if logs is None else authors.lemma(logs)
    for (n, norm), marker in zip(lemma_study.NORMS.items(), "os^D"):
        ours = sorted(point for point in points if point.n == n)
        x, y = [p.product for p in ours], [p.estimate for p in ours]
        label = f"n = {n}, λ = {norm:g}"
        (line,) = axes.plot(x, y, marker=marker, markersize=4, linewidth=0.8, label=label)
        x, y = [p.product for p in theirs if p.n == n], [p.estimate for p in theirs if p.n == n]
        axes.plot(x, y, "x", color=line.get_color(), markersize=6)
    axes.set_xlabel("vᵀu")
    axes.set_ylabel("mean of vᵀMᵀMu")
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=8, title=None if logs is None else "x: the authors'", title_fontsize=8)
    return _save(
        figure, folder, "lemma", "Lemma 4.1: the mean is proportional to the inner product"
    )


def hilbert(path: Path, folder: Path, logs: Path | None) -> str:
    """The loss against steps at the authors' learning rate."""
    if not path.is_file():
        return NONE
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    colors = dict(zip(hilbert_study.NAMES, ("#2471a3", "#239b56", "#c0392b", "#b9770e")))
    for run in hilbert_study.load(path):
        if run.rate == hilbert_study.RATE:
            color = colors[run.optimizer]
            label = hilbert_study.NAMES[run.optimizer]
            axes.plot(run.losses, color=color, linewidth=1, label=label)
            if logs is not None and run.optimizer in authors.HILBERT:
                axes.plot(*authors.hilbert(run.optimizer, logs), "o", color=color, markersize=3)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(which="both", linewidth=0.3)
    axes.legend(fontsize=8, title=None if logs is None else "dots: the authors'", title_fontsize=8)
    return _save(figure, folder, "hilbert", "Least squares with the Hilbert matrix: loss")


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most as many as a figure can show, the last one always."""
    every = -(-len(values) // MOST_POINTS)
    return values[::-1][::every][::-1]


def _save(figure: Figure, folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.svg"
    settings = {"svg.fonttype": "none", "svg.hashsalt": "svgd-onnx", "path.simplify_threshold": 0.2}
    with mpl.rc_context(settings), whole_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
        lines = temporary.read_text().splitlines()
        temporary.write_text("\n".join(line.rstrip() for line in lines) + "\n")
    return f"![{text}]({folder.name}/{path.name})"
