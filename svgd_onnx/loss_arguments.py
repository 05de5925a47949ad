"""What the commands' options say of losses: which, of which outputs, and what is chosen about each.

A loss is LOSS, or for several OUTPUT=LOSS or OUTPUT=LOSS:WEIGHT. A choice about them is VALUE, which is for
every loss that has it, or OUTPUT=VALUE, which comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from svgd_onnx.conversion_arguments import parse_weights
from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.loss_settings import LossSettings, OutputLoss
from svgd_onnx.transforms.losses import LOSSES, is_file, loss_if_known


def take_losses(options: dict[str, Any]) -> dict[str, Any]:
    """The keywords `loss` and `loss_settings` of the options that are about losses, which are taken out.

    Raises:
        UserError: one is not written as it should be.
    """
    losses = _losses(options.pop("loss"))
    given = {name: options.pop(name) for name in _VALUES}
    from_logits = options.pop("from_logits")
    chosen = {
        output: _chosen(output, loss, losses, given, from_logits) for output, loss in losses.items()
    }
    if None in losses:
        return {"loss": losses[None].loss, "loss_settings": chosen[None]}
    _refuse_what_none_has(losses, given, from_logits)
    return {
        "loss": {output: replace(loss, settings=chosen[output]) for output, loss in losses.items()}
    }


def _losses(items: Sequence[str]) -> dict[str | None, OutputLoss]:
    """Losses by output; the only one that names none stands for None."""
    found: dict[str | None, OutputLoss] = {}
    for item in items:
        output, _, loss = ("", "", item) if _is_there(item) else item.rpartition("=")
        if not output and len(items) > 1:
            raise UserError(
                f"{option('loss')} has '{item}', which names no output, beside others: write each as "
                "OUTPUT=LOSS or OUTPUT=LOSS:WEIGHT."
            )
        if output in found:
            raise UserError(f"{option('loss')} names the output '{output}' twice: it has one loss.")
        found[output or None] = _weighted(loss) if output else OutputLoss(loss)
    return found


def _is_there(name: str) -> bool:
    """Whether there is a file of a name; a long list of weights is none."""
    try:
        return Path(name).is_file()
    except OSError:
        return False


def _weighted(text: str) -> OutputLoss:
    """LOSS or LOSS:WEIGHT."""
    loss, colon, weight = text.rpartition(":")
    if not colon or not (loss in LOSSES or is_file(loss)):
        return OutputLoss(text)
    return OutputLoss(loss, _number("loss", weight))


def _chosen(
    output: str | None,
    loss: OutputLoss,
    losses: Mapping[str | None, OutputLoss],
    given: Mapping[str, Sequence[str]],
    from_logits: bool,
) -> LossSettings:
    """What is chosen about one loss."""
    known = loss_if_known(str(loss.loss))
    has = frozenset() if known is None or output is None else known.settings
    chosen: dict[str, Any] = {}
    for name, items in given.items():
        parts = [_split(name, item, losses) for item in items]
        for of, value in sorted(parts, key=lambda part: part[0] is not None):
            if of == output or (of is None and name in has):
                chosen[name] = _VALUES[name](name, value)
    if output is None or "from_logits" in has:
        chosen["from_logits"] = from_logits
    return LossSettings(**chosen)


def _split(name: str, item: str, losses: Mapping[str | None, OutputLoss]) -> tuple[str | None, str]:
    """The output that a value is for, or None, and the value."""
    output, equals, value = item.rpartition("=")
    if not equals or _is_there(item):
        return None, item
    if output not in losses:
        named = listed(f"'{each}'" for each in losses if each is not None) or "no output"
        raise UserError(
            f"{option(name)} has '{item}', but {option('loss')} names {named}: say it of one of those, or "
            "without a name."
        )
    return output, value


def _refuse_what_none_has(
    losses: Mapping[str | None, OutputLoss], given: Mapping[str, Sequence[str]], from_logits: bool
) -> None:
    """Refuses a value without a name that is of none of the losses."""
    known = [loss_if_known(str(each.loss)) for each in losses.values()]
    had = {name for loss in known if loss is not None for name in loss.settings}
    plain = {name for name, items in given.items() for item in items if "=" not in item}
    idle = sorted((plain | ({"from_logits"} if from_logits else set())) - had)
    if idle:
        raise UserError(f"None of the losses has {option(idle[0])}: leave it out.")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{option(name)} has '{text}', which is no number.") from None


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise UserError(f"{option(name)} has '{text}', which is no whole number.")
    return int(text)


def _text(_: str, text: str) -> str:
    return text


def _weights(_: str, text: str) -> tuple[float, ...]:
    return parse_weights(text)


# How each choice about a loss is read, but for the one that is a flag.
_VALUES: dict[str, Callable[[str, str], Any]] = {
    "reduction": _text,
    "class_axis": _whole,
    "ignore_index": _whole,
    "class_weights": _weights,
    "label_smoothing": _number,
    "focal_gamma": _number,
    "margin": _number,
}
