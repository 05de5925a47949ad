"""What is attacked: a command, what was there before, and what may be there after."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.artifact_files import RUN_FILE
from svgd_onnx.targets.checkpoint_names import name_of_step
from tools.attack import command_line
from tools.attack.kill.process import run

STEPS, EVERY = 7, 2
# The record of what was done comes after it, and tells of a run that was interrupted as of two.
_SKIPPED = (".svgd-lock", ".svgd-holder.json", RUN_FILE)

# What lies under a folder: a file's bytes by its path.
Contents = dict[str, bytes]


@dataclass(frozen=True)
class Scenario:
    """A command on files in a folder.

    Attributes:
        name: what is attacked.
        prepare: puts there what was there before.
        command: the command.
        again: what a user does next: the command, or that which goes on from what there is.
        product: what of the folder it makes.
        states: in which states that may be found, after the command was attacked.
        final: the one that it must be in after `again`.
        others: other states that it may be in then, by where training was when the command was attacked.
        kept: each step's kept checkpoint, where the command keeps some. Training that ended at a log that could
            not be written saved one of the steps so far, which counts among those that are kept.
    """

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path], list[object]]
    again: Callable[[Path], list[object]]
    product: str
    states: Sequence[Contents]
    final: Contents
    others: Sequence[Contents] = ()
    kept: Contents = field(default_factory=dict)

    def is_end(self, after: Contents, *, at_other_steps: bool) -> bool:
        """Whether it is one of them; or only its kept checkpoints, which are as many, may be of other steps."""
        if after == self.final or after in self.others:
            return True
        if not at_other_steps:
            return False
        kept, expected = (
            {name: each for name, each in one.items() if name in self.kept}
            for one in (after, self.final)
        )
        return (
            len(kept) == len(expected)
            and kept.items() <= self.kept.items()
            and after.items() - kept.items() == self.final.items() - expected.items()
        )


def contents(path: Path) -> Contents:
    """All files of a folder but locks and records, or a file by itself; nothing of what is not there."""
    if path.is_file():
        return {"": path.read_bytes()}
    files = (
        each
        for each in path.rglob("*")
        if each.is_file() and each.name not in _SKIPPED and ".svgd-tmp" not in str(each)
    )
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


def scenarios(work: Path, target: str) -> list[Scenario]:
    """Those of a target, each with what an undisturbed run of it makes."""
    place = work / "place"
    originals = work / "originals"
    originals.mkdir()
    _make_inputs(originals)
    fresh, other = (
        _converted(originals, place, target, "svgd"),
        _converted(originals, place, target, "rmsprop"),
    )
    return [
        _convert(originals, place, target, fresh),
        _force(originals, place, target, fresh, other),
        _train(originals, place, target, fresh),
        _train_and_keep(originals, place, target, fresh),
        _train_anew(originals, place, fresh),
        _export(originals, place, target, fresh),
    ]


def _make_inputs(folder: Path) -> None:
    random = np.random.default_rng(1)
    weights = {
        "w0": random.normal(size=(6, 16)), "b0": np.zeros(16),
        "w1": random.normal(size=(16, 4)), "b1": np.zeros(4),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Dropout", ["a", "ratio", "training"], ["d"]),
        helper.make_node("Gemm", ["d", "w1", "b1"], ["y"]),
    ]
    stored = [
        numpy_helper.from_array(each.astype(np.float32), name) for name, each in weights.items()
    ]
    stored.append(numpy_helper.from_array(np.array(0.25, np.float32), "ratio"))
    stored.append(numpy_helper.from_array(np.array(False), "training"))
    graph = helper.make_graph(
        nodes,
        "attacked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    labels = random.integers(0, 4, 24)
    np.savez(folder / "data.npz", x=random.normal(size=(24, 6)).astype(np.float32), labels=labels)


def _restored(source: Path, place: Path, names: Sequence[str]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, place / name)
        else:
            shutil.copy2(source / name, place / name)


def _undisturbed(place: Path, command: list[object]) -> None:
    outcome = run(place, command)
    if outcome.code:
        raise SystemExit(f"An undisturbed run fails ({outcome.code}): {outcome.error}")
    command_line.import_all(outcome.modules)


def _conversion(place: Path, target: str, optimizer: str, *more: object) -> list[object]:
    options = ["--target", target, "--optimizer", optimizer, "--no-verify", *more]
    return ["convert", place / "model.onnx", "--output", place / "artifacts", *options]


def _converted(originals: Path, place: Path, target: str, optimizer: str) -> str:
    """Artifacts among the originals, under a name that is returned."""
    _restored(originals, place, ["model.onnx", "data.npz"])
    _undisturbed(place, _conversion(place, target, optimizer))
    name = f"{optimizer}/artifacts"
    shutil.copytree(place / "artifacts", originals / name)
    return name


def _prepared(originals: Path, artifacts: str | None, *names: str) -> Callable[[Path], None]:
    def prepare(place: Path) -> None:
        _restored(originals, place, ["model.onnx", "data.npz", *names])
        if artifacts is not None:
            shutil.copytree(originals / artifacts, place / "artifacts")

    return prepare


def _convert(originals: Path, place: Path, target: str, fresh: str) -> Scenario:
    made = contents(originals / fresh)
    return Scenario(
        "convert",
        _prepared(originals, None),
        lambda place: _conversion(place, target, "svgd"),
        lambda place: _conversion(place, target, "svgd", "--force"),
        "artifacts",
        [{}, made],
        made,
    )


def _force(originals: Path, place: Path, target: str, fresh: str, other: str) -> Scenario:
    def command(place: Path) -> list[object]:
        return _conversion(place, target, "svgd", "--force")

    old, new = contents(originals / other), contents(originals / fresh)
    prepare = _prepared(originals, other)
    return Scenario("convert --force", prepare, command, command, "artifacts", [old, new], new)


def _training(place: Path, steps: int = STEPS, *, validated: bool = True) -> list[object]:
    """Without a validation the log of fewer steps is the beginning of that of more."""
    data = ["--data", place / "data.npz"]
    if validated:
        data += ["--validation", place / "data.npz"]
    options = ["--batch-size", 8, "--learning-rate", 0.05, "--threads", 1]
    written = ["--log", place / "log.csv", "--checkpoint-every", EVERY]
    return ["train", place / "artifacts", *data, *options, *written, "--steps", steps]


def _train(originals: Path, place: Path, target: str, fresh: str) -> Scenario:
    prepare = _prepared(originals, fresh)
    untrained = contents(originals / fresh)
    kept = {
        name_of_step(name, 0): untrained[name]
        for name in TARGETS[target].checkpoint_files
        if name in untrained
    }
    # of each step: where a row cannot be logged, the steps so far are saved
    trained = _checkpoints(prepare, place, target, _training(place))
    states = [untrained, *({**untrained, **kept, **each} for each in ({}, *trained))]
    prepare(place)
    _undisturbed(place, _training(place))
    finals = contents(place)
    return Scenario("train", prepare, _training, _training, "artifacts", states, finals)


def _checkpoints(
    prepare: Callable[[Path], None], place: Path, target: str, training: list[object]
) -> list[Contents]:
    """The files of the checkpoint after each step of an undisturbed run."""
    prepare(place)
    _undisturbed(place, [*training, "--checkpoint-every", 1, "--checkpoint-keep", STEPS + 1])
    folder, names = place / "artifacts", TARGETS[target].checkpoint_files
    found = []
    for step in (*range(1, STEPS), None):
        files = {name: folder / name_of_step(name, step) for name in names}
        found.append({name: file.read_bytes() for name, file in files.items() if file.is_file()})
    return found


def _train_and_keep(originals: Path, place: Path, target: str, fresh: str) -> Scenario:
    """As `_train`, of the folder's own checkpoint: which others lie beside it only the end says."""

    def command(place: Path) -> list[object]:
        return [*_training(place), "--checkpoint-keep", 3, "--checkpoint-best"]

    prepare = _prepared(originals, fresh)
    trained = _checkpoints(prepare, place, target, command(place))
    first, *_ = TARGETS[target].checkpoint_files
    own = f"artifacts/{first}"
    prepare(place)
    states = [contents(place / own), *({"": each[first]} for each in trained)]
    kept = {
        f"artifacts/{name_of_step(name, step)}": content
        for step, files in enumerate(trained, 1)
        for name, content in files.items()
    }
    _undisturbed(place, command(place))
    final = contents(place)
    return Scenario("train, keeping", prepare, command, command, own, states, final, kept=kept)


