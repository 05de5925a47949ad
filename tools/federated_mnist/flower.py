"""Runs of a Flower app, as a user would start them: on loopback, with all that Flower keeps in one folder."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
HOST = "127.0.0.1"
# How long a SuperLink may take to listen, and a SuperNode to end; seconds.
_PATIENCE = 60.0

Rows = list[dict[str, float]]


class RunError(Exception):
    """A run did not come to its end; the message is the end of what it printed."""


class Flower:
    """Starts Flower's programs.

    Args:
        folder: where they keep what they keep, and log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
            "FLWR_HOME": str(self._folder),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def simulate(self, app: Path, clients: int, config: Mapping[str, object]) -> Rows:
        """A run of simulated clients, by the engine of Flower.

        Returns:
            The run's log, a row for each round.

        Raises:
            RunError: it failed.
        """
        with self._superlink("--simulation") as address:
            return self._run(
                app, address, config, "--federation-config", f"num-supernodes={clients}"
            )

    def deploy(
        self, app: Path, nodes: Sequence[Mapping[str, object]], config: Mapping[str, object]
    ) -> Rows:
        """A run of a SuperLink and a SuperNode for each client, processes of their own.

        Args:
            app: its folder.
            nodes: the configuration of each SuperNode.
            config: of the run.

        Raises:
            RunError: it failed.
        """
        with self._superlink() as address, contextlib.ExitStack() as running:
            for number, node in enumerate(nodes):
                options = ["--insecure", "--superlink", address, "--port", str(free_port())]
                options += ["--node-config", _toml(node)]
                running.enter_context(self._started(f"node{number}", "flower-supernode", *options))
            return self._run(app, address, config)

    @contextlib.contextmanager
    def _superlink(self, *options: str) -> Iterator[str]:
        port = free_port()
        address = f"{HOST}:{port}"
        given = ["--insecure", "--host", HOST, "--port", str(port), *options]
        (self._folder / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{address}"\ninsecure = true\n'
        )
        with self._started("superlink", "flower-superlink", *given):
            _wait_for(port)
            yield address

    @contextlib.contextmanager
    def _started(self, name: str, program: str, *options: str) -> Iterator[None]:
        """A program in the background, which is ended with all that it started."""
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(PROGRAMS / program), *options],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _run(self, app: Path, address: str, config: Mapping[str, object], *options: str) -> Rows:
        log = self._folder / "rounds.csv"
        log.unlink(missing_ok=True)
        command = [str(PROGRAMS / "flwr"), "run", str(app), "here", "--stream"]
        command += ["--run-config", _toml({**config, "log": str(log)}), *options]
        done = subprocess.run(
            command, env=self._environment, cwd=self._folder, capture_output=True, text=True
        )
        if done.returncode or not log.is_file():
            raise RunError(f"{(done.stdout + done.stderr)[-4000:]}\n(of a run on {address})")
        with log.open() as file:
            return [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as tried:
        tried.bind((HOST, 0))
        return int(tried.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with socket.socket() as tried:
            if tried.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise RunError("The SuperLink does not listen.")


def _toml(config: Mapping[str, object]) -> str:
    """As --run-config and --node-config have it: entries of TOML with spaces between."""
    written = {True: "true", False: "false"}
    return " ".join(
        f'{name}="{value}"'
        if isinstance(value, str | Path)
        else f"{name}={written[value] if isinstance(value, bool) else value}"
        for name, value in config.items()
    )
