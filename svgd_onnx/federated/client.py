"""The client of a federation: it trains its artifacts on its own data, and sends what they became."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svgd_onnx.errors import UserError
from svgd_onnx.federated.device_folder import device_folder
from svgd_onnx.federated.exchange import parameters_of, set_parameters
from svgd_onnx.federated.flower import (
    ARRAYS,
    CONFIG,
    EXAMPLES,
    METRICS,
    PROXIMAL_MU,
    arrays_of,
    record_of,
    require_flower,
)
from svgd_onnx.federated.rounds import check_proximal, train_round
from svgd_onnx.federated.settings import Settings, settings_of
from svgd_onnx.training.examples import Given, taken_from
from svgd_onnx.training.trainer import Trainer

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp

_PARTITION = "partition-id"


def client_app(
    examples: Callable[[Context], Given],
    *,
    held_out: Callable[[Context], Given] | None = None,
    folder: Callable[[Context], Path] | None = None,
) -> ClientApp:
    """A Flower `ClientApp` that answers `train`, and `evaluate` where examples are held out for it.

    In a round it takes the server's parameters, trains (`train_round`), saves its checkpoint, and replies with
    its parameters, its number of examples and its last loss. Nothing else leaves the device.

    Args:
        examples: what this client trains on, as `Trainer.train` takes it.
        held_out: what it evaluates the server's parameters on; None if it does not.
        folder: its artifacts; None for `folder_of`.

    Raises:
        UserError: Flower is not installed; in a round, as `set_parameters` and `train_round`, which Flower
            reports to the server as this client's failure.
    """
    require_flower()
    from flwr.clientapp import ClientApp

    def train(message: Message, context: Context) -> Message:
        trainer, settings = _opened(message, context, folder or folder_of)
        config = message.content.get(CONFIG, {})
        check_proximal(trainer.manifest, float(config.get(PROXIMAL_MU, 0.0)))
        done = train_round(
            trainer,
            examples(context),
            epochs=settings.local_epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
        )
        arrays = record_of(parameters_of(trainer, settings.exchange))
        return _reply(message, {EXAMPLES: done.examples, "loss": done.loss}, arrays)

    def evaluate(message: Message, context: Context) -> Message:
        assert held_out is not None
        trainer, _ = _opened(message, context, folder or folder_of)
        given = held_out(context)
        known = trainer.classes_by_label
        count = len(taken_from(given, trainer.manifest, known=known))  # type: ignore[arg-type]
        return _reply(message, {EXAMPLES: count, **trainer.evaluate(given)})

    app = ClientApp()
    app.train()(train)
    if held_out is not None:
        app.evaluate()(evaluate)
    return app


def folder_of(context: Context) -> Path:
    """A client's artifacts: those that its SuperNode was started with, or a simulated client's copy.

    `--node-config 'artifacts="/path"'` says the former. A simulated client has its copy in the run's folder of
    clients, one for each run, so that a run begins with no r and no state of an optimizer.

    Raises:
        UserError: neither is said, or as `device_folder`.
    """
    settings = settings_of(context.run_config, context.node_config)
    if "artifacts" in context.node_config:
        return Path(settings.artifacts)
    if _PARTITION not in context.node_config:
        raise UserError(
            "This device does not know where its artifacts lie: start its flower-supernode with --node-config "
            "'artifacts=\"FOLDER\"'."
        )
    clients = Path(settings.clients or f"{settings.artifacts}.clients")
    own = clients / f"run-{context.run_id}" / f"client-{context.node_config[_PARTITION]}"
    return device_folder(settings.artifacts, own)


def _opened(
    message: Message, context: Context, folder: Callable[[Context], Path]
) -> tuple[Trainer, Settings]:
    """A trainer that has the server's parameters."""
    settings = settings_of(context.run_config, context.node_config)
    trainer = Trainer(folder(context), threads=settings.threads or None)
    set_parameters(trainer, arrays_of(message.content[ARRAYS]), settings.exchange)
    return trainer, settings


def _reply(message: Message, metrics: dict[str, Any], arrays: Any = None) -> Message:
    from flwr.app import Message, MetricRecord, RecordDict

    records = {METRICS: MetricRecord(metrics), **({} if arrays is None else {ARRAYS: arrays})}
    return Message(content=RecordDict(records), reply_to=message)
