"""Which part of the package may import which, read from the source."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import models
import numpy as np
import pytest

import svgd_onnx
from svgd_onnx.targets import TARGETS

ROOT = Path(__file__).parent.parent
NEEDS_ONNX = {"onnx", "onnx_ir"}
# What transforms may read of the package around them: the ground floor, which reads nothing above itself.
GROUND_FLOOR = {"errors", "files", "loss_settings", "records", "runtime", "step_names"}


def modules() -> dict[str, Path]:
    """Every module of the package by the name that it has once it is installed."""
    found = {}
    for folder, prefix in (("svgd_onnx", ()), ("transforms", ("svgd_onnx",))):
        for path in (ROOT / folder).rglob("*.py"):
            parts = [*prefix, *path.relative_to(ROOT).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def statements(node: ast.AST, *, deferred: bool) -> Iterator[ast.stmt]:
    """The statements that run on import, and with `deferred` those of functions too; not those for types."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.FunctionDef | ast.Lambda) and not deferred:
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements(child, deferred=deferred)


def imports(name: str, *, deferred: bool) -> set[str]:
    """What a module imports: modules of the package, and the top-level names of others."""
    found = set()
    for statement in statements(ast.parse(MODULES[name].read_text()), deferred=deferred):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            inner = {f"{base}.{alias.name}" for alias in statement.names} & MODULES.keys()
            found |= inner or {base}
    return {each if each in MODULES else each.partition(".")[0] for each in found}


def room(name: str) -> str:
    """The part of the house that a module lies in: a folder, a stage of transforms, or a file of its own."""
    parts = name.split(".")[1:]
    return "/".join(parts[:2] if parts[0] == "transforms" else parts[:1])


def reached(start: str) -> dict[str, list[str]]:
    """Everything that importing a module imports, with the way to it."""
    ways: dict[str, list[str]] = {start: [start]}
    pending = [start]
    while pending:
        name = pending.pop()
        if name not in MODULES:
            continue
        packages = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        for other in (imports(name, deferred=False) | packages) - ways.keys():
            ways[other] = [*ways[name], other]
            pending.append(other)
    return ways


def test_imports_between_the_parts_run_one_way() -> None:
    arrows: dict[str, set[str]] = defaultdict(set)
    for name in MODULES.keys() - {"svgd_onnx", "svgd_onnx.__main__"}:
        for other in imports(name, deferred=True) & MODULES.keys() - {"svgd_onnx"}:
            if room(other) != room(name):
                arrows[room(name)].add(room(other))
    try:
        list(graphlib.TopologicalSorter(arrows).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", sorted(each for each in MODULES if ".transforms" in each))
def test_transforms_read_nothing_above_them(name: str) -> None:
    above = {room(each) for each in imports(name, deferred=True) & MODULES.keys()}
    assert {each for each in above if not each.startswith("transforms")} <= GROUND_FLOOR


@pytest.mark.parametrize(
    "name",
    sorted(
        each for each in MODULES if each.startswith(("svgd_onnx.training", "svgd_onnx.federated"))
    ),
)
def test_training_reaches_nothing_that_imports_onnx(name: str) -> None:
    ways = reached(name)
    assert not [" -> ".join(ways[each]) for each in NEEDS_ONNX & ways.keys()]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("optimizer", ["svgd", "adamw"])
def test_a_device_without_onnx_trains(target: str, optimizer: str, tmp_path: Path) -> None:
    model = models.mlp()
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, optimizer=optimizer)
    np.savez(tmp_path / "data.npz", **models.examples(model, 8))
    program = f"""
import sys
sys.modules.update(onnx=None, onnx_ir=None)
from svgd_onnx.training import data
from svgd_onnx.training.trainer import Trainer
trainer = Trainer({str(tmp_path / "artifacts")!r})
examples = data.load({str(tmp_path / "data.npz")!r})
trainer.train(examples, steps=3, batch_size=4, learning_rate=0.1, validation=examples)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "export"])
def test_commands_of_a_device_import_no_onnx(command: str) -> None:
    program = f"""
import sys
from svgd_onnx import cli
sys.argv = ["svgd-onnx", "{command}", "--help"]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code
assert not {{"onnx", "onnx_ir"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_without_onnx_its_commands_say_so() -> None:
    program = """
import sys
sys.modules.update(onnx=None, onnx_ir=None)
from svgd_onnx import cli
sys.argv = ["svgd-onnx", "convert", "model.onnx", "--output", "artifacts"]
cli.main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 2 and "This environment only trains" in ended.stderr


def test_a_trainer_is_imported_without_what_only_a_terminal_or_a_training_needs() -> None:
    """Each is a tenth of the time that the import takes."""
    program = "import sys; from svgd_onnx import Trainer; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not {"rich", "typer", "filelock", "onnx", "safetensors.torch"} & set(run.stdout.split())
