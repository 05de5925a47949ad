"""Large parameters of the target onnx are written over where they lie, once the loss is known to be finite."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fast_forms import assert_conversion_keeps_it, converted, operators
from models import CLASSES, FEATURES, Network, examples, mlp

import svgd_onnx
from svgd_onnx.errors import Advice
from svgd_onnx.step_names import IN_PLACE
from svgd_onnx.targets.standard_onnx.file_names import FAST_STEP
from svgd_onnx.transforms.emit import gradient_checks
from svgd_onnx.transforms.emit.standard_onnx import overwritten, parameter_update
from svgd_onnx.transforms.emit.standard_onnx.descent_of_rows import descent_of_rows
from svgd_onnx.transforms.writer import Writer

RATE, STEPS = 0.05, 4
Rows = tuple[ir.Value, ir.Value]
OPTIONS: dict[str, Mapping[str, Any]] = {
    "svgd": {},
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "momentum"},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop"},
    "with weight decay": {"optimizer": "sgd", "weight_decay": 0.1},
    "of a norm": {"clip_norm": 0.5},
    "clipped": {"clip_value": 0.01},
    "with l1": {"l1": 1e-3},
    "averaged": {"ema": 0.9},
    "with norms": {"gradient_norms": True},
}


def embedded() -> onnx.ModelProto:
    """Two embeddings, some rows of which a batch takes several times, and a layer."""
    net = Network()
    spread = net.constant("spread", np.float32(3))
    ids = net.node("Cast", net.node("Abs", net.node("Mul", "image", spread)), to=7)
    value = net.node("Gather", net.weight("words", 40, 6), ids)
    positions = net.constant("positions", np.arange(FEATURES))
    value = net.node("Add", value, net.node("Gather", net.weight("places", 9, 6), positions))
    value = net.node("ReduceMean", net.node("Tanh", value), axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("head", 6, CLASSES), output="logits")
    return net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {"mlp": mlp, "embedded": embedded}


@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_checks, "_LARGE", 1)


def in_place(folder: Path) -> list[str]:
    metadata = onnx.load(folder / FAST_STEP).metadata_props
    return json.loads({each.key: each.value for each in metadata}.get(IN_PLACE, "[]"))


def trained(folder: Path, batch: Mapping[str, np.ndarray]) -> tuple[dict[str, bytes], list[float]]:
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=2)
    losses = [trainer.train_step(batch, RATE) for _ in range(STEPS)]
    return tensors(trainer), losses


def tensors(trainer: svgd_onnx.Trainer) -> dict[str, bytes]:
    manifest = trainer.manifest
    names = [each.name for each in (*manifest.parameters, *manifest.states)]
    names += [str(each.state) for each in manifest.operations if each.state]
    return {name: trainer.tensor(name).tobytes() for name in names}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("options", OPTIONS)
def test_steps_have_the_same_bits_as_apart(
    options: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = NETWORKS[network]()
    batch = examples(model)
    apart = converted(model, tmp_path / "apart", "onnx", **OPTIONS[options])
    assert in_place(apart) == []
    monkeypatch.setattr(gradient_checks, "_LARGE", 1)
    over = converted(model, tmp_path / "over", "onnx", **OPTIONS[options])
    assert in_place(over)
    assert trained(over, batch) == trained(apart, batch)


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("spoiled", [1e30, 3e38])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_spoiled_batch_changes_nothing(options: str, spoiled: float, tmp_path: Path) -> None:
    folder = converted(mlp(), tmp_path / "artifacts", "onnx", **OPTIONS[options])
    batch = examples(mlp())
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=2)
    trainer.train_step(batch, RATE)
    before = tensors(trainer)
    batch["x"] = batch["x"].copy()
    batch["x"][0] = spoiled
    with pytest.raises(svgd_onnx.UserError, match="not finite|NaN or infinite"):
        trainer.train_step(batch, RATE)
    assert tensors(trainer) == before


@pytest.mark.usefixtures("all_are_large")
def test_a_spoiled_gradient_is_named(tmp_path: Path) -> None:
    """Its parameter is as it was, so that it is found by a step of standard operators."""
    net = Network()
    hidden = net.node("MatMul", "image", net.weight("first", FEATURES, 5))
    scores = net.node("MatMul", hidden, net.weight("last", 5, CLASSES))
    net.node("Mul", scores, net.constant("large", np.float32(1e10)), output="logits")
    model = net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})
    folder = converted(model, tmp_path / "artifacts", "onnx", optimizer="sgd")
    trainer = svgd_onnx.Trainer(folder, kernels="fast")
    trainer.set_tensors({"first": trainer.tensor("first") * np.float32(1e-30)})
    batch = examples(model)
    batch["image"] *= np.float32(1e30)
    assert np.isfinite(trainer.evaluate(batch)["loss"])
    with pytest.raises(svgd_onnx.UserError, match="the change of 'first' became NaN or infinite"):
        trainer.train_step(batch, RATE)


def during_a_run(
    trainer: svgd_onnx.Trainer, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> None:
    """Has something happen before a run of the step has come back."""
    session = trainer._state.session._session  # type: ignore[attr-defined]
    run = session.run_with_iobinding

    def run_and_then(binding: Any) -> None:
        run(binding)
        then()

    monkeypatch.setattr(session, "run_with_iobinding", run_and_then)


@pytest.fixture()
def interrupts() -> Iterator[None]:
    """SIGINT as Python has it by itself; a shell's background jobs are begun with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("all_are_large", "interrupts")
