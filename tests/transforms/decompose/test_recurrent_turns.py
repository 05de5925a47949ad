"""A recurrent layer over many steps, or any number of them, is a Scan that computes what turns in a row do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from decompositions import MODELS, options
from models import GATES
from models import recurrent as classifier

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.decompose import recurrent

LAYERS = [name for name in MODELS if name.split()[0] in GATES]

Unrolled = Callable[[int], None]


@pytest.fixture
def unrolled(monkeypatch: pytest.MonkeyPatch) -> Unrolled:
    """Has layers over so many steps be written out."""
    return lambda steps: monkeypatch.setattr(recurrent, "MOST_UNROLLED", steps)


def batch_of(steps: int, examples: int = 4) -> dict[str, np.ndarray]:
    random = np.random.default_rng(steps)
    x = random.normal(size=(steps, examples, 8)).astype(np.float32)
    return {"x": x, "labels": np.arange(examples) % 5}


def trained(
    model: onnx.ModelProto, folder: Path, batches: list[dict[str, np.ndarray]], **given: Any
) -> list[np.ndarray]:
    """The losses of steps, and the parameters after them."""
    given = {"loss": "cross-entropy", "target": "onnx", "verify": False, **given}
    svgd_onnx.convert(model, folder, **given)
    trainer = svgd_onnx.Trainer(folder, threads=1)
    losses = [trainer.train_step(batch, 0.1) for batch in batches]
    losses += [trainer.evaluate(batch)["loss"] for batch in batches]
    return [np.array(losses), *(trainer.tensor(name) for name in ("W", "R", "B", "head"))]


@pytest.mark.parametrize("name", LAYERS)
def test_its_gradients_are_those_of_central_differences_in_float64(
    name: str, unrolled: Unrolled
) -> None:
    unrolled(1)
    for item in svgd_onnx.check(MODELS[name](), batch_size=3, **options(name)):
        assert item.error < 1e-5, item


@pytest.mark.parametrize("op_type", GATES)
def test_it_trains_as_turns_in_a_row(op_type: str, unrolled: Unrolled, tmp_path: Path) -> None:
    """Of the usual size."""
    steps, found = 40, []
    for most in (steps, 1):
        unrolled(most)
        batches = [batch_of(steps)] * 3
        found.append(trained(classifier(op_type, steps, 64), tmp_path / str(most), batches))
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op_type", GATES)
def test_it_takes_batches_of_any_number_of_steps(op_type: str, tmp_path: Path) -> None:
    batches = [batch_of(7), batch_of(50), batch_of(1)]
    losses, *parameters = trained(classifier(op_type, "time", 16), tmp_path / "open", batches)
    assert np.isfinite(losses).all()
    fixed = trained(classifier(op_type, 7, 16), tmp_path / "fixed", batches[:1])
    opened = trained(classifier(op_type, "time", 16), tmp_path / "once", batches[:1])
    for one, other in zip(fixed, opened):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", ["onnx", "ort-training"])
def test_its_step_is_as_large_however_many_steps_there_are(target: str, tmp_path: Path) -> None:
    sizes = []
    for steps in (100, 65_536):
        folder = tmp_path / str(steps)
        svgd_onnx.convert(classifier("LSTM", steps, 4), folder, target=target, verify=False)
        step = onnx.load(folder / TARGETS[target].step)
        sizes.append(len(step.graph.node))
    assert sizes[0] == sizes[1]


def test_onnxruntimes_builder_is_not_asked_for_it(tmp_path: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="does not take it over more than 32 steps"):
        svgd_onnx.convert(
            classifier("LSTM", 33, 4), tmp_path / "artifacts", differentiator="onnxruntime"
        )
