"""The custom operators under AddressSanitizer and UndefinedBehaviorSanitizer, on random everything.

    python -m tools.attack.operator [--cases 100000] [--runs 10000] [--seed 0]

First the kernels by themselves, `custom_ops/tests/virtual_gradient_fuzz.cc`: shapes with axes of 0, 1, odd and
large sizes, the four element types, attributes at the ends of their ranges, NaN and infinities; and a tenth as
many convolutions, `convolution_fuzz.cc` there, heads of attention, `attention_fuzz.cc`, and products of
matrices, `matrix_product_fuzz.cc`, of random shapes, beside double precision. Then T in a session of the
onnxruntime that is installed, with inputs of shapes that fit or do not, and attributes that it has to
refuse. A crash, a report of a sanitizer, a wrong number and an error that is not one of the operator's own
sentences are faults. Needs cmake, ninja and g++; builds into build/.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
BUILD = ROOT / "build" / "sanitize-address,undefined"
_IN_SESSION = "SVGD_OPERATOR_ATTACK"
RUNS_OF_A_SESSION = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if _IN_SESSION in os.environ:
        sys.exit(_attack(arguments.runs, arguments.seed))
    _build()
    fuzzes = {
        "svgd_kernel_fuzz": arguments.cases,
        "svgd_convolution_fuzz": arguments.cases // 10,
        "svgd_attention_fuzz": arguments.cases // 10,
        "svgd_matrix_product_fuzz": arguments.cases // 10,
    }
    kernels = [
        subprocess.run([BUILD / program, str(cases), str(arguments.seed)]).returncode
        for program, cases in fuzzes.items()
    ]
    # Python and onnxruntime have no sanitizers, so these are loaded before them, and what they leave
    # behind at exit is not looked for.
    libraries = (
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    )
    given = {"LD_PRELOAD": ":".join(libraries), "ASAN_OPTIONS": "detect_leaks=0", _IN_SESSION: "1"}
    command = [sys.executable, "-m", "tools.attack.operator", *sys.argv[1:]]
    session = subprocess.run(command, env={**os.environ, **given}, cwd=ROOT).returncode
    print(f"tally: kernels exit {kernels}, operator in a session exit {session}", flush=True)
    sys.exit(1 if any(kernels) or session else 0)


def _build() -> None:
    options = ["-DSVGD_BUILD_TESTS=ON", "-DSVGD_CUDA=OFF", "-DSVGD_SANITIZE=address,undefined"]
    configure = ["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", *options]
    for command in (configure, ["cmake", "--build", BUILD]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _attack(runs: int, seed: int) -> int:
    """Runs the operator; 1 if something is wrong."""
    tally: Counter[str] = Counter()
    random = np.random.default_rng(seed)
    while sum(tally.values()) < runs:
        try:
            session = _Session(random)
        except Exception as error:  # the binding has an exception class for each status
            tally[_judged(error, "attributes refused")] += 1
            continue
        for _ in range(RUNS_OF_A_SESSION):
            tally[session.run(random)] += 1
    wrong = sum(count for what, count in tally.items() if what.startswith("FAULT"))
    for what, count in sorted(tally.items()):
        print(f"operator: {count:6} {what}")
    print(f"operator: {sum(tally.values())} runs, {wrong} wrong", flush=True)
    return int(wrong > 0)


def _judged(error: Exception, kind: str) -> str:
    """An error that is one of the operator's own sentences is right."""
    text = str(error)
    return kind if "VirtualGradient: " in text or "GradientFactor: " in text else f"FAULT: {text}"


class _Session:
    """The operator with random attributes, one type and one rank."""

    def __init__(self, random: np.random.Generator) -> None:
        import onnxruntime
        from onnx import TensorProto, helper

        double = TensorProto.DOUBLE
        kinds = [TensorProto.FLOAT, double, TensorProto.FLOAT16, TensorProto.BFLOAT16]
        element = int(random.choice(kinds))
        number = double if element == double else TensorProto.FLOAT
        self._dtype: type[np.floating[Any]] = np.float64 if element == double else np.float32
        self._axis = int(random.integers(1, 5)) if random.random() < 0.5 else None
        values: dict[str, Any] = {
            "rho": float(random.choice([0, 0.5, 0.9, 0.99999994])),
            "epsilon": float(random.choice([1e-6, 1, 1e-45])),
            "scale": float(random.choice([0.01, 82, 1e-30])),
        }
        if self._axis is not None:
            values["channel_axis"] = self._axis
        if random.random() < 0.3:
            values["per_example"] = 1
        if random.random() < 0.1:
            odd = [("rho", 1.0), ("rho", float("nan")), ("epsilon", 0.0), ("scale", float("inf"))]
            odd += [("scale", -1.0), ("rho", 0), ("channel_axis", 0), ("channel_axis", -7)]
            name, value = odd[random.integers(len(odd))]
            values[name] = value
        self._factor = bool(random.random() < 0.3)
        op_type = "GradientFactor" if self._factor else "VirtualGradient"
        node = helper.make_node(
            op_type, ["cast", "r"], ["out", "r_new"], domain="ai.svgd", **values
        )
        # NumPy has no bfloat16
        cast = helper.make_node("Cast", ["dy"], ["cast"], to=element)
        back = helper.make_node("Cast", ["out"], ["out_number"], to=number)
        infos = [
            helper.make_tensor_value_info(name, number, None)
            for name in ("dy", "r", "out_number", "r_new")
        ]
        graph = helper.make_graph([cast, node, back], "t", infos[:2], infos[2:])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(random.integers(1, 3))
        options.log_severity_level = 4
        options.register_custom_ops_library(str(BUILD / "libsvgd_onnx_custom_ops.so"))
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, random: np.random.Generator) -> str:
        """What came of a run."""
        rank = int(random.integers(0, 6))
        sizes = [int(random.choice([0, 1, 2, 3, 7, 16, 33, 257])) for _ in range(rank)]
        while np.prod(sizes, dtype=np.int64) > 1 << 17:
            sizes[int(np.argmax(sizes))] = 1
        fits = rank > 0 and (self._axis is None or self._axis < rank)
        r_shape = [sizes[self._axis]] if fits and self._axis is not None else sizes[1:]
        if random.random() < 0.15:
            r_shape = [*r_shape, int(random.integers(0, 4))]
            fits = False
        dy = np.asarray(random.standard_normal(sizes), self._dtype)
        r = np.asarray(np.abs(random.standard_normal(r_shape)), self._dtype)
        if random.random() < 0.3 and dy.size:
            dy.reshape(-1)[random.integers(dy.size)] = random.choice([np.nan, np.inf, -np.inf])
        try:
            out, r_new = self._session.run(None, {"dy": dy, "r": r})
        except Exception as error:  # the binding has an exception class for each status
            return _judged(error, "shapes refused") if not fits else f"FAULT: refused: {error}"
        if not fits:
            return f"FAULT: took dY {sizes} and r {r_shape}"
        wanted = r_shape if self._factor else sizes
        if list(out.shape) != list(wanted) or list(r_new.shape) != list(r_shape):
            return f"FAULT: shape {out.shape} for {wanted}"
        return "ran"


if __name__ == "__main__":
    main()
