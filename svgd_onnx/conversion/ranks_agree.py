"""Hold the step in pieces, for several ranks, against the step: refuse it where it is another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.compute import FLOAT32
from svgd_onnx.conversion.fast_form import keep_if_none
from svgd_onnx.conversion.sums import change, norm
from svgd_onnx.distributed.mirrored import Mirrored
from svgd_onnx.errors import UserError, first_line, option, without
from svgd_onnx.manifest import Manifest
from svgd_onnx.records import OF_THE_PARAMETER
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST, STANDARD
from svgd_onnx.targets.session import Session

# Of what a step changes a tensor by, and of what it changes all of its kind by: one that is but rounding.
_TOLERANCE, _NOTHING = 2e-2, 1e-4
_TOLERANCE_OF_LOSS = {FLOAT32: 1e-4}
_TOLERANCE_OF_HALF = 1e-2
# So that parameters less so many gradients keep the digits of gradients.
_STEEP = 1024.0
# Optimizers make whole steps of gradients that are but rounding: all parameters together, and coarsely.
_COARSE = 0.7
_RANKS = 2

_OF_ALL = _PARAMETER, _STATISTIC, _R = "parameter", "statistic", "r"

Tensors = dict[str, np.ndarray]


def check_ranks_agree(folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]) -> None:
    """Refuses artifacts whose step in pieces is not the step; leaves a fast form out where that of its is not.

    Two ranks have the same batch, and one process has it twice: so each weight that a rank has in a sum
    is proved. Where the model fixes the size of a batch, or draws random numbers, one rank has it, as the
    process has.

    Args:
        folder: artifacts, whose steps are right.
        manifest: theirs.
        batch: made-up data.

    Raises:
        UserError: the pieces do not run, or make another step.

    Warns:
        where the fast form is left out.
    """
    if manifest.data_parallel is None:
        return
    is_open = manifest.batch_size is None and not manifest.random
    size = _RANKS if is_open else 1
    arrays = [batch[each.name] for each in manifest.arrays]
    whole = [
        array if each.batch_axis is None else np.concatenate([array] * size, each.batch_axis)
        for each, array in zip(manifest.arrays, arrays)
    ]
    target = TARGETS[manifest.target]
    assert target.open_parallel is not None
    opened = target.open_parallel(Mirrored(size), None)
    session = target.open(folder, manifest, None, "cpu", STANDARD)
    before = _tensors(session, manifest)
    expected = _step(session, manifest, whole)
    del session  # before there is another

    def difference(kernels: str) -> str | None:
        session = opened(folder, manifest, None, "cpu", kernels)
        return _different(manifest, before, expected, _step(session, manifest, arrays))

    try:
        reason = difference(STANDARD)
    except UserError as error:
        reason = f"it does not run: {first_line(error)}"
    if reason is not None:
        raise UserError(
            "Nothing was written: the step for several ranks is another than that of one with the whole batch "
            f"({reason}). Where the loss is no mean over examples, or examples act on each other, there is "
            f"none: leave out {option('data_parallel')}; or do without this with {without('verify')}."
        )
    keep_if_none(folder, manifest, lambda: difference(FAST))


def _step(
    session: Session, manifest: Manifest, arrays: Sequence[np.ndarray]
) -> tuple[float, Tensors]:
    """The loss of a step, and tensors after it; where gradients are added up over batches, of one of these."""
    update = manifest.accumulation_steps == 1
    loss = session.train_step(arrays, _STEEP, update=update, seed=0)
    return loss, _tensors(session, manifest)


def _tensors(session: Session, manifest: Manifest) -> Tensors:
    names = [name for kind in _kinds(manifest).values() for name in kind]
    return {name: np.array(session.tensor(name)) for name in names}


def _kinds(manifest: Manifest) -> dict[str, list[str]]:
    """Names of what a step changes, by what it is."""
    kinds = {
        _PARAMETER: [each.name for each in manifest.parameters if each.trainable],
        _STATISTIC: manifest.running_statistics,
        _R: manifest.r,
    }
    for each in manifest.states:
        if each.parameter is not None and each.state not in OF_THE_PARAMETER:
            kinds.setdefault(each.state, []).append(each.name)
    return kinds


def _different(
    manifest: Manifest,
    before: Tensors,
    expected: tuple[float, Tensors],
    found: tuple[float, Tensors],
) -> str | None:
    """What differs by more than rounding, in words."""
    (loss, after), (other, others) = expected, found
    tolerance = _TOLERANCE_OF_LOSS.get(manifest.compute, _TOLERANCE_OF_HALF)
    if not abs(other - loss) <= tolerance * max(1.0, abs(loss)):
        return f"its loss is {other}, and not {loss}"
    kinds = _kinds(manifest)
    changes = {name: norm(change(array, before[name])) for name, array in after.items()}
    apart = {name: norm(change(others[name], array)) for name, array in after.items()}
    if kinds.keys() - set(_OF_ALL):  # the optimizer keeps what it makes of gradients
        names = kinds.pop(_PARAMETER)
        if not _total(apart, names) <= _COARSE * _total(changes, names):
            return "parameters change otherwise"
    for names in kinds.values():
        nothing = _NOTHING * _total(changes, names)
        for name in names:
            if not apart[name] <= _TOLERANCE * changes[name] + nothing:
                return f"'{name}' comes out differently"
    return None


def _total(norms: Mapping[str, float], names: Sequence[str]) -> float:
    return math.hypot(*(norms[name] for name in names))
