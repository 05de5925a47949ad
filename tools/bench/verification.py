"""What verification adds to a conversion, in seconds and in memory.

    python -m tools.bench.verification NAME... [--stock PYTHON] [--repeats N] [--output FILE.json]

A name is one of `tools.usual_models` or `tools.networks`. Everything runs in a process of its own, a conversion
without verification beside one with it. "without" and "with" are seconds of `convert`, medians; "times" is the
median of their ratios, "worked" that of the seconds that their threads worked, which other work on the
machine changes less. A peak is the most that a process ever had resident; "of training" is that of
`svgd-onnx train --steps 3` on a batch of the same sizes. `--stock` is the Python of an environment with a stock
onnxruntime, for the target onnx.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from tools.bench.report import report
from tools.bench.verification_worker import files
from tools.networks import NETWORKS
from tools.usual_models import USUAL_MODELS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = [*USUAL_MODELS, *NETWORKS]
    parser.add_argument("names", nargs="+", metavar="NAME", choices=known, help=", ".join(known))
    parser.add_argument("--stock", help="a Python with a stock onnxruntime, for the target onnx")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for models and artifacts (a temporary one)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/verification.json"))
    arguments = parser.parse_args()
    pythons = {"ort-training": sys.executable, "onnx": arguments.stock or sys.executable}
    rows = []
    for name in arguments.names:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            model = Path(folder) / "model.onnx"
            options = _write(name, model)
            for target, python in pythons.items():
                rows.append(_measure(name, model, options, target, python, arguments.repeats))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report("Verification beside conversion", rows, arguments.output)


def _write(name: str, path: Path) -> dict[str, Any]:
    """Writes a model; what `convert` is to be told of it."""
    if name in NETWORKS:
        onnx.save(NETWORKS[name](0), path)
        return {}
    USUAL_MODELS[name].write(path)
    return dict(USUAL_MODELS[name].options)


def _measure(
    name: str, model: Path, options: dict[str, Any], target: str, python: str, repeats: int
) -> dict[str, Any]:
    folder, batch = model.parent / target, model.parent / "batch.npz"
    without, verified = (
        json.dumps({**options, "target": target, "verify": verify}) for verify in (False, True)
    )
    plain, whole = [], []
    for _ in range(repeats):
        plain.append(_run(python, "convert", model, folder, without))
        whole.append(_run(python, "convert", model, folder, verified))
    _run(python, "batch", model, json.dumps(options), batch)
    step = _run(python, "train", folder, batch)["bytes"]
    peaks = [max(run["bytes"] for run in runs) for runs in (plain, whole)]
    return {
        "model": name,
        "target": target,
        "MB": sum(file.stat().st_size for file in files(model)) / 1e6,
        "without (s)": statistics.median(run["seconds"] for run in plain),
        "with (s)": statistics.median(run["seconds"] for run in whole),
        "times": _times("seconds", plain, whole),
        "worked": _times("worked", plain, whole),
        "peak (MB)": peaks[0] / 1e6,
        "peak with (MB)": peaks[1] / 1e6,
        "of training (MB)": step / 1e6,
        "times that": peaks[1] / step,
    }


def _times(what: str, plain: list[dict[str, Any]], whole: list[dict[str, Any]]) -> float:
    return statistics.median(two[what] / one[what] for one, two in zip(plain, whole))


def _run(python: str, command: str, *words: Path | str) -> dict[str, Any]:
    line = [python, "-m", "tools.bench.verification_worker", command, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