def test_an_interrupt_waits_for_the_end_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, number = examples(mlp()), signal.SIGINT
    folder = converted(mlp(), tmp_path / "artifacts", "onnx", optimizer="adamw")
    trainer, other = (svgd_onnx.Trainer(folder, kernels="fast", threads=1) for _ in range(2))
    with monkeypatch.context() as patch:
        during_a_run(trainer, patch, lambda: signal.raise_signal(number))
        with pytest.raises(KeyboardInterrupt):
            trainer.train_step(batch, RATE)
    assert trainer.step == 1 and signal.getsignal(number) is signal.default_int_handler
    other.train_step(batch, RATE)
    assert tensors(trainer) == tensors(other)


@pytest.mark.usefixtures("all_are_large")
def test_a_step_that_breaks_off_after_the_loss_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory does not suffice for what comes after it."""

    def fail() -> None:
        raise MemoryError("no memory")

    batch = examples(mlp())
    folder = converted(mlp(), tmp_path / "artifacts", "onnx", optimizer="adamw")
    trainer = svgd_onnx.Trainer(folder, kernels="fast", threads=1)
    with monkeypatch.context() as patch:
        during_a_run(trainer, patch, fail)
        with pytest.raises(svgd_onnx.UserError, match="no memory"):
            trainer.train_step(batch, RATE)
    for use in (lambda: trainer.train_step(batch, RATE), trainer.save, lambda: tensors(trainer)):
        with pytest.raises(svgd_onnx.UserError, match="broken off .*: open the folder again"):
            use()
    assert svgd_onnx.Trainer(folder).step == 0


@pytest.mark.usefixtures("all_are_large")
def test_an_embedding_moves_by_its_rows(tmp_path: Path) -> None:
    folder = converted(embedded(), tmp_path / "artifacts", "onnx")
    assert {"words", "places", "head"} <= set(in_place(folder))
    found = operators(folder, "onnx")
    assert found["DescentOfRows"] == 2
    assert not found["ScatterElements"] + found["AddRows"]


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("options", ["svgd", "sgd", "with norms"])
def test_what_moves_by_its_rows_is_verified(
    options: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """The gradient is nowhere in the step, but for its norm."""
    folder = tmp_path / "artifacts"
    assert_conversion_keeps_it(embedded(), folder, recwarn, **OPTIONS[options])
    assert operators(folder, "onnx")["DescentOfRows"] == 2


@pytest.mark.usefixtures("all_are_large")
def test_verification_holds_the_rows_against_standard_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_twice_the_rows(
        write: Writer, parameter: ir.Value, rate: ir.Value, rows: Rows, guard: ir.Value
    ) -> ir.Value:
        indices, directions = rows
        twice = write.node("Add", directions, directions)
        return descent_of_rows(write, parameter, rate, (indices, twice), guard)

    monkeypatch.setattr(parameter_update, "descent_of_rows", of_twice_the_rows)
    with pytest.warns(Advice, match=r"left out \('words' comes out differently\)"):
        converted(embedded(), tmp_path / "artifacts", "onnx", verify=True)


@pytest.mark.parametrize("changed", ["adamw", "of a norm", "with weight decay", "clipped"])
@pytest.mark.usefixtures("all_are_large")
def test_where_every_row_changes_it_has_a_gradient(changed: str, tmp_path: Path) -> None:
    folder = converted(embedded(), tmp_path / "artifacts", "onnx", **OPTIONS[changed])
    assert operators(folder, "onnx")["DescentOfRows"] == 0


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("options", [{"accumulation_steps": 2}, {"target": "ort-training"}])
def test_other_steps_write_apart(options: dict[str, Any], tmp_path: Path) -> None:
    folder = converted(mlp(), tmp_path / "artifacts", **{"target": "onnx", **options})
    steps = list(folder.glob("*.fast.onnx"))
    assert steps
    for path in steps:
        assert IN_PLACE not in {each.key for each in onnx.load(path).metadata_props}


def _step(reads_late: bool) -> ir.Graph:
    """w, and a loss; `Reshape` gives w's memory to a node that the loss may or may not wait for."""
    w, g, loss = (ir.val(name, ir.DataType.FLOAT, [4]) for name in ("w", "g", "given"))
    rate, shape = ir.val("rate", ir.DataType.FLOAT, []), ir.val("shape", ir.DataType.INT64, [2])
    view = ir.node("Reshape", [w, shape])
    read = ir.node("Abs", view.outputs)
    first = ir.node("Abs" if reads_late else "Add", [loss] if reads_late else [loss, *read.outputs])
    inputs = [w, rate, g, *first.outputs]
    descent = ir.node("Descent", inputs, domain="ai.svgd")
    descent.outputs[0].name = "w.new"
    outputs = [*first.outputs, *descent.outputs, *read.outputs]
    return ir.Graph(
        [w, g, loss, rate, shape],
        outputs,
        nodes=[view, read, first, descent],
        opset_imports={"": 17},
    )


