"""The tables of docs/paper.md, from the results of runs; Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx import UserError
from tools.paper import authors
from tools.paper import hilbert as hilbert_study
from tools.paper import lemma as lemma_study
from tools.paper.experiment import Experiment
from tools.paper.result import Result
from tools.paper.runner import Run
from tools.paper.statistics import Sample

NAMES = {
    "svgd": "SVGD",
    "sgd": "SGD",
    "momentum": "momentum SGD",
    "rmsprop": "RMSProp",
    "adamw": "Adam",
}
NONE = "No runs yet."


class Group:
    """Finished runs that differ in their seeds alone.

    Attributes:
        runs: what was run, by seed.
        results: what came out, by seed.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.runs: dict[int, Run] = {}
        self.results: dict[int, Result] = {}

    @property
    def run(self) -> Run:
        """Any of them."""
        return next(iter(self.runs.values()))

    @property
    def variant(self) -> dict[str, Any]:
        """What differs from the paper, the length and the target apart."""
        return {
            name: value
            for name, value in self.run.variant.items()
            if name not in ("steps", "target")
        }

    def errors(self, kind: str = "batch_error") -> dict[int, float]:
        """Test error of each seed: the mean over its last tests."""
        last = self.experiment.averaged_tests
        return {
            seed: float(np.mean([getattr(test, kind) for test in result.tests[-last:]]))
            for seed, result in self.results.items()
        }

    def mean_curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps that all runs were tested after, and the mean over seeds of a test's column."""
        columns = [
            {test.step: getattr(test, name) for test in result.tests}
            for result in self.results.values()
        ]
        steps = sorted(set.intersection(*map(set, columns)))
        return np.array(steps), np.array([np.mean([c[step] for c in columns]) for step in steps])


def load(experiment: Experiment, folder: Path) -> list[Group]:
    """The finished runs in a folder, in the order of the optimizers, the longest first.

    Raises:
        UserError: a file in it is no result.
    """
    groups: dict[tuple[object, ...], Group] = {}
    for path in sorted(folder.glob("*.csv")):
        result = Result.load(path)
        if not result.finished:
            continue
        settings = dict(result.settings)
        options = {name: settings[name] for name in Run.__dataclass_fields__ if name in settings}
        for name in ("experiment", "optimizer", "seed"):
            options.pop(name, None)
        try:
            run = Run.of(experiment, settings["optimizer"], settings["seed"], **options)
        except KeyError as error:
            raise UserError(
                f"'{path}' lacks {error}, or names an unknown one: delete it."
            ) from None
        key = (run.optimizer, *sorted(run.variant.items()))
        group = groups.setdefault(key, Group(experiment))
        group.runs[run.seed], group.results[run.seed] = run, result
    order = list(experiment.recipes)
    return sorted(groups.values(), key=lambda g: (-g.run.steps, order.index(g.run.optimizer)))


def optimizers(experiment: Experiment, groups: Sequence[Group], logs: Path | None) -> str:
    """Tables 1 to 3: each optimizer with the paper's recipe; with the authors' logs, their errors."""
    rows = []
    for group in as_in_paper(groups):
        run = group.run
        recipe = experiment.recipes[run.optimizer]
        batch, running = (
            Sample.of(list(group.errors(kind).values()))
            for kind in ("batch_error", "running_error")
        )
        theirs = []
        if logs is not None:
            theirs = [f"{100 * authors.final_error(experiment, run.optimizer, logs):.2f}"]
        rows.append(
            [
                _name(group),
                ", ".join(f"{rate:g}" for rate in recipe.rates),
                f"{run.steps:,}",
                str(len(batch.values)),
                "-" if recipe.paper_error is None else f"{100 * recipe.paper_error:.2f}",
                *theirs,
                *_sample(batch),
                *_sample(running),
            ]
        )
    head = ["optimizer", "learning rates", "steps", "seeds", "paper"]
    head += [] if logs is None else ["authors' log"]
    head += ["batch: mean", "sd", "95 % of mean", "running: mean", "sd", "95 % of mean"]
    return _table(head, rows)


