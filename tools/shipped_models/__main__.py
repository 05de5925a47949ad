"""What becomes of models that packages ship: a folder of .onnx files, as they are.

    python -m tools.shipped_models FOLDER [NAME...] [--target TARGET] [--seconds N]

FOLDER may have an `options.json`: by the file's name without its ending, keywords of `convert` and of
`LossSettings`, and `batch_size` and `random_size` of the random data. Each model is inspected, converted with
what conversion verifies, exported before a step and after five, and checked, for each target in a process of
its own.

"Untrained" is how far outputs of the model exported before a step are from the file's; "loss" the losses of
the first step and of the exported model after the last; "export" how far the latter is from what `evaluate`
says; "slopes" the median error of gradients of the first step of SGD, of up to twelve parameters, beside
central differences of the exported file in onnxruntime, which has float32 only; "check" the largest error
beside differences in float64, of six.

Verdicts: "right, not checked" where `check` refuses and all else agrees; "export not compared" where the
exported model's probabilities are 0 or 1, so that its loss is not finite, and `evaluate`'s is; "refused,
inspect did not" where only conversion refuses; "converted, not trained" where a step refuses the data; "the
file does not load" where onnxruntime does not run it as it is; "too slow" where the time was up.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from svgd_onnx.targets import TARGETS

COLUMNS = ("trained", "untrained", "loss", "export", "slopes", "check", "verdict")
# Relative to an output's largest entry; onnxruntime fuses what it finds, and rounds otherwise then.
_SAME, _SLOPE = 1e-4, 0.1
# Of an export in float16: two units in its last place.
_SAME_HALF = 2.0**-9
_REFUSED = 2
_GOOD = ("right", "right, not checked", "refused", "the file does not load")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.shipped_models", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these models")
    parser.add_argument("--target", choices=TARGETS, action="append", help="by default, all")
    parser.add_argument("--seconds", type=int, default=600, help="the longest for one model")
    arguments = parser.parse_args()
    words = arguments.folder / "options.json"
    options = json.loads(words.read_text()) if words.exists() else {}
    table = Table()
    for column in ("model", "target", *COLUMNS):
        table.add_column(column)
    wrong = 0
    for path in sorted(arguments.folder.glob("*.onnx")):
        if arguments.names and path.stem not in arguments.names:
            continue
        for target in arguments.target or TARGETS:
            found, ended = _run(path, target, options.get(path.stem, {}), arguments.seconds)
            verdict = _verdict(found, ended)
            wrong += verdict not in _GOOD
            row = (path.stem, target, *_figures(found), verdict)
            table.add_row(*row)
            print(*row, sep=" | ", file=sys.stderr)
            for sentence in (*found.get("said", ()), *_sentences(found), *ended[1:]):
                print(f"    {sentence}", file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if wrong else 0


def _run(
    path: Path, target: str, options: Mapping[str, Any], seconds: int
) -> tuple[dict[str, Any], list[str]]:
    """What the stages found, and how the process ended where not by itself: in a word, and its last line."""
    line = [sys.executable, "-m", "tools.shipped_models.worker", str(path), target]
    try:
        done = subprocess.run(
            [*line, json.dumps(options)],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        return _stages(said.decode() if isinstance(said, bytes) else said), ["too slow"]
    found = _stages(done.stdout)
    if done.returncode in (0, _REFUSED):
        return found, []
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return found, ["traceback" if done.returncode == 1 else f"died ({done.returncode})", last]


def _stages(lines: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines.splitlines():
        found |= json.loads(line)
    return found


def _figures(found: Mapping[str, Any]) -> list[str]:
    """One for each column but the verdict."""
    slopes = [error for error in found.get("differences", {}).values() if error is not None]
    losses = f"{found['steps'][0]:.4g} {found['loss']:.4g}" if "loss" in found else ""
    numbers = {key: f"{found[key]:.0e}" for key in ("untrained", "export", "check") if key in found}
    return [
        str(found.get("convert", "")),
        numbers.get("untrained", ""),
        losses,
        numbers.get("export", ""),
        f"{statistics.median(slopes):.0e}" if slopes else "",
        numbers.get("check", ""),
    ]


def _verdict(found: Mapping[str, Any], ended: list[str]) -> str:
    if ended:
        return ended[0]
    if found["unloadable"] is not None:
        return "the file does not load"
    if "refused" in found and "convert" in found:
        return "converted, not trained"
    if "refused" in found:
        # where inspecting refuses, it found nothing
        agrees = found.get("inspect", found["refused"]) == found["refused"]
        return "refused" if agrees else "refused, inspect did not"
    slopes = [error for error in found["differences"].values() if error is not None]
    same = _SAME_HALF if found["half"] else _SAME
    # written so that no comparison with NaN passes
    if not (found["untrained"] <= _SAME and math.isfinite(found["evaluated"])):
        return "wrong: export"
    if found.get("wrong") or not (statistics.median(slopes or [0.0]) <= _SLOPE):
        return "wrong: gradients"
    if not math.isfinite(found["loss"]):
        return "export not compared"
    if not found["export"] <= same * max(abs(found["loss"]), 1):
        return "wrong: export"
    if found["unverified"] is not None:
        return "not verified"
    return "right" if "check" in found else "right, not checked"


def _sentences(found: Mapping[str, Any]) -> list[str]:
    sentences = [
        found.get("unloadable"),
        found.get("refused"),
        found.get("unchecked"),
        found.get("unverified"),
        *map(str, found.get("wrong", {}).items()),
    ]
    return [each for each in sentences if each]


if __name__ == "__main__":
    sys.exit(main())
