"""Several runs in one picture, by matplotlib; no display is needed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.curves.logs import (
    STEP,
    VALIDATION,
    Log,
    columns_of,
    names_of,
    read_log,
    smoothed,
)
from svgd_onnx.errors import Advice, UserError, check_choice, check_several, listed, option
from svgd_onnx.files import PathLike, check_destination, whole_file

FORMATS = (".png", ".svg", ".pdf")
_METRIC = "loss"
_KINDS = ("training", "validation")
# Told apart by colour-blind eyes too (Okabe and Ito, without black and yellow).
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_LONGEST, _LINE = 40, 100  # characters of a name, and of a line of the legend
# More panels are no picture that anyone looks at as one, and take minutes; nobody tells more colours apart.
_MOST_PANELS, _MOST_NAMED = 24, 48
_LINE_HEIGHT = 0.2  # inches
# The same bytes of the same numbers.
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def plot(
    runs: Sequence[PathLike],
    output: PathLike | None = None,
    *,
    metrics: Sequence[str] = (_METRIC,),
    smooth: int = 1,
    log_scale: bool = False,
) -> Path:
    """Draws logs of trainings: a panel for each metric, a colour for each run.

    A metric of training is a line, that of the validation a dashed one with a dot for each.

    Args:
        runs: CSV files that `train` wrote as its log.
        output: the picture, .png, .svg or .pdf; None for a .png of the first log's name beside it.
        metrics: "loss", "learning_rate", or metrics of the validation ("accuracy"); the first 24 are drawn.
        smooth: the loss of training is a mean over so many rows of the log, and what it was lies pale behind.
        log_scale: whether the axis of values is logarithmic.

    Returns:
        The picture's path.

    Raises:
        UserError: a file is no log, none has a metric, the picture would replace a log or cannot be written, or
            matplotlib is not installed.

    Example:
        >>> _ = trainer.train(examples, steps=8, batch_size=8, learning_rate=0.1, log="svgd.csv", log_every=1)
        >>> svgd_onnx.plot(["svgd.csv"], "runs.png", metrics=["loss"], smooth=2).name
        'runs.png'
    """
    check_several("metrics", metrics)
    check_several("runs", runs)
    paths = [Path(each) for each in runs]
    if not paths or not metrics:
        raise UserError("There is nothing to draw: give the log of a run, and a metric.")
    if smooth < 1:
        raise UserError(f"{option('smooth')} is {smooth}, but must be 1 or more.")
    path = paths[0].with_suffix(".png") if output is None else Path(output)
    check_choice("output", path.suffix, FORMATS)
    check_destination(path, paths)
    logs = [read_log(each) for each in paths]
    panels = {metric: columns_of(metric, logs) for metric in _that_are_drawn(metrics)}
    _warn_of_what_is_missing(logs, panels, log_scale)
    mpl = _matplotlib()
    with mpl.style.context("default"), warnings.catch_warnings():
        mpl.rcParams["svg.hashsalt"] = "svgd-onnx"
        warnings.filterwarnings("ignore", message="Glyph")  # what no font has is a box
        figure = _figure(mpl, logs, panels, smooth, log_scale)
        with whole_file(path) as temporary:
            form = path.suffix.removeprefix(".")
            figure.savefig(temporary, format=form, dpi=150, metadata=_METADATA[path.suffix])
    return path


def _figure(
    mpl: Any, logs: Sequence[Log], panels: dict[str, list[str]], smooth: int, log_scale: bool
) -> Any:
    """The picture: panels one below another, over the same steps, and the legend beside."""
    names = _names(logs, {column for each in panels.values() for column in each})
    beside = max(1, min(len(names), _LINE // (max(map(len, names)) + 6)))
    height = 1 + 3.4 * len(panels) + _LINE_HEIGHT * (-(-len(names) // beside) - 1)
    figure = mpl.figure.Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    colors = _colors(mpl, len(logs))
    for each, (metric, columns) in zip(axes, panels.items()):
        for log, color in zip(logs, colors):
            for column in columns:
                _draw(each, log, column, color, smooth)
        each.ticklabel_format(axis="y", useOffset=False)
        if log_scale:
            _logarithmic(mpl, each)
        each.grid(color="#dddddd", linewidth=0.6)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
        label = metric.removeprefix(VALIDATION).replace("_", " ")
        only = all(column.startswith(VALIDATION) for column in columns)
        each.set_ylabel(f"validation {label}" if only else label, parse_math=False)
    axes[-1].set_xlabel(STEP)
    _legend(mpl, figure, colors, names, beside)
    return figure


def _draw(axes: Any, log: Log, column: str, color: str, smooth: int) -> None:
    """The curve of one run; that of the validation over others."""
    steps, values = log.curve(column)
    if column.startswith(VALIDATION):
        few = max(1, len(steps) // 20)
        dashed = {"linestyle": "--", "marker": "o", "markersize": 3, "markevery": few}
        axes.plot(steps, values, color=color, linewidth=1.3, zorder=4, **dashed)
        return
    # a run of one row is a dot
    line: dict[str, Any] = {
        "color": color,
        "marker": "o" if len(steps) == 1 else "",
        "markersize": 3,
    }
    alpha = 1.0
    if column == _METRIC and smooth > 1:
        axes.plot(steps, values, linewidth=0.7, alpha=0.2, zorder=2, **line)
        values = smoothed(values, smooth)
    elif column == _METRIC and log.has(f"{VALIDATION}{column}"):
        alpha = 0.5  # it is rough, and hides the other
    axes.plot(steps, values, linewidth=1.2, alpha=alpha, zorder=3, **line)


def _logarithmic(mpl: Any, axes: Any) -> None:
    """A logarithmic axis of values, with numbers at it also where they are of one decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    places = mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,))
    axes.yaxis.set_major_locator(places if high > 10 * low else mpl.ticker.MaxNLocator(6))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def _names(logs: Sequence[Log], columns: set[str]) -> list[str]:
    """What the legend has: the runs, of many the first, and, where both are drawn, training and validation."""
    names = [_short(name) for name in names_of(logs)]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED:] = [f"and {len(names) - _MOST_NAMED:,} more"]
    kinds = {column.startswith(VALIDATION) for column in columns}
    return [*names, *(_KINDS if len(kinds) == 2 else [])]