def pairs(experiment: Experiment, groups: Sequence[Group]) -> str:
    """SVGD against each other optimizer, seed by seed."""
    rows = []
    main = as_in_paper(groups)
    for svgd in (group for group in main if group.run.optimizer == "svgd"):
        for other in main:
            alike = (other.run.steps, other.run.target) == (svgd.run.steps, svgd.run.target)
            if other.run.optimizer == "svgd" or not alike:
                continue
            rows.append(
                [f"SVGD - {_name(other)}", f"{svgd.run.steps:,}", *_difference(svgd, other)]
            )
    return _table(
        ["test error", "steps", "seeds", "batch: mean", "95 % of mean", "SVGD lower"], rows
    )


def beginnings(experiment: Experiment, groups: Sequence[Group], logs: Path | None) -> str:
    """Test errors until the learning rate first changes, with the authors' logs at the same steps.

    Until then a run of any length does what the whole schedule does.
    """
    curves = {}
    for group in as_in_paper(groups):
        steps, errors = group.mean_curve("batch_error")
        before = steps <= experiment.changes(group.run.optimizer, group.run.steps)[0]
        curves[group] = dict(zip(steps[before], errors[before]))
    common = sorted(set.intersection(*map(set, curves.values()))) if curves else []
    rows = []
    for group, ours in curves.items():
        columns = [ours]
        if logs is not None:
            steps, errors, _ = authors.curve(experiment, group.run.optimizer, logs)
            columns.append(dict(zip(steps, errors)))
        cells = [column.get(step) for step in common for column in columns]
        rows.append([_name(group), *("-" if x is None else f"{100 * x:.2f}" for x in cells)])
    kinds = ["ours"] if logs is None else ["ours", "authors' log"]
    head = [f"step {step:,}: {kind}" for step in common for kind in kinds]
    return _table(["optimizer", *head], rows if common else [])


def study(experiment: Experiment, groups: Sequence[Group]) -> str:
    """SVGD's variants beside the paper's SVGD, of runs of one length."""
    rows = []
    studied = {(group.run.steps, group.run.target) for group in groups if group.variant}
    for steps, target in sorted(studied, reverse=True):
        svgd = [
            group
            for group in groups
            if (group.run.optimizer, group.run.steps, group.run.target) == ("svgd", steps, target)
        ]
        usual = next((group for group in svgd if not group.variant), None)
        for group in sorted(svgd, key=_variant_order):
            results = group.results.values()
            against = ["-", "-"]
            if usual and group is not usual:
                _, *against, _ = _difference(group, usual)
            rows.append(
                [
                    _variant_name(group),
                    f"{steps:,}",
                    str(len(results)),
                    *_sample(Sample.of(list(group.errors().values())))[:2],
                    f"{100 * np.mean(list(group.errors('running_error').values())):.2f}",
                    *against,
                    f"{np.mean([result.r_below_epsilon for result in results]):.1%}",
                    f"{np.mean([result.median_factor for result in results]):.3g}",
                ]
            )
    head = ["variant", "steps", "seeds", "batch: mean", "sd", "running: mean"]
    return _table(
        [*head, "against the paper's", "95 % of it", "r below ε", "median of s/√(r + ε)"], rows
    )


def nearness(experiment: Experiment, groups: Sequence[Group]) -> str:
    """How near T is to the identity at the end of the paper's SVGD, operation by operation."""
    svgd = next((g for g in as_in_paper(groups) if g.run.optimizer == "svgd"), Group(experiment))
    results = [result for result in svgd.results.values() if result.operations]
    rows = []
    for name in results[0].operations if results else ():
        below, factors = zip(*(result.operations[name] for result in results))
        rows.append(
            [
                name.removesuffix(".weight"),
                str(len(results)),
                f"{np.mean(below):.1%}",
                f"{np.mean(factors):.3g}",
            ]
        )
    return _table(["weights of", "seeds", "r below ε", "median of s/√(r + ε)"], rows)


