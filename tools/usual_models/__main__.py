"""Models of the usual size, converted, trained and exported, for both targets.

    python -m tools.usual_models [NAME...] [--reduced] [--stock PYTHON] [--folder FOLDER]

"Parameters" are those that the model is known to have, and how many are trained; "strange" counts constants
that are trained. "Memory" is the peak of conversion beyond the imports, in MB and in "times" of the model's
files; "verified" the same with verification, and "step" that of training, on two examples; "step (s)" the
seconds of a step of SVGD. "Error" is the largest of the first-step gradients beside central differences in
float64 (see directions.py); "export" the difference between the loss of the exported model after five steps and
that of `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.usual_models import USUAL_MODELS, UsualModel, trial

COLUMNS = (
    *("model", "target", "MB", "parameters", "strange", "seconds", "memory", "times", "verified"),
    *("step", "losses", "step (s)", "error", "export"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.usual_models", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(USUAL_MODELS))
    parser.add_argument("--reduced", action="store_true", help="small ones of the same forms")
    parser.add_argument("--stock", help="a Python with a stock onnxruntime, for the target onnx")
    parser.add_argument("--folder", type=Path, help="for models and artifacts (a temporary one)")
    arguments = parser.parse_args()
    table = Table(title="models of the usual size" if not arguments.reduced else "reduced models")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    wrong = 0
    for name in arguments.names or USUAL_MODELS:
        entry = USUAL_MODELS[name]
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            model = Path(folder) / "model.onnx"
            expected = (entry.write_reduced if arguments.reduced else entry.write)(model)
            for target, python in trial.pythons(arguments.stock).items():
                row, is_right = _row(entry, model, set(expected), target, python)
                table.add_row(name, target, *row)
                print(name, target, *row, file=sys.stderr, flush=True)
                wrong += not is_right
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if wrong else 0


def _row(
    entry: UsualModel, model: Path, expected: set[str], target: str, python: str
) -> tuple[list[str], bool]:
    """What one target makes of a model, and whether that is right."""
    folder, options = model.parent, json.dumps(dict(entry.options))
    batch, values, gradients = (folder / f"{each}.npz" for each in ("batch", "values", "gradients"))
    plain, unproven = folder / f"{target}-sgd", {**entry.options, "verify": False}
    try:
        if not batch.exists():
            trial.run(python, "batch", model, options, batch)
        trial.convert(python, model, plain, target, {**unproven, "optimizer": "sgd"})
        found = trial.run(python, "gradients", plain, batch, values, gradients)
        shutil.rmtree(plain)
        checked = trial.run(python, "check", model, options, batch, gradients)
        converted = trial.convert(python, model, folder / f"{target}-unproven", target, unproven)
        verified = trial.convert(python, model, folder / target, target, entry.options)
        trained = trial.run(python, "train", folder / target, batch, folder / f"{target}.onnx")
    except trial.TrialError as error:
        return [str(error)], False
    names, losses = set(found["trained"]), trained["losses"]
    row = [
        f"{converted.size / 1e6:,.1f}",
        f"{len(names & expected)} of {len(expected)}",
        str(len(names - expected)),
        f"{converted.seconds:.1f}",
        f"{converted.memory / 1e6:,.0f}",
        f"{converted.times:.2f}",
        f"{verified.memory / 1e6:,.0f}",
        f"{trained['bytes'] / 1e6:,.0f}",
        f"{losses[0]:.4f} {losses[-1]:.4f}",
        f"{trained['seconds']:.2f}",
        f"{checked['error']:.0e}",
        f"{trained['export']:.0e}",
    ]
    return row, names == expected and checked["error"] < entry.tolerance


if __name__ == "__main__":
    sys.exit(main())
