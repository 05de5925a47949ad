"""Training on several ranks, each with its share of every batch, as if one had all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.distributed import Communicator
from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import LossTerm, Manifest
from svgd_onnx.step_names import RESIDUAL, SHARE, beside
from svgd_onnx.targets.kernels import AUTO
from svgd_onnx.targets.standard_onnx.file_names import piece_of
from svgd_onnx.targets.standard_onnx.pieces import Pieces, Traffic
from svgd_onnx.targets.standard_onnx.providers import CPU
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession
from svgd_onnx.targets.target import NO_OPTIONS
from svgd_onnx.transforms.losses import loss_if_known


class DataParallelSession(InferenceTrainingSession):
    """A `Session` of one rank. All of them take the same steps; parameters and states stay alike.

    `train_step` takes this rank's share of a batch and gives the loss of the whole.

    Args:
        communicator: of the ranks.
        compress: "float16" for gradients that travel so; None as they are.
        folder: artifacts with a step in pieces.
        manifest: theirs.
        threads: as of `InferenceTrainingSession`, like all that follow.

    Raises:
        UserError: the artifacts have no such step, or the device is not the processor.
    """

    def __init__(
        self,
        communicator: Communicator,
        compress: str | None,
        folder: Path,
        manifest: Manifest,
        threads: int | None = None,
        device: str | None = None,
        kernels: str = AUTO,
        device_options: Mapping[str, str] = NO_OPTIONS,
        step: int | None = None,
    ) -> None:
        if manifest.data_parallel is None:
            raise UserError(
                f"'{folder}' has no step for several ranks: convert again with {option('data_parallel')}, and "
                "put the checkpoint in its place to go on."
            )
        if device not in (None, CPU.device):
            raise UserError(
                f"Ranks sum in the memory of the processor: give {option('device', CPU.device)} to train on "
                "several."
            )
        self._communicator, self._pieces_count = communicator, manifest.data_parallel.pieces
        self._share_name = beside(SHARE, manifest.own_names)
        self._compress = compress is not None
        super().__init__(
            folder,
            manifest,
            threads,
            CPU.device,
            kernels=kernels,
            device_options=device_options,
            step=step,
        )
        begun = self._residuals.items()
        self._session.begin({name.removeprefix(RESIDUAL): array for name, array in begun})

    @property
    def traffic(self) -> Traffic:
        """What was exchanged so far."""
        traffic: Traffic = self._session.traffic
        return traffic

    def train_step(
        self,
        arrays: Sequence[np.ndarray],
        learning_rate: float,
        *,
        update: bool = True,
        seed: int | None = None,
    ) -> float:
        """See `Session`."""
        loss = super().train_step(arrays, learning_rate, update=update, seed=seed)
        if math.isfinite(loss):
            self._session.keep()
        return loss

    def settle(self) -> None:
        """See `Session`."""
        found = self._session.residuals()
        self._residuals = {f"{RESIDUAL}{name}": array for name, array in found.items()}

    def _to_save(self) -> dict[str, np.ndarray]:
        return {**super()._to_save(), **self._residuals}

    def _given(
        self, arrays: Sequence[np.ndarray], learning_rate: float, update: bool
    ) -> dict[str, np.ndarray]:
        """Also the share of the whole batch that this rank's examples are."""
        share = self._session.share = self._share(arrays)
        given = super()._given(arrays, learning_rate, update)
        return {**given, self._share_name: np.array(share, np.float32)}

    def _open_step(self, model: str, profile: Path | None) -> Any:
        names = [piece_of(model, number) for number in range(1, self._pieces_count + 1)]
        sessions = [self._open(name, fast=self._is_fast(model)) for name in names]
        return Pieces(
            self._onnxruntime,
            sessions,
            self._communicator,
            self._share_name,
            compress=self._compress,
        )

    def _written_over(self) -> list[str]:
        """Nothing: a piece may read what another one writes."""
        return []

    def _share(self, arrays: Sequence[np.ndarray]) -> float:
        """What the loss of this rank's examples counts in that of all."""
        size, terms = self._communicator.size, self._manifest.terms
        if terms[0].settings.reduction == "sum":
            return 1.0
        if len(terms) > 1 or not _counts(terms[0]):
            return 1.0 / size
        loss, label = loss_if_known(terms[0].loss), terms[0].label
        assert loss is not None and label is not None
        place = [each.name for each in self._manifest.arrays].index(label.name)
        own = loss.batch_weight(len(arrays[place]), arrays[place], terms[0].settings)
        total = np.array([own], np.float64)
        self._communicator.all_reduce(total)
        return own / float(total[0]) if total[0] else 1.0 / size


def _counts(term: LossTerm) -> bool:
    """Whether what a mean is over depends on labels."""
    return term.settings.ignore_index is not None or term.settings.class_weights is not None
