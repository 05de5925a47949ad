"""What training takes of a device: disk, the time to import, and memory.

    python -m tools.bench.footprint [--torch PYTHON] [--output FILE.json]

Installs svgd-onnx[stock] into a new environment, and measures there: first as it is, then without the library
of our operators, on standard kernels. `--torch` is the Python of an environment
with PyTorch, whose step and peak of memory then stand beside ours; all train the paper's VGG on batches of 128.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import svgd_onnx
from tools.bench.report import report
from tools.bench.targets import BENCHED, Worker, artifacts_worker, take_turns
from tools.networks import NETWORKS

ROOT = Path(__file__).parents[2]
IMPORTS = {
    "import svgd_onnx": "import svgd_onnx",
    "the command line": "import svgd_onnx.cli",
    "a Trainer and onnxruntime": "import onnxruntime; from svgd_onnx.targets.standard_onnx import session; "
    "from svgd_onnx import Trainer",
}
FRESH_PROCESSES = 11
BYTECODE = "bytecode of Python"
NETWORK, TURNS = "paper_vgg", 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", help="a Python with PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/bench/footprint.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment, artifacts = Path(folder) / "environment", Path(folder) / "artifacts"
        python, sizes = _install(environment)
        svgd_onnx.convert(NETWORKS[NETWORK](0), artifacts, target="onnx")
        shape = BENCHED[NETWORK]
        imports = {name: [_import_time(python, name)] for name in IMPORTS}
        with_library = artifacts_worker(python, artifacts, given.threads, shape)
        (library,) = environment.rglob("libsvgd_onnx_custom_ops.*")
        sizes.insert(
            -3, {"package": f"of svgd-onnx, {library.name}", "MB": library.stat().st_size / 1e6}
        )
        library.unlink()
        for name, seconds in imports.items():
            seconds.append(_import_time(python, name))
        workers = {
            "SVGD": with_library,
            "SVGD without the library": artifacts_worker(python, artifacts, given.threads, shape),
            **_pytorch(given.torch, given.threads, shape),
        }
        taken, peaks = take_turns(workers, TURNS)
    steps = [
        {"kind": kind, "ms": 1e3 * statistics.median(each), "peak MB": peaks[kind] / 1e6}
        for kind, each in taken.items()
    ]
    columns = ("seconds", "without the library")
    starts = [{"what": name, **dict(zip(columns, each))} for name, each in imports.items()]
    for title, rows in (
        ("Disk, beyond a new environment of Python", sizes),
        (f"Imports, median of {FRESH_PROCESSES} processes", starts),
        (f"Training {NETWORK}, batches of {shape[0]}", steps),
    ):
        output = given.output
        report(title, rows, output.with_name(f"{output.stem}_{title.split()[0].lower()}.json"))


def _install(environment: Path) -> tuple[str, list[dict[str, Any]]]:
    """The new environment's Python, and what each package weighs."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    before = _sizes(environment)
    options = ["--quiet", "--config-settings=cmake.define.SVGD_CUDA=OFF"]
    subprocess.run([python, "-m", "pip", "install", *options, f"{ROOT}[stock]"], check=True)
    added = {
        name: size - before.get(name, 0)
        for name, size in _sizes(environment).items()
        if size > before.get(name, 0)
    }
    bytecode = added.pop(BYTECODE)
    large = {name: size for name, size in added.items() if size >= 1e6}
    rows = [(name, size) for name, size in sorted(large.items(), key=lambda item: -item[1])]
    without = sum(added.values())
    rows.append((f"{len(added) - len(large)} below 1 MB", without - sum(large.values())))
    rows.append(("all, with pip install --no-compile", without))
    rows.append((BYTECODE, bytecode))
    rows.append(("all", without + bytecode))
    return python, [{"package": name, "MB": size / 1e6} for name, size in rows]


def _sizes(environment: Path) -> dict[str, int]:
    """Bytes on the disk by package, which is the folder in site-packages that a file is in."""
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for path in environment.rglob("*"):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(packages).parts[0] if packages in path.parents else "others"
            # numpy, numpy.libs and numpy-2.4.0.dist-info are one
            package = name.split(".")[0].split("-")[0]
            if path.suffix == ".pyc":
                package = BYTECODE
            sizes[package] = sizes.get(package, 0) + 512 * path.stat().st_blocks
    return sizes


def _import_time(python: str, name: str) -> float:
    """Seconds, the median."""
    subprocess.run([python, "-c", IMPORTS[name]], check=True)  # bytecode, and files in memory
    script = f"import time; start = time.perf_counter(); {IMPORTS[name]}; print(time.perf_counter() - start)"
    runs = [
        subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
        for _ in range(FRESH_PROCESSES)
    ]
    return statistics.median(float(run.stdout) for run in runs)


def _pytorch(python: str | None, threads: int, shape: tuple[int, ...]) -> dict[str, Worker]:
    if python is None:
        return {}
    module = [python, "-m", "tools.bench.pytorch_worker", NETWORK]
    return {
        f"PyTorch, {optimizer}": Worker([*module, optimizer, threads, *shape])
        for optimizer in ("sgd", "adam", "svgd")
    }


if __name__ == "__main__":
    main()
