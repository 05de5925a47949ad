"""Sequences of runs over one folder, ended at random, and whether logs and event files have what they should.

    python -m tools.attack.runs [--count 1000] [--seed 0] [--target onnx]

Each run goes on from the folder's own checkpoint or from a kept one, with one of two logs or none, and one
of two folders of events or none. Some are killed or interrupted, after a step or before a file-system
event, or find the disk full from one on. A rate that no other run has tells whose rows are whose. After
each run that ended well its log and its events have the points of the steps that led to the folder's
checkpoint, of those that were logged there, and no others; nothing temporary is left; and a checkpoint is
always one that some run came by.

What a log keeps with a warning, as of a run that was given up after it had saved, is counted apart. Each
sequence follows from its seed, which is named where something went wrong. Ends with exit code 1 if anything
did.
"""

from __future__ import annotations

import argparse
import csv
import errno
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.checkpoint_names import kept_files, step_of
from tools.networks.builder import INPUT, Network

_EXAMPLES, _BATCH = 48, 8
_CHANGES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod")
_KILLED = 9
_MOST_EVENTS = 70


class Step(NamedTuple):
    """A step, and in which log and which events it is."""

    number: int
    rate: float
    loss: float
    log: str | None
    board: str | None


History = tuple[Step, ...]


@dataclass(frozen=True)
class Run:
    """What is asked for.

    Attributes:
        checkpoint: to go on from.
        steps: up to which.
        rate: of all of its steps.
        log: in which file.
        board: in which folder of events.
        options: others of `Trainer.train`.
        validates: whether there is a validation after each epoch.
        ends: how it is ended.
        at: before which file-system event, or after which step; None for not at all.
    """

    checkpoint: str
    steps: int
    rate: float
    log: str | None
    board: str | None
    options: dict[str, Any]
    validates: bool
    ends: str = "well"
    at: int | None = None


class Report(NamedTuple):
    """What a run says of itself: how it ended, its words, and its steps, each with the parameters after it."""

    end: str
    words: list[str]
    opened: str
    steps: list[tuple[str, Step]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.attack.runs")
    parser.add_argument("--count", type=int, default=1000, help="sequences")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    parser.add_argument("--target", choices=list(TARGETS), default="onnx")
    arguments = parser.parse_args()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        _forked(lambda say: svgd_onnx.convert(_model(), made, target=arguments.target))
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            place = Path(folder) / str(seed)
            for fault in _sequence(random.Random(seed), made, place, tally):
                print(f"seed {seed}: {fault}", flush=True)
                tally["faults"] += 1
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(tally.items()) if end != "faults")
    print(f"tally: {arguments.count:,} sequences; runs: {ends}; {tally['faults']} faults")
    sys.exit(1 if tally["faults"] else 0)


def _model() -> Any:
    network = Network(0)
    hidden = network.relu(network.dense("fc1", INPUT, 4, 6))
    return network.model("runs", (4,), network.dense("fc2", hidden, 6, 3), 3)


def _data(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(_EXAMPLES, 4)).astype(np.float32)
    return {INPUT: x, "labels": random.integers(0, 3, _EXAMPLES)}


def _sequence(random: random.Random, made: Path, place: Path, tally: Counter[str]) -> Iterator[str]:
    """The faults of some runs one after the other."""
    shutil.copytree(made, place / "artifacts")
    histories: dict[str, History] = {_look(place): ()}
    count = random.randint(3, 7)
    for number in range(count):
        step = len(histories[_look(place)])
        run = _drawn(random, place, step, 0.1 + number / 1000, is_last=number == count - 1)
        report = _run(place, run)
        tally[report.end] += 1
        history = histories.get(report.opened, ())
        for parameters, made_step in report.steps:
            history = (*history, made_step)
            histories[parameters] = history
        now = _look(place)
        if now not in histories:
            yield f"the checkpoint after {run} is of no run"
            return
        if report.end == "crashed":
            yield f"{run} crashed: {' '.join(report.words)}"
        if report.end != "well":
            continue
        written = [place / "artifacts", *([place] if run.log else [])]
        written += [place / run.board] if run.board else []
        left = [path.name for folder in written for path in folder.glob(".*.svgd-tmp")]
        if left:
            yield f"{left} is left after {run}"
        for name, there, logged in (
            (run.log, _rows, [each for each in histories[now] if each.log == run.log]),
            (run.board, _events, [each for each in histories[now] if each.board == run.board]),
        ):
            if name is None:
                continue
            wanted = [
                (each.number, np.float32(each.rate), np.float32(each.loss)) for each in logged
            ]
            found = there(place / name)
            if found == wanted:
                continue
            if len(wanted) < len(found) and found[len(found) - len(wanted) :] == wanted:
                tally["with rows kept that are not its own"] += 1
                continue
            yield f"'{name}' has {_short(found)}, not {_short(wanted)}, after {run}: {report.words}"


def _short(points: list[Any]) -> str:
    return " ".join(f"{number}@{rate:g}" for number, rate, _ in points)


