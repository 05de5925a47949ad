"""What TensorBoard shows of a training: loss, metrics, rates, T's factors by operation, norms of gradients."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from svgd_onnx.printable import printable
from svgd_onnx.training.callbacks import Callback, Record
from svgd_onnx.training.event_files import Charts, EventFile
from svgd_onnx.training.metrics import LOSS
from svgd_onnx.training.opened_folder import OpenedFolder

_LAYERS_EVERY = 50
"""What is of each operation is looked at no more often: its tensors may be large."""

_LOSS = f"{LOSS}/training"
_NORMS = ("norm_of_gradient", "norm_of_virtual_gradient")


class TensorBoard(Callback):
    """Writes events of each logged step, and what is of each operation now and then; in a `with` block.

    The latter is of steps whose number is a multiple of `every`, and of 50 or the next above that; of those
    with a validation; and of those with a checkpoint, as the last has.

    Args:
        folder: for the event files.
        trainer: whose training it is, before it goes on.
        every: which steps are logged: those whose number is a multiple.

    Raises:
        UserError: as `EventFile`.
    """

    def __init__(self, folder: Path, trainer: OpenedFolder, every: int) -> None:
        training = trainer.checkpoint_file.parent
        self._file = EventFile(folder, training, trainer.beginning, _LOSS)
        self._trainer = trainer
        manifest = trainer.manifest
        self._has_norms = bool(manifest.gradient_norms)
        has_t = any(each.state is not None for each in manifest.operations)
        self._norms = _NORMS if has_t else _NORMS[:1]
        self._every = every
        self._layers_every = -(-_LAYERS_EVERY // every) * every
        self._layers_step = trainer.step

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

    @property
    def record(self) -> str | None:
        """Of the events so far, for the checkpoint."""
        return self._file.record

    def flush(self) -> None:
        """Puts what was written onto the disk."""
        self._file.flush()

    def saved(self) -> None:
        """Says that there is a checkpoint of the run."""
        self._file.saved()

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
        rates = {f"learning_rate/{each}": f for each, f in self._trainer.manifest.rates.items()}
        return {
            _LOSS: record.loss,
            "learning_rate": record.rate,
            **{printable(tag): factor * record.rate for tag, factor in rates.items()},
            **{f"{name}/validation": value for name, value in record.metrics.items()},
            **self._of_all_gradients(),
        }

    def _of_all_gradients(self) -> dict[str, float]:
        """The norms of all parameters' gradients as one vector."""
        if not self._has_norms:
            return {}
        norms = np.array([*self._trainer.gradient_norms().values()])
        return dict(zip(self._norms, np.sqrt(np.square(norms).sum(axis=0)).tolist()))

    def _write_layers(self, step: int) -> None:
        if step > self._layers_step:
            self._layers_step = step
            values = self._of_factors()
            if self._has_norms:
                for parameter, norms in self._trainer.gradient_norms().items():
                    tags = (f"{each}/{printable(parameter)}" for each in self._norms)
                    values.update(zip(tags, norms))
            if values:
                self._file.write(step, values)

    def _of_factors(self) -> dict[str, float]:
        values = {}
        for each in self._trainer.factors():
            name = printable(each.name)
            values[f"r_below_epsilon/{name}"] = each.below_epsilon
            for tag, value in zip(_tags(name), (each.mean, each.lowest, each.highest)):
                values[tag] = value
        return values

    def _charts(self) -> Charts:
        """Charts of several curves each, for the page "Custom scalars"; with a tag for each curve."""
        names = [printable(each.name) for each in self._trainer.factors()]
        charts: Charts = {"Loss": {"Training and validation": ("Multiline", [f"^{LOSS}/"])}}
        if names:
            charts["T's factor: mean, lowest and highest"] = {
                name: ("Margin", _tags(name)) for name in names
            }
        return charts


def _tags(name: str) -> list[str]:
    """Of an operation's mean, lowest and highest factor."""
    return [f"t_factor_{each}/{name}" for each in ("mean", "lowest", "highest")]