def _legend(
    mpl: Any, figure: Any, colors: Sequence[str], names: Sequence[str], beside: int
) -> None:
    """The runs by colour, and what is of training and what of validation; so many names to a line."""
    line = mpl.lines.Line2D
    handles = [line([], [], color=color, linewidth=2) for color in colors[:_MOST_NAMED]]
    if len(colors) > _MOST_NAMED:
        handles.append(line([], [], linestyle=""))
    grey = {"color": "#666666", "linewidth": 1.3}
    if len(names) > len(handles):
        handles += [
            line([], [], **grey),
            line([], [], **grey, linestyle="--", marker="o", markersize=3),
        ]
    # names are put in afterwards: as labels, those that begin with _ would be left out
    numbers = [str(number) for number in range(len(names))]
    legend = figure.legend(handles, numbers, loc="outside upper left", frameon=False, ncols=beside)
    for text, name in zip(legend.get_texts(), names):
        text.set_parse_math(False)
        text.set_text(name)


def _colors(mpl: Any, count: int) -> list[str]:
    if count <= len(_COLORS):
        return list(_COLORS[:count])
    places = np.linspace(0.05, 0.95, count)
    return [mpl.colors.to_hex(mpl.colormaps["turbo"](place)) for place in places]


def _short(name: str) -> str:
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[-half:]}"


def _that_are_drawn(metrics: Sequence[str]) -> list[str]:
    """Each metric once; of many the first.

    Warns:
        which are left out.
    """
    each = list(dict.fromkeys(metrics))
    if len(each) > _MOST_PANELS:
        left = each[_MOST_PANELS:]
        warnings.warn(
            Advice(
                f"A picture has {_MOST_PANELS} panels at most, and these have none: {listed(left)}: give them "
                f"by {option('metric')} for another picture."
            ),
            stacklevel=3,
        )
    return each[:_MOST_PANELS]


def _warn_of_what_is_missing(
    logs: Sequence[Log], panels: dict[str, list[str]], log_scale: bool
) -> None:
    for column in [column for columns in panels.values() for column in columns]:
        without = [name for name, log in zip(names_of(logs), logs) if not log.has(column)]
        if without:
            warnings.warn(Advice(f"There is no {column} of {listed(without)}."), stacklevel=3)
        low = sum(int((log.curve(column)[1] <= 0).sum()) for log in logs)
        if log_scale and low:
            warnings.warn(
                Advice(f"{low} values of {column} are 0 or below, and not on a logarithmic scale."),
                stacklevel=3,
            )


def _matplotlib() -> Any:
    try:
        # it logs where it may not keep a cache, which pictures do without
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        import matplotlib as mpl
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.style
        import matplotlib.ticker
    except ModuleNotFoundError as error:
        raise UserError(
            "Pictures need matplotlib, which is not installed: pip install 'svgd-onnx[plot]'."
        ) from error
    return mpl
