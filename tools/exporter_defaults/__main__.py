"""What `torch.onnx.export(dynamo=True)` writes with its defaults at the usual size, beside PyTorch's autograd.

    python -m tools.exporter_defaults [NAME...] [--new] [--stock PYTHON] [--folder FOLDER]

Each network is exported, converted for both targets, trained for five steps and exported again. "Memory" is the
peak of conversion beyond the imports, in MB, and in "times" of the model's files; "verified" the same with
verification, and "step" that of training. "Parameters" are those of the PyTorch module, folded as the exporter
folds it, and how many of them are trained; "strange" counts what is trained and is nothing there. "Error" is
the largest difference of a first-step gradient from that of autograd in float64, relative to that gradient's
largest entry or to a millionth of the largest of the model; "autograd" is what autograd in float32 differs by,
on the same scale. "Beyond" counts parameters whose error is more than 1e-3, "worse" those of them for which it
is also more than three times autograd's. "Export" is the difference between the loss of the exported model and
that of `evaluate`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tools.exporter_defaults import export, matching
from tools.exporter_defaults.networks import NETWORKS
from tools.usual_models import trial

# Of rounding, one sample and another.
BAR, FACTOR = 1e-3, 3
COLUMNS = (
    *("network", "target", "MB", "seconds", "memory", "times", "verified", "step", "parameters"),
    *("strange", "error", "autograd", "beyond", "worse", "losses", "step (s)", "export"),
)
# Axes of classes that are not the first after the batch.
OPTIONS = {"gpt2": {"class_axis": 2}}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.exporter_defaults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--new", action="store_true", help="networks as they are initialized")
    parser.add_argument("--stock", help="a Python with a stock onnxruntime, for the target onnx")
    parser.add_argument("--folder", type=Path, help="for exports and artifacts (a temporary one)")
    arguments = parser.parse_args()
    table = Table(title="networks as they are initialized" if arguments.new else "moved networks")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("network", "target") else "right")
    wrong = 0
    for name in arguments.names or NETWORKS:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            kind = "new" if arguments.new else "moved"
            line = ["-m", "tools.exporter_defaults.export", name, kind, folder]
            subprocess.run([sys.executable, *line], check=True, stdout=sys.stderr)
            for target, python in trial.pythons(arguments.stock).items():
                whole = not arguments.new
                row, is_right = _row(Path(folder), name, target, python, is_whole=whole)
                table.add_row(name, target, *row)
                print(name, target, *row, file=sys.stderr, flush=True)
                wrong += not is_right
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if wrong else 0


def _row(
    folder: Path, name: str, target: str, python: str, *, is_whole: bool
) -> tuple[list[str], bool]:
    """What one target makes of an export, and whether it is right, nothing missing where that `is_whole`."""
    options = OPTIONS.get(name, {})
    unproven = {**options, "verify": False}
    model, batch = folder / export.MODEL, folder / export.BATCH
    try:
        plain = folder / f"{target}-sgd"
        trial.convert(python, model, plain, target, {**unproven, "optimizer": "sgd"})
        files = [folder / f"{target}-{each}.npz" for each in ("values", "gradients")]
        trial.run(python, "gradients", plain, batch, *files)
        shutil.rmtree(plain)
        converted = trial.convert(python, model, folder / f"{target}-unproven", target, unproven)
        verified = trial.convert(python, model, folder / target, target, options)
        trained = trial.run(python, "train", folder / target, batch, folder / f"{target}.onnx")
    except trial.TrialError as failed:
        return [str(failed)], False
    found, strange, missing = _compared(folder, *files)
    beyond = [each for each in found if each.error > BAR]
    worse = [each for each in beyond if each.error > FACTOR * each.rounding]
    for each in beyond or sorted(found, key=lambda each: -each.error)[:3]:
        print(f"  {each}", file=sys.stderr)
    print(f"  strange: {strange}\n  not trained: {missing}", file=sys.stderr)
    losses = trained["losses"]
    row = [
        f"{converted.size / 1e6:.1f}",
        f"{converted.seconds:.1f}",
        f"{converted.memory / 1e6:,.0f}",
        f"{converted.times:.2f}",
        f"{verified.memory / 1e6:,.0f}",
        f"{trained['bytes'] / 1e6:,.0f}",
        f"{len(found)} of {len(found) + len(missing)}",
        str(len(strange)),
        f"{max(each.error for each in found):.1e}",
        f"{max(each.rounding for each in found):.1e}",
        str(len(beyond)),
        str(len(worse)),
        f"{losses[0]:.4f} {losses[-1]:.4f}",
        f"{trained['seconds']:.2f}",
        f"{trained['export']:.0e}",
    ]
    return row, not (strange or worse or (is_whole and missing))


def _compared(
    folder: Path, values: Path, gradients: Path
) -> tuple[list[matching.Match], list[str], list[str]]:
    reference = matching.Reference(
        *(
            dict(np.load(folder / each))
            for each in (export.VALUES, export.GRADIENTS, export.GRADIENTS_IN_SINGLE)
        )
    )
    return matching.match(dict(np.load(values)), dict(np.load(gradients)), reference)


if __name__ == "__main__":
    sys.exit(main())
