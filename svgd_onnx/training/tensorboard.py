"""What TensorBoard shows of a training: loss, metrics, rates, and T's factors by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from svgd_onnx.manifest import Manifest
from svgd_onnx.printable import printable
from svgd_onnx.training.callbacks import Callback, Record
from svgd_onnx.training.event_files import Charts, EventFile
from svgd_onnx.training.factors import Factors, factors_of
from svgd_onnx.training.metrics import LOSS

_LAYERS_EVERY = 50
"""What is of each operation is looked at no more often: its tensors may be large."""


class TensorBoard(Callback):
    """Writes events of each logged step, and what is of each operation now and then; in a `with` block.

    The latter is of steps whose number is a multiple of `every`, and of 50 or the next above that; of those
    with a validation; and of those with a checkpoint, as the last has.

    Args:
        folder: for the event files.
        training: the folder of artifacts.
        manifest: theirs.
        tensor: gives a tensor of the checkpoint as it is.
        step: the step that training starts after.
        every: which steps are logged: those whose number is a multiple.

    Raises:
        UserError: as `EventFile`.
    """

    def __init__(
        self,
        folder: Path,
        training: Path,
        manifest: Manifest,
        tensor: Callable[[str], np.ndarray],
        step: int,
        every: int,
    ) -> None:
        self._file = EventFile(folder, training, step)
        self._manifest, self._tensor = manifest, tensor
        self._every = every
        self._layers_every = -(-_LAYERS_EVERY // every) * every
        self._layers_step = step

    def __enter__(self) -> TensorBoard:
        self._file.__enter__()
        self._file.arrange(self._charts())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def on_step(self, record: Record) -> None:
        """See `Callback`."""
        if record.metrics or record.step % self._every == 0:
            self._file.write(record.step, self._of_step(record))
        if record.metrics or record.step % self._layers_every == 0:
            self._write_layers(record.step)

    def on_checkpoint(self, record: Record) -> None:
        """See `Callback`."""
        self._write_layers(record.step)
        self._file.flush()

    def _of_step(self, record: Record) -> dict[str, float]:
        rates = {f"learning_rate/{each}": f for each, f in self._manifest.rates.items()}
        return {
            f"{LOSS}/training": record.loss,
            "learning_rate": record.rate,
            **{printable(tag): factor * record.rate for tag, factor in rates.items()},
            **{f"{name}/validation": value for name, value in record.metrics.items()},
        }

    def _write_layers(self, step: int) -> None:
        if step > self._layers_step:
            self._layers_step = step
            values = self._of_factors()
            if values:
                self._file.write(step, values)

    def _of_factors(self) -> Mapping[str, float]:
        values = {}
        for each in self._factors():
            name = printable(each.name)
            values[f"r_below_epsilon/{name}"] = each.below_epsilon
            for tag, value in zip(_tags(name), (each.mean, each.lowest, each.highest)):
                values[tag] = value
        return values

    def _factors(self) -> list[Factors]:
        return factors_of(self._manifest, self._tensor)

    def _charts(self) -> Charts:
        """Charts of several curves each, for the page "Custom scalars"; with a tag for each curve."""
        names = [printable(each.name) for each in self._factors()]
        charts: Charts = {"Loss": {"Training and validation": ("Multiline", [f"^{LOSS}/"])}}
        if names:
            charts["T's factor: mean, lowest and highest"] = {
                name: ("Margin", _tags(name)) for name in names
            }
        return charts


def _tags(name: str) -> list[str]:
    """Of an operation's mean, lowest and highest factor."""
    return [f"t_factor_{each}/{name}" for each in ("mean", "lowest", "highest")]