def _drawn(random: random.Random, place: Path, step: int, rate: float, *, is_last: bool) -> Run:
    checkpoint, begin = "last", step
    kept = sorted({step_of(path.name) for path in kept_files(place / "artifacts")} - {None})
    if kept and not is_last and random.random() < 0.35:
        begin = random.choice(kept) or 0
        checkpoint = f"step-{begin}"
    options: dict[str, Any] = {
        "log_every": random.choice([1, 1, 2, 3]),
        "checkpoint_every": random.choice([None, 1, 2]),
        "checkpoint_keep": random.choice([None, 2, 3]),
    }
    validates = random.random() < 0.5
    if validates:
        options["metrics"] = random.choice([[], ["f1"], ["f1", "auc"]])
        options["checkpoint_best"] = random.random() < 0.3
    ends, at = "well", None
    chance = random.random()
    if not is_last and chance < 0.35:
        ends, at = random.choice(["killed", "interrupted", "full"]), random.randint(1, _MOST_EVENTS)
    elif not is_last and chance < 0.6:
        ends, at = (
            random.choice(["killed after", "interrupted after"]),
            begin + random.randint(1, 5),
        )
    log = random.choice(["a.csv", "a.csv", "b.csv", None])
    board = random.choice(["a", "b", None])
    steps = begin + random.randint(0 if random.random() < 0.1 else 1, 6)
    return Run(checkpoint, steps, round(rate, 4), log, board, options, validates, ends, at)


def _run(place: Path, run: Run) -> Report:
    """Makes a run in a process of its own."""
    said, code = _forked(lambda say: _train(place, run, say))
    end = next((each["end"] for each in said if "end" in each), "crashed" if code else "well")
    if code == _KILLED:
        end = "killed"
    steps = [(each["parameters"], Step(*each["step"])) for each in said if "step" in each]
    words = [word for each in said for word in each.get("words", [])]
    opened = next((each["opened"] for each in said if "opened" in each), "")
    return Report(end, words, opened, steps)


def _train(place: Path, run: Run, say: Callable[[dict[str, Any]], None]) -> None:
    os.chdir(place)
    words: list[str] = []
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_: words.append(str(message))
    if run.at is not None and not run.ends.endswith("after"):
        _end_before_event(run)
    try:
        trainer = svgd_onnx.Trainer("artifacts", threads=1, checkpoint=run.checkpoint)
        say({"opened": _digest(trainer)})
        settings = {**run.options, "validation": _data(1)} if run.validates else run.options
        trainer.train(
            _data(0),
            steps=run.steps,
            batch_size=_BATCH,
            learning_rate=run.rate,
            log=run.log,
            tensorboard=run.board,
            callbacks=[_Watch(trainer, run, say)],
            workers=0,
            **settings,
        )
        say({"end": "well", "words": words})
    except UserError as error:
        say({"end": "refused", "words": [*words, str(error)]})
    except KeyboardInterrupt:
        say({"end": "interrupted", "words": words})
    except BaseException:
        say({"end": "crashed", "words": [*words, traceback.format_exc()]})


class _Watch(svgd_onnx.Callback):
    """Tells of each step, and may end the run after one."""

    def __init__(
        self, trainer: svgd_onnx.Trainer, run: Run, say: Callable[[dict[str, Any]], None]
    ) -> None:
        self._trainer, self._run, self._say = trainer, run, say

    def on_step(self, record: Any) -> None:
        run = self._run
        is_logged = record.metrics or record.step % run.options["log_every"] == 0
        log, board = (run.log, run.board) if is_logged else (None, None)
        step = Step(record.step, record.rate, record.loss, log, board)
        self._say({"step": step, "parameters": _digest(self._trainer)})
        if run.ends.endswith("after") and record.step == run.at:
            if run.ends == "killed after":
                os._exit(_KILLED)
            raise KeyboardInterrupt


def _end_before_event(run: Run) -> None:
    """Ends this process before a file-system event, or lets all that write fail from it on."""
    events = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal events
        if event == "open":
            flags = arguments[2]
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            changes = event in _CHANGES
        if not changes or (run.ends == "full" and event in ("os.remove", "os.rmdir")):
            return
        events += 1
        if events == run.at and run.ends == "killed":
            os._exit(_KILLED)
        if events == run.at and run.ends == "interrupted":
            raise KeyboardInterrupt
        if events >= (run.at or 0) and run.ends == "full":
            raise OSError(errno.ENOSPC, "No space left on device")

    sys.addaudithook(hook)


def _look(place: Path) -> str:
    """The parameters of the folder's own checkpoint."""
    said, _ = _forked(
        lambda say: say({"opened": _digest(svgd_onnx.Trainer(place / "artifacts", threads=1))})
    )
    return str(said[0]["opened"]) if said else "none that can be read"


def _digest(trainer: svgd_onnx.Trainer) -> str:
    return hashlib.sha256(trainer.tensor("fc1.weight").tobytes()).hexdigest()[:16]


def _forked(
    does: Callable[[Callable[[dict[str, Any]], None]], object],
) -> tuple[list[dict[str, Any]], int]:
    """What a process said, which has imported what this one has, and its exit code."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w", buffering=1) as file:
                does(lambda said: print(json.dumps(said), file=file))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = [json.loads(line) for line in file]
    return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _rows(log: Path) -> list[Any]:
    if not log.is_file():  # nothing was to be done
        return []
    with log.open(newline="") as file:
        return [
            (int(row["step"]), np.float32(row["learning_rate"]), np.float32(row["loss"]))
            for row in csv.DictReader(file)
        ]


def _events(board: Path) -> list[Any]:
    """Step, rate and loss of each, by TensorBoard's own protobuf, as tensorboardX has it."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(board.glob("*tfevents*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16
            values = {each.tag: np.float32(each.simple_value) for each in event.summary.value}
            if "loss/training" in values:
                found.append((event.step, values["learning_rate"], values["loss/training"]))
    return found


if __name__ == "__main__":
    main()
