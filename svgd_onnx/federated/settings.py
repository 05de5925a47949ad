"""What a run is told: the entries of `[tool.flwr.app.config]`, which `flwr run --run-config` changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from svgd_onnx.errors import UserError
from svgd_onnx.federated.exchange import Exchange


@dataclass(frozen=True)
class Settings:
    """The entries that client and server read, with `-` for `_`; a run may have others of its own.

    Attributes:
        artifacts: the folder of artifacts: the server's, and where simulated clients have theirs from.
        clients: the folder where those of simulated clients are made.
        num_server_rounds: rounds.
        fraction_train: the share of clients that train in a round.
        min_nodes: how many clients have to be there, and train, at least.
        local_epochs: how often a client goes through its examples in a round.
        batch_size: its examples a step.
        learning_rate: its alpha.
        threads: of a client's step; 0 leaves them to onnxruntime.
        send_statistics: see `Exchange`.
        send_r: see `Exchange`.
        log: a CSV file with a row for each round, which the server writes; empty for none.
    """

    artifacts: str
    clients: str = ""
    num_server_rounds: int = 10
    fraction_train: float = 1.0
    min_nodes: int = 2
    local_epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 0.1
    threads: int = 0
    send_statistics: bool = True
    send_r: bool = False
    log: str = ""

    @property
    def exchange(self) -> Exchange:
        """What leaves a device."""
        return Exchange(self.send_statistics, self.send_r)


def settings_of(run: Mapping[str, Any], node: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a run, over which those that a device was started with win.

    Raises:
        UserError: one is missing, or of another type.
    """
    given = {**run, **(node or {})}
    found = {}
    for each in fields(Settings):
        name = each.name.replace("_", "-")
        if name not in given:
            continue
        value, kind = given[name], _KINDS[str(each.type)]
        # TOML has 1 where a number may be 1.0; true is a kind of integer to Python alone
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise UserError(
                f"The run's '{name}' is {value!r}, but must be of type {kind.__name__}."
            )
        found[each.name] = kind(value)
    if not found.get("artifacts"):
        raise UserError(
            "The run has no 'artifacts', the folder that svgd-onnx convert made: give it in "
            "[tool.flwr.app.config] of pyproject.toml, by flwr run --run-config, or to a device by "
            "flower-supernode --node-config."
        )
    return Settings(**found)


_KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
