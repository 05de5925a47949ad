"""Kills and faults at every file-system event of convert, convert --force, train and export, and a tally.

    python -m tools.attack.kill [--target T] [--command C] [--random 200] [--every 1] [--seconds N]

Before each event under the folder that a command works in, the process is killed; or the event fails with EIO
(a failing fsync among them); or from there on there is no space. Then the same at random moments. After each:
the folder or file is in a state that an undisturbed run has it in, byte for byte; the next command works, ends
in the state of an undisturbed run (parameters bit for bit, the log row for row), and leaves nothing temporary.
After a log that could not be written, the kept checkpoints may be of other steps, each as an undisturbed run's.
What fails ends in one sentence and exit code 2.
"""

from __future__ import annotations

import argparse
import errno
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tools.attack.kill import shim

shim.load()

from svgd_onnx import run_config  # noqa: E402
from svgd_onnx.errors import UserError  # noqa: E402
from svgd_onnx.files import recover  # noqa: E402
from svgd_onnx.targets import TARGETS  # noqa: E402
from svgd_onnx.targets.artifact_files import RUN_FILE  # noqa: E402
from tools.attack.kill.process import Attack, Outcome, run  # noqa: E402
from tools.attack.kill.scenario import Scenario, contents, scenarios  # noqa: E402

_KINDS = {
    "SIGKILL": (shim.KILL, 0),
    "EIO": (shim.FAIL_ONCE, errno.EIO),
    "ENOSPC": (shim.FAIL_ALL_WRITES, errno.ENOSPC),
}
_KILLED = -9
_COMMANDS = ("convert", "convert --force", "train", "train, keeping", "train, anew", "export")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.attack.kill")
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--command", action="append", choices=_COMMANDS)
    parser.add_argument("--random", type=int, default=200, help="random moments a target")
    parser.add_argument("--every", type=int, default=1, help="attack only each so many events")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing after so many")
    return parser.parse_args()


def _faults(scenario: Scenario, place: Path, outcome: Outcome, kind: str) -> list[str]:
    """What is not as promised after an attack."""
    found = []
    if outcome.code == 124:
        found.append("hangs")
    if "Traceback" in outcome.error:
        found.append("a traceback")
    elif outcome.code not in (0, 2, _KILLED):
        found.append(f"exit code {outcome.code}")
    elif outcome.code == 2 and not _is_sentence(outcome.error):
        found.append("no sentence")
    product = place / scenario.product
    recover(product)
    after = contents(product)
    if after not in scenario.states and not _is_trained(scenario, after):
        found.append("neither old nor new")
    if kind != "SIGKILL" and _leftovers(place):
        found.append("leftovers of a process that ended by itself")
    again = run(place, scenario.again(place))
    if again.code:
        found.append(f"the next command fails: {again.error.strip()}")
    final = contents(place if scenario.name.startswith("train") else product)
    if not scenario.is_end(final, at_other_steps=kind == "EIO"):
        names = [
            name
            for name in final.keys() | scenario.final.keys()
            if final.get(name) != scenario.final.get(name)
        ]
        found.append(f"another end than undisturbed ({', '.join(sorted(names))})")
    if _leftovers(place):
        found.append("leftovers")
    return found + [
        f"a damaged {each.name}" for each in place.rglob(RUN_FILE) if not _is_readable(each)
    ]


def _is_sentence(error: str) -> bool:
    """Whether it is one; before it there may be the warning that the record could not be written."""
    *before, last = error.splitlines(keepends=True) or [""]
    warned = all(RUN_FILE in each for each in before)
    return warned and last.startswith("svgd-onnx: ") and last.endswith("\n")


def _is_readable(record: Path) -> bool:
    try:
        run_config.load(record)
    except UserError:
        return False
    return True


def _is_trained(scenario: Scenario, after: dict[str, bytes]) -> bool:
    """Training's own temporaries may lie in its folder; the rest is then as in one of the states."""
    if scenario.name != "train":
        return False
    return {
        name: each for name, each in after.items() if ".svgd-tmp" not in name
    } in scenario.states


def _leftovers(place: Path) -> list[str]:
    return [str(path) for path in place.rglob("*") if path.name.endswith(".svgd-tmp")]


def _attacks(scenario: Scenario, place: Path, every: int, moments: int) -> list[tuple[str, Attack]]:
    scenario.prepare(place)
    undisturbed = run(place, scenario.command(place))
    events = [
        (kind, Attack(event, *how))
        for event in range(0, undisturbed.events, every)
        for kind, how in _KINDS.items()
    ]
    draw = random.Random(scenario.name)
    return events + [
        ("random SIGKILL", Attack(after=draw.random() * undisturbed.seconds))
        for _ in range(moments)
    ]


def main() -> None:
    """Attacks, and prints the tally; exit code 1 if anything was not as promised."""
    arguments = _arguments()
    deadline = time.monotonic() + arguments.seconds
    tally: Counter[tuple[str, str, str]] = Counter()
    faults: Counter[str] = Counter()
    left_out = 0
    for target in arguments.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="svgd-attack-") as work:
            place = Path(work).resolve() / "place"
            wanted = arguments.command or _COMMANDS
            chosen = [each for each in scenarios(place.parent, target) if each.name in wanted]
            for scenario in chosen:
                moments = arguments.random // len(chosen)
                for kind, attack in _attacks(scenario, place, arguments.every, moments):
                    if time.monotonic() > deadline:
                        left_out += 1
                        continue
                    scenario.prepare(place)
                    outcome = run(place, scenario.command(place), attack)
                    tally[target, scenario.name, kind] += 1
                    for fault in _faults(scenario, place, outcome, kind.removeprefix("random ")):
                        faults[f"{target}, {scenario.name}, {kind}: {fault}"] += 1
                        print(f"{target}, {scenario.name}, {kind}, {attack}: {fault}", flush=True)
    for (target, name, kind), count in tally.items():
        print(f"{target:13} {name:16} {kind:15} {count:5}")
    print(f"{tally.total()} attacks, {left_out} left out for time, {faults.total()} faults")
    for fault, count in faults.items():
        print(f"  {count:5} {fault}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
