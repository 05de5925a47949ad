"""What a client and a server exchange: tensors of a trainer as arrays, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from svgd_onnx.argument_types import by_name
from svgd_onnx.errors import UserError, listed
from svgd_onnx.manifest import Manifest
from svgd_onnx.records import ANCHOR
from svgd_onnx.training.trainer import Trainer

_SAYS_STATISTICS = 3  # the first format of svgd.json that surely does


@dataclass(frozen=True)
class Exchange:
    """Which tensors leave a device, beside the parameters that are trained; what is frozen never does.

    Attributes:
        statistics: whether running statistics of BatchNormalization do. Kept, each client evaluates with its
            own (as of FedBN, Li et al. 2021), and the server has none that fit its parameters.
        r: whether T's r does. Kept, it is that of the client's own data. The optimizer's states never leave.
    """

    statistics: bool = True
    r: bool = False

    def names(self, manifest: Manifest) -> list[str]:
        """The tensors' names: parameters and statistics in the manifest's order, and r after them.

        Raises:
            UserError: the artifacts have moving averages, which nobody could bring up to date, or are so old
                that they do not say what is a running statistic.
        """
        if manifest.format < _SAYS_STATISTICS:
            raise UserError(
                "The artifacts are of an older version, which does not say what is a running statistic: "
                "convert the model again."
            )
        if manifest.averages:
            raise UserError(
                "The artifacts keep moving averages of parameters, which follow one training and not what a "
                "server sends: convert without ema."
            )
        names = [
            each.name
            for each in manifest.parameters
            if each.trainable or (each.statistic and self.statistics)
        ]
        return [*names, *(manifest.r if self.r else [])]


def parameters_of(trainer: Trainer, exchange: Exchange | None = None) -> dict[str, np.ndarray]:
    """What is sent: float32 arrays by name, in the order of `Exchange.names`; copies.

    Raises:
        UserError: as `Exchange.names`.
    """
    names = (exchange or Exchange()).names(trainer.manifest)
    return {name: trainer.tensor(name) for name in names}


def set_parameters(
    trainer: Trainer,
    arrays: Mapping[str, np.ndarray],
    exchange: Exchange | None = None,
    *,
    steps: int = 0,
) -> None:
    """Takes what was sent. What a proximal term draws to is from then on what was.

    Args:
        trainer: of the same model.
        arrays: by name, as `parameters_of` gives them.
        exchange: what the other side sends; the same on both.
        steps: how many steps that counts as, of a server that saves; see `Trainer.set_tensors`.

    Raises:
        UserError: tensors are missing or strange, of another shape or not finite, or there cannot be so many
            steps; nothing has changed then.
    """
    manifest = trainer.manifest
    arrays = by_name("arrays", arrays)
    wanted, given = set((exchange or Exchange()).names(manifest)), set(arrays)
    if wanted != given:
        missing, strange = (
            listed(sorted(each)) or "none" for each in (wanted - given, given - wanted)
        )
        raise UserError(
            f"The other side sends other tensors than these artifacts have (missing: {missing}; strange: "
            f"{strange}): convert one model for all, and have all send the same."
        )
    anchors = {
        each.name: arrays[str(each.parameter)] for each in manifest.states if each.state == ANCHOR
    }
    trainer.set_tensors({**arrays, **anchors}, steps=steps)
