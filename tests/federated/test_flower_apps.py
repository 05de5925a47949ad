"""Client and server as Flower calls them, where it is installed: messages in and out, without a network."""

from __future__ import annotations

import csv
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.federated import client_app, own_share, parameters_of, server_app
from svgd_onnx.federated.flower import record_of

pytest.importorskip("flwr", reason="Flower is not installed")

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.serverapp.strategy import FedMedian  # noqa: E402

# Newer Flowers write into a message which task it is of, and here there is none.
IDENTITY = """
import contextlib
with contextlib.suppress(ImportError):
    from flwr.supercore.task_identity import TaskIdentity
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 1
"""
exec(IDENTITY)

MODEL = models.mlp()
DATA = models.examples(MODEL, 40)
CLIENTS = 3


def examples(context: Context) -> dict[str, np.ndarray]:
    return own_share(DATA, context.node_config["partition-id"], CLIENTS)


def context_of(config: dict[str, Any], **node: Any) -> Context:
    return Context(run_id=7, node_id=1, node_config=node, state=RecordDict(), run_config=config)


def message_of(kind: str, content: RecordDict, node: int = 1) -> Message:
    return Message(content=content, message_type=kind, dst_node_id=node)


class Clients:
    """A grid whose nodes answer in this process."""

    def __init__(self, app: Any, config: dict[str, Any]) -> None:
        self._app, self._config = app, config
        self.sent: list[Message] = []

    def get_node_ids(self) -> Iterable[int]:
        return range(1, CLIENTS + 1)

    def send_and_receive(self, messages: Iterable[Message], **_: Any) -> list[Message]:
        replies = []
        for message in messages:
            self.sent.append(message)
            partition = message.metadata.dst_node_id - 1
            node = {"partition-id": partition, "num-partitions": CLIENTS}
            replies.append(self._app(message, context_of(self._config, **node)))
        return replies


Federate = Callable[..., tuple[Clients, list[dict[str, str]]]]


