"""The docstrings of what the package exports: they are whole, and their examples run."""

from __future__ import annotations

import doctest
import inspect
import pathlib
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import models
import numpy as np
import onnx
import pytest

import svgd_onnx

NAMES = [name for name in svgd_onnx.__all__ if name != "__version__"]
_FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def _callables(name: str) -> Iterator[tuple[str, Any]]:
    """A function, or a class's own public methods."""
    exported = getattr(svgd_onnx, name)
    if not inspect.isclass(exported):
        yield name, exported
        return
    for kind in exported.__mro__:
        if kind.__module__.startswith("svgd_onnx"):
            for method, function in vars(kind).items():
                if not method.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method}", function


def _section(text: str, title: str) -> str:
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    return found.group(1) if found else ""


def _documented(text: str, *titles: str) -> set[str]:
    """The names that sections of a docstring say something of."""
    lines = re.findall(
        r"^    ([\w*, \n]+?):", "".join(_section(text, each) for each in titles), re.MULTILINE
    )
    return {name.strip(" *") for line in lines for name in line.replace("\n", " ").split(",")}


FUNCTIONS = {name: function for each in NAMES for name, function in _callables(each)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_said_and_what_is_returned(name: str) -> None:
    function = FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    own = inspect.signature(inspect.unwrap(function), follow_wrapped=False)
    wanted = set(own.parameters) - {"self", "cls"}
    assert wanted <= _documented(text, "Args")
    # of what takes nothing, the one sentence is that
    if wanted and own.return_annotation not in ("None", inspect.Signature.empty):
        assert _section(text, "Returns"), "says nothing of what it returns"


@pytest.mark.parametrize("name", [name for name in NAMES if is_dataclass(getattr(svgd_onnx, name))])
def test_every_field_of_a_class_is_said(name: str) -> None:
    kind = getattr(svgd_onnx, name)
    said = _documented(inspect.getdoc(kind) or "", "Attributes", "Args")
    assert set(inspect.signature(kind).parameters) <= said


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_example(name: str) -> None:
    assert ">>>" in _section(inspect.getdoc(getattr(svgd_onnx, name)) or "", "Example")


@pytest.fixture
def names(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What docs/reference/python.md says that examples find."""
    monkeypatch.chdir(tmp_path)
    network = models.Network()
    hidden = network.node("Relu", _gemm(network, "fc1", "image", 64, 16))
    network_output = _gemm(network, "fc2", hidden, 16, 10, output="scores")
    onnx.save(
        network.model({"image": ("batch", 64)}, {network_output: ("batch", 10)}), "model.onnx"
    )
    random = np.random.default_rng(0)
    centers = random.normal(size=(10, 64))
    labels = np.arange(64) % 10
    images = (centers[labels] + 0.1 * random.normal(size=(64, 64))).astype(np.float32)
    np.savez("train.npz", image=images, labels=labels)
    svgd_onnx.convert("model.onnx", "artifacts", verify=False)
    return {
        "svgd_onnx": svgd_onnx,
        "numpy": np,
        "pathlib": pathlib,
        "images": images,
        "labels": labels,
        "examples": {"image": images, "labels": labels},
        "trainer": svgd_onnx.Trainer("artifacts", threads=1),
    }


def _gemm(
    network: models.Network, name: str, value: str, *sizes: int, output: str | None = None
) -> str:
    weights = network.weight(f"{name}.weight", *sizes), network.weight(f"{name}.bias", sizes[1])
    return network.node("Gemm", value, *weights, output=output)


EXAMPLES = {name: text for name in NAMES if (text := inspect.getdoc(getattr(svgd_onnx, name)))} | {
    name: text for name, each in FUNCTIONS.items() if ">>>" in (text := inspect.getdoc(each) or "")
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_says(name: str, names: dict[str, Any]) -> None:
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, 0)
    printed: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    failed, _ = runner.run(example, out=printed.append)
    if failed:
        pytest.fail("".join(printed))