@pytest.mark.parametrize("reads_late", [False, True])
def test_what_is_read_after_the_loss_is_written_apart(reads_late: bool) -> None:
    assert [value.name for value in overwritten(_step(reads_late))] == ([] if reads_late else ["w"])


@pytest.mark.parametrize("moved", ["Transpose", "Reshape", "Mul"])
def test_what_a_product_after_the_loss_may_read_itself_is_written_apart(moved: str) -> None:
    """What is moved is read before the loss too, and so w is; but onnxruntime has products move it."""
    w, x, rate, g = (ir.val(name, ir.DataType.FLOAT, [4, 4]) for name in ("w", "x", "rate", "g"))
    other = ir.val("other", ir.DataType.FLOAT, [4, 4])
    view = ir.node(moved, [w] if moved == "Transpose" else [w, other])
    first = ir.node("MatMul", [x, *view.outputs])
    late = ir.node("MatMul", [x, *view.outputs])
    descent = ir.node("Descent", [w, rate, g, *first.outputs], domain="ai.svgd")
    descent.outputs[0].name = "w.new"

    graph = ir.Graph(
        [w, x, rate, g, other],
        [*first.outputs, *descent.outputs, *late.outputs],
        nodes=[view, first, late, descent],
        opset_imports={"": 17},
    )
    assert overwritten(graph) == []


def test_a_network_of_the_usual_size_is_there_once(tmp_path: Path) -> None:
    """A table of 30,522 rows, as BERT's, of 16 numbers: none of its size is made in a step."""
    net = Network()
    table = net.weight("table", 30_522, 16)
    ids = net.node("Cast", net.node("Abs", "image"), to=7)
    value = net.node("ReduceMean", net.node("Gather", table, ids), axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("head", 16, CLASSES), output="logits")
    model = net.model({"image": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)})
    folder = converted(model, tmp_path / "artifacts", "onnx")
    assert in_place(folder) == ["table"]
    inferred = onnx.shape_inference.infer_shapes(onnx.load(folder / FAST_STEP)).graph
    large = [
        value.name
        for value in inferred.value_info
        if [each.dim_value for each in value.type.tensor_type.shape.dim] == [30_522, 16]
    ]
    assert large == []
    batch = examples(model)
    assert trained(folder, batch)[1][-1] < trained(folder, batch)[1][0]