@pytest.fixture
def config(trainer_of: MakeTrainer, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A run of three rounds over artifacts that were converted so."""
    clients = tmp_path / "clients"

    def make(clients: Path = clients, **options: Any) -> dict[str, Any]:
        folder = trainer_of(MODEL, **{"target": "onnx", **options})._folder
        return {
            "artifacts": str(folder),
            "clients": str(clients),
            "num-server-rounds": 3,
            "batch-size": 4,
            "threads": 1,
            "log": str(tmp_path / "log.csv"),
        }

    return make


def federate(config: dict[str, Any], **server: Any) -> tuple[Clients, list[dict[str, str]]]:
    grid = Clients(client_app(examples, held_out=examples), config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server_app(**server)(grid, context_of(config))
    with Path(config["log"]).open() as file:
        return grid, list(csv.DictReader(file))


def test_rounds_are_trained_evaluated_and_saved(config: Any, tmp_path: Path) -> None:
    run = config()
    before = svgd_onnx.Trainer(run["artifacts"]).evaluate(DATA)
    grid, log = federate(run, held_out=lambda _: DATA, clients_evaluate=True)
    assert len(grid.sent) == 3 * 2 * CLIENTS
    assert [row["round"] for row in log] == ["0", "1", "2", "3"]
    assert float(log[0]["server_loss"]) == pytest.approx(before["loss"])
    assert float(log[3]["server_loss"]) < before["loss"]
    assert 0 <= float(log[3]["clients_accuracy"]) <= 1 and float(log[3]["train_loss"]) > 0
    server = svgd_onnx.Trainer(run["artifacts"])
    assert server.step == 3
    assert server.evaluate(DATA)["loss"] == pytest.approx(float(log[3]["server_loss"]))
    of_run = {each.name for each in (tmp_path / "clients" / "run-7").iterdir() if each.is_dir()}
    assert of_run == {f"client-{number}" for number in range(CLIENTS)}


def test_the_average_is_weighted_by_examples(config: Any, tmp_path: Path) -> None:
    run = {**config(), "num-server-rounds": 1}
    federate(run)
    clients = [
        svgd_onnx.Trainer(tmp_path / "clients" / "run-7" / f"client-{number}")
        for number in range(CLIENTS)
    ]
    counts = [
        len(examples(context_of({}, **{"partition-id": each}))["labels"]) for each in range(3)
    ]
    for name, array in parameters_of(svgd_onnx.Trainer(run["artifacts"])).items():
        tensors = [client.tensor(name).astype(np.float64) for client in clients]
        np.testing.assert_allclose(array, np.average(tensors, 0, counts), rtol=1e-5, atol=1e-6)


def test_fedprox_where_the_step_has_its_term(config: Any, tmp_path: Path) -> None:
    grid, _ = federate(config(proximal=0.5))
    assert {message.content["config"]["proximal-mu"] for message in grid.sent} == {0.5}
    plain, _ = federate(config(tmp_path / "others"))
    assert not any("proximal-mu" in message.content["config"] for message in plain.sent)


def test_a_strategy_of_ones_own(config: Any) -> None:
    _, log = federate(config(), strategy=lambda _: FedMedian(fraction_evaluate=0.0))
    assert len(log) == 3


@pytest.mark.parametrize("sends_r", [False, True])
def test_what_leaves_a_device(sends_r: bool, config: Any) -> None:
    grid, _ = federate({**config(), "send-r": sends_r, "num-server-rounds": 2})
    names = set(grid.sent[-1].content["arrays"])
    assert {name for name in names if name.startswith("svgd.r.")} == (
        {"svgd.r.fc1.weight", "svgd.r.fc2.weight"} if sends_r else set()
    )


class TestStatisticsThatStay:
    def test_clients_evaluate_with_their_own(self, config: Any, tmp_path: Path) -> None:
        _, log = federate({**config(), "send-statistics": False}, clients_evaluate=True)
        assert float(log[-1]["clients_loss"]) > 0
        folders = [tmp_path / "clients" / "run-7" / f"client-{number}" for number in (0, 1)]
        means = [svgd_onnx.Trainer(folder).tensor("bn.mean") for folder in folders]
        assert not np.array_equal(*means)

    def test_the_server_does_not(self, config: Any) -> None:
        run = {**config(), "send-statistics": False}
        with pytest.raises(UserError, match="the server cannot evaluate"):
            federate(run, held_out=lambda _: DATA)

    def test_what_it_saves_is_warned_of(self, config: Any) -> None:
        run = {**config(), "send-statistics": False, "num-server-rounds": 1}
        grid = Clients(client_app(examples), run)
        with pytest.warns(svgd_onnx.errors.Advice, match="evaluate and export on a client"):
            server_app()(grid, context_of(run))


def test_a_server_of_another_term_than_the_clients_is_refused(config: Any) -> None:
    run = config()
    begun = record_of(parameters_of(svgd_onnx.Trainer(run["artifacts"])))
    content = RecordDict({"arrays": begun, "config": ConfigRecord({"proximal-mu": 0.5})})
    with pytest.raises(UserError, match="a proximal term of 0.5"):
        client_app(examples)(message_of("train", content), context_of(run, **{"partition-id": 0}))


def test_a_device_trains_its_own_folder(config: Any) -> None:
    run = config()
    begun = record_of(parameters_of(svgd_onnx.Trainer(run["artifacts"])))
    content = RecordDict({"arrays": begun, "config": ConfigRecord()})
    app = client_app(lambda _: DATA)
    node = {"artifacts": run["artifacts"]}
    reply = app(message_of("train", content), context_of({**run, "artifacts": "elsewhere"}, **node))
    assert isinstance(reply.content["metrics"], MetricRecord)
    assert reply.content["metrics"]["num-examples"] == 40
    assert svgd_onnx.Trainer(run["artifacts"]).step == 10


def test_a_run_in_which_nobody_trains_leaves_the_checkpoint(config: Any) -> None:
    run = config()

    class Nobody(Clients):
        def send_and_receive(self, messages: Iterable[Message], **_: Any) -> list[Message]:
            return []

    with pytest.raises(UserError, match="No client has trained in any round"):
        server_app()(Nobody(client_app(examples), run), context_of(run))
    assert svgd_onnx.Trainer(run["artifacts"]).step == 0


def test_a_device_is_told_where_its_artifacts_are(config: Any) -> None:
    """Not by who begins a run: on the server's machine that would be the server's."""
    content = RecordDict({"arrays": record_of({}), "config": ConfigRecord()})
    with pytest.raises(UserError, match="does not know where its artifacts lie"):
        client_app(examples)(message_of("train", content), context_of(config()))


def test_a_client_needs_neither_onnx_nor_a_framework(config: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **DATA)
    program = f"""
import sys
sys.modules.update(onnx=None, onnx_ir=None, torch=None, tensorflow=None, sklearn=None)
{IDENTITY}
import svgd_onnx
from flwr.app import ConfigRecord, Context, Message, RecordDict
from svgd_onnx.federated import client_app, parameters_of
from svgd_onnx.federated.flower import record_of
run = {config()!r}
arrays = record_of(parameters_of(svgd_onnx.Trainer(run["artifacts"])))
content = RecordDict({{"arrays": arrays, "config": ConfigRecord()}})
app = client_app(lambda _: svgd_onnx.load_data({str(tmp_path / "data.npz")!r}))
context = Context(1, 1, {{"artifacts": run["artifacts"]}}, RecordDict(), run)
reply = app(Message(content, dst_node_id=1, message_type="train"), context)
assert reply.content["metrics"]["num-examples"] == 40
"""
    subprocess.run([sys.executable, "-c", program], check=True)