def lemma(path: Path) -> str:
    """Correlation of v'u and the estimate for each n."""
    if not path.is_file():
        return NONE
    points = lemma_study.load(path)
    rows = []
    for n, norm in lemma_study.NORMS.items():
        ours = [point for point in points if point.n == n]
        slope = np.polyfit([p.product for p in ours], [p.estimate for p in ours], 1)[0]
        correlation = lemma_study.correlation(points, n)
        rows.append([str(n), f"{norm:g}", str(len(ours)), f"{correlation:.6f}", f"{slope:.3f}"])
    return _table(["n", "spectral norm", "pairs", "correlation", "slope"], rows)


def hilbert(path: Path) -> str:
    """Loss at the end, and the steps that descend, for each rate."""
    if not path.is_file():
        return NONE
    rates: dict[float, dict[str, hilbert_study.Losses]] = {}
    for run in hilbert_study.load(path):
        rates.setdefault(run.rate, {})[run.optimizer] = run
    rows = [
        [
            f"{rate:g}",
            *(f"{runs[optimizer].losses[-1]:.6f}" for optimizer in hilbert_study.NAMES),
            *(f"{runs[optimizer].descending:.0%}" for optimizer in hilbert_study.NAMES),
        ]
        for rate, runs in rates.items()
    ]
    names = hilbert_study.NAMES.values()
    return _table(
        ["learning rate", *names, *(f"{name}: steps that descend" for name in names)], rows
    )


def as_in_paper(groups: Sequence[Group]) -> list[Group]:
    """Those that differ from the paper in their length at most, of the lengths worth a comparison.

    These are the longest, and those at which several optimizers ran: not what a study alone needs.
    """
    usual = [group for group in groups if not group.variant]
    optimizers_of: dict[int, set[str]] = {}
    for group in usual:
        optimizers_of.setdefault(group.run.steps, set()).add(group.run.optimizer)
    longest = max(optimizers_of, default=0)
    return [
        group
        for group in usual
        if group.run.steps == longest or len(optimizers_of[group.run.steps]) > 1
    ]


def _name(group: Group) -> str:
    run = group.run
    name = NAMES[run.optimizer]
    if run.optimizer == "svgd":
        name += f" (s = {run.scale:g})"
    return _with_target(name, group)


def _variant_name(group: Group) -> str:
    names = {
        "l1": "λ",
        "scale": "s",
        "epsilon": "ε",
        "t_scope": "T on",
        "gradient": "r of each",
    }
    usual = f"the paper's: s = {group.run.scale:g}, ε = {group.run.epsilon:g}"
    differences = ", ".join(
        f"{names[name]} = {value:g}"
        if isinstance(value, float)
        else f"{names.get(name, 'r by')} {value}"
        for name, value in group.variant.items()
    )
    return _with_target(differences or usual, group)


def _with_target(name: str, group: Group) -> str:
    target = group.run.target
    return name if target == "ort-training" else f"{name}, target {target}"


def _variant_order(group: Group) -> tuple[object, ...]:
    return tuple((name, str(type(value)), value) for name, value in group.variant.items())


def _sample(sample: Sample) -> list[str]:
    return [
        f"{100 * sample.mean:.2f}",
        "-" if sample.deviation is None else f"{100 * sample.deviation:.2f}",
        "-" if sample.half_width is None else f"±{100 * sample.half_width:.2f}",
    ]


def _difference(one: Group, other: Group) -> list[str]:
    ours, theirs = one.errors(), other.errors()
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return ["0", "-", "-", "-"]
    sample = Sample.of([ours[seed] - theirs[seed] for seed in seeds])
    _, _, half_width = _sample(sample)
    lower = int(np.sum(sample.values < 0))
    return [str(len(seeds)), f"{100 * sample.mean:+.2f}", half_width, f"{lower} of {len(seeds)}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return NONE
    align = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, align, *rows))
