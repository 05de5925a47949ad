"""Labels and token ids that are out of range, under valgrind: no kernel reads or writes where nothing is.

    python -m tools.attack.memory [--targets onnx ort-training] [--unchecked]

Batches go to the session, past all that looks at data in Python. onnxruntime allocates each tensor by itself,
so that valgrind knows where it ends. Prints for each target how many batches were refused and how many accesses
of onnxruntime valgrind found invalid, and ends with exit code 1 if one was, or if a batch was taken.
`--unchecked` leaves out what looks at indices in the graph: a control, which shows that valgrind finds what is
wrong then.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import onnx

import svgd_onnx
from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms import check_indices

CLASSES, ROWS = 4, 5
BEYOND = (CLASSES, CLASSES + 1, 40, 10**4, 10**6, 2**40, 2**63 - 1, -1, -5, -(10**6), -(2**63))
_BLOCK = re.compile(
    r"^==\d+== (?:Invalid (?:read|write)|Process terminating).*\n(?:==\d+==  .*\n)+", re.M
)


def model() -> onnx.ModelProto:
    """token (N) -> logits (N, C) of an embedding of 5 rows, C as many as k (3, C) has columns."""
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]>
        g (int64[N] token, float[3,C] k) => (float[N,C] y) {
            row = Gather(table, token)
            hidden = MatMul(row, w)
            y = MatMul(hidden, k)
        }"""
    )
    random = np.random.default_rng(0)
    for name, shape in (("table", (ROWS, 4)), ("w", (4, 3))):
        array = random.normal(size=shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return proto


def batches() -> Iterator[list[np.ndarray]]:
    """Token, k and labels; in each a number is out of range."""
    k = np.ones((3, CLASSES), np.float32)
    right = np.array([0, 1, 2])
    for number in BEYOND:
        wrong = np.array([0, number, 2])
        yield [right, k, wrong]
        if not -ROWS <= number < ROWS:
            yield [wrong, k, right]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--unchecked", action="store_true")
    parser.add_argument("--attack", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        _attack(arguments.attack)
        return
    failed = False
    for target in arguments.targets:
        if target == "ort-training" and not has_training():
            continue
        with tempfile.TemporaryDirectory() as folder:
            left_out = mock.patch.dict(check_indices.CHECKS, clear=True)
            with left_out if arguments.unchecked else nullcontext():
                svgd_onnx.convert(model(), Path(folder) / "artifacts", target=target, verify=False)
            taken, invalid, said = _under_valgrind(Path(folder) / "artifacts")
        print(f"{target}: {said}; invalid accesses of onnxruntime: {invalid}", flush=True)
        failed |= bool(taken or invalid)
    sys.exit(failed and not arguments.unchecked)


def _under_valgrind(folder: Path) -> tuple[bool, int, str]:
    command = ["valgrind", "--error-limit=no", "--num-callers=12", sys.executable]
    done = subprocess.run(
        [*command, "-m", "tools.attack.memory", "--attack", str(folder)],
        env={**os.environ, "PYTHONMALLOC": "malloc", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    blocks = [found[0] for found in _BLOCK.finditer(done.stderr) if "onnxruntime" in found[0]]
    for block in blocks[:2]:
        print(block)
    lines = done.stdout.strip().splitlines() or [f"ended with {done.returncode}"]
    return not lines[-1].startswith("taken 0,"), len(blocks), lines[-1]


def _attack(folder: Path) -> None:
    """Steps and evaluations on all batches, and whether they were refused."""
    import onnxruntime

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.enable_cpu_mem_arena = False

    taken = refused = 0
    with mock.patch.object(onnxruntime, "SessionOptions", Options):
        session = svgd_onnx.Trainer(folder, threads=1)._session
        for arrays in batches():
            for run in (
                lambda: session.train_step(arrays, 0.1, update=True, seed=None),  # noqa: B023
                lambda: session.eval_step(arrays),  # noqa: B023
            ):
                try:
                    run()
                    taken += 1
                except svgd_onnx.UserError:
                    refused += 1
                print(f"taken {taken}, refused {refused}", flush=True)


if __name__ == "__main__":
    main()
