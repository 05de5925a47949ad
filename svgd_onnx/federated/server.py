"""The server of a federation: it averages what clients trained, and has the checkpoint of the last round."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svgd_onnx.errors import Advice, UserError
from svgd_onnx.federated.exchange import parameters_of, set_parameters
from svgd_onnx.federated.flower import (
    ARRAYS,
    CONFIG,
    EXAMPLES,
    arrays_of,
    record_of,
    require_flower,
)
from svgd_onnx.federated.rounds import PROXIMAL
from svgd_onnx.federated.settings import Settings, settings_of
from svgd_onnx.files import whole_file
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.training.examples import Given
from svgd_onnx.training.trainer import Trainer

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import Strategy


def server_app(
    *,
    held_out: Callable[[Context], Given | None] | None = None,
    clients_evaluate: bool = False,
    strategy: Callable[[Context], Strategy] | None = None,
) -> ServerApp:
    """A Flower `ServerApp` that begins with the checkpoint of its artifacts, and saves there after each round.

    To the checkpoint a round counts as a step; the initial one is kept, as in any training.

    Args:
        held_out: what the average is evaluated on before the first round and after each; None, or a function
            that gives None, for nothing.
        clients_evaluate: whether clients evaluate it too, on what they hold out.
        strategy: who averages: one of `flwr.serverapp.strategy`. None for FedAvg, weighted by examples; or
            FedProx, which averages alike, where the artifacts have a proximal term.

    Raises:
        UserError: Flower is not installed; when it runs, the artifacts, a setting or the data does not fit.
    """
    require_flower()
    from flwr.serverapp import ServerApp

    def main(grid: Grid, context: Context) -> None:
        settings = settings_of(context.run_config)
        trainer = Trainer(settings.artifacts)
        log = _log_file(settings)
        examples = None if held_out is None else held_out(context)
        _check_statistics(trainer, settings, evaluates=examples is not None)
        chosen = (
            _strategy(trainer, settings, clients_evaluate)
            if strategy is None
            else strategy(context)
        )
        begun = record_of(parameters_of(trainer, settings.exchange))
        result = chosen.start(
            grid=grid,
            initial_arrays=begun,
            num_rounds=settings.num_server_rounds,
            evaluate_fn=_after_each_round(begun, trainer, settings, examples),
        )
        if not result.train_metrics_clientapp:
            raise UserError(
                "No client has trained in any round: the lines above say what each reported."
            )
        if log is not None:
            _write_log(log, result)

    app = ServerApp()
    app.main()(main)
    return app


def _after_each_round(
    begun: Any, trainer: Trainer, settings: Settings, examples: Given | None
) -> Callable[[int, Any], Any]:
    """Saves what a round has come to, unless nobody trained in it, and evaluates; also before the first."""
    from flwr.app import MetricRecord

    saved = begun

    def after(_: int, arrays: Any) -> Any:
        nonlocal saved
        if arrays is not saved:
            of_step = trainer.manifest.accumulation_steps
            set_parameters(trainer, arrays_of(arrays), settings.exchange, steps=of_step)
            trainer.save()
            saved = arrays
        return None if examples is None else MetricRecord(trainer.evaluate(examples))

    return after


def _strategy(trainer: Trainer, settings: Settings, clients_evaluate: bool) -> Strategy:
    from flwr.serverapp.strategy import FedAvg, FedProx

    mu = trainer.manifest.hyper_parameters.get(PROXIMAL)
    kind = FedAvg if mu is None else FedProx
    return kind(
        fraction_train=settings.fraction_train,
        fraction_evaluate=float(clients_evaluate),
        min_train_nodes=settings.min_nodes,
        min_evaluate_nodes=settings.min_nodes,
        min_available_nodes=settings.min_nodes,
        weighted_by_key=EXAMPLES,
        arrayrecord_key=ARRAYS,
        configrecord_key=CONFIG,
        **({} if mu is None else {"proximal_mu": mu}),
    )


def _check_statistics(trainer: Trainer, settings: Settings, *, evaluates: bool) -> None:
    """Refuses to evaluate with statistics that are not those of the parameters, and warns of saving them."""
    if settings.send_statistics or not any(each.statistic for each in trainer.manifest.parameters):
        return
    if evaluates:
        raise UserError(
            "Running statistics stay on the clients (send-statistics is false), so the server cannot evaluate: "
            "have clients do it, or send them."
        )
    warnings.warn(
        Advice(
            f"Running statistics stay on the clients: those in '{settings.artifacts}' do not follow its "
            "parameters, so evaluate and export on a client."
        ),
        stacklevel=2,
    )


def _log_file(settings: Settings) -> Path | None:
    if not settings.log:
        return None
    return check_not_of_artifacts(Path(settings.log), Path(settings.artifacts))


def _write_log(path: Path, result: Any) -> None:
    """A row for each round; names say whose metric it is."""
    told = {
        "train": result.train_metrics_clientapp,
        "clients": result.evaluate_metrics_clientapp,
        "server": result.evaluate_metrics_serverapp,
    }
    rows: dict[int, dict[str, Any]] = {}
    for whose, by_round in told.items():
        for number, metrics in by_round.items():
            row = rows.setdefault(number, {"round": number})
            row.update({f"{whose}_{name}": value for name, value in metrics.items()})
    columns = dict.fromkeys(name for number in sorted(rows) for name in rows[number])
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows[number] for number in sorted(rows))