def _train_anew(originals: Path, place: Path, fresh: str) -> Scenario:
    """Another training begins from the initial checkpoint; what goes on then is that which was saved last."""

    def anew(place: Path, steps: int = STEPS) -> list[object]:
        options = ["--learning-rate", 0.01, "--restart"]
        return [*_training(place, steps, validated=False), *options]

    def again(place: Path) -> list[object]:
        return _training(place, STEPS + 1, validated=False)

    trained = f"trained/{fresh}"
    _prepared(originals, fresh)(place)
    _undisturbed(place, _training(place, validated=False))
    shutil.copytree(place / "artifacts", originals / trained)
    shutil.copy2(place / "log.csv", originals)
    prepare = _prepared(originals, trained, "log.csv")
    states, ends = [], []
    for steps in (None, *range(1, STEPS + 1)):
        prepare(place)
        if steps is not None:
            _undisturbed(place, anew(place, steps))
        states.append(contents(place / "artifacts"))
        _undisturbed(place, again(place))
        ends.append(contents(place))
    return Scenario("train, anew", prepare, anew, again, "artifacts", states, ends[-1], ends[:-1])


def _export(originals: Path, place: Path, target: str, fresh: str) -> Scenario:
    def command(place: Path) -> list[object]:
        return ["export", place / "artifacts", "--output", place / "trained.onnx"]

    prepare = _prepared(originals, fresh)
    prepare(place)
    (originals / "trained.onnx").write_bytes(b"what was there before")
    _undisturbed(place, command(place))
    old, new = contents(originals / "trained.onnx"), contents(place / "trained.onnx")
    prepare = _prepared(originals, fresh, "trained.onnx")
    return Scenario("export", prepare, command, command, "trained.onnx", [old, new], new)
