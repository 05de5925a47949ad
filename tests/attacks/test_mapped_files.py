"""Files that are mapped into memory, and cut short or written to by another program while they are read."""

from __future__ import annotations

import importlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Refused, Start
from attacks.test_signals import LONG, until

import svgd_onnx
from svgd_onnx.targets.external_references import refers_to_files
from svgd_onnx.targets.standard_onnx import checkpoint
from svgd_onnx.training import prediction
from svgd_onnx.training.mapped import MappedFiles

start, refused = attacked.start, attacked.refused
convert_module = importlib.import_module("svgd_onnx.conversion.convert")

COUNT = 20_000


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """A folder of arrays, of several pages each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, array in models.examples(models.mlp(), COUNT).items():
        np.save(folder / f"{name}.npy", array)
    return folder


class Spoil(svgd_onnx.Callback):
    """Does something to a file after the first step."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.what = what

    def on_step(self, record: Any) -> None:
        if record.step == 1:
            self.what()


def cut_short(path: Path) -> None:
    os.truncate(path, 4096)


def written_to(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x07" * 8)
    os.utime(path, ns=(0, 0))  # a clock of another machine


def replaced(path: Path) -> None:
    np.save(path.with_suffix(".new.npy"), np.zeros(3, np.float32))
    path.with_suffix(".new.npy").replace(path)


def trained(
    trainer: svgd_onnx.Trainer, examples: Any, what: Callable[[], object], **more: Any
) -> None:
    trainer.train(
        examples,
        steps=30,
        batch_size=8,
        learning_rate=0.1,
        checkpoint_every=1,
        callbacks=[Spoil(what)],
        **more,
    )


@pytest.mark.parametrize("target", ["ort-training", "onnx"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("spoil", [cut_short, written_to])
def test_a_training_ends_in_a_sentence_and_its_checkpoint_is_whole(
    target: str, workers: int, spoil: Callable[[Path], None], mapped: Path, tmp_path: Path
) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target=target, verify=False)
    data = svgd_onnx.load_data(mapped)
    how = "cut short" if spoil is cut_short else "written to"
    with pytest.raises(svgd_onnx.UserError, match=rf"x\.npy' was {how} by another program"):
        trained(
            svgd_onnx.Trainer(tmp_path / "a"),
            data,
            lambda: spoil(mapped / "x.npy"),
            workers=workers,
        )
    assert svgd_onnx.Trainer(tmp_path / "a").step >= 1


def test_a_file_of_the_same_name_is_no_matter(mapped: Path, tmp_path: Path) -> None:
    """What is mapped is there still, until nobody reads it."""
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trained(trainer, svgd_onnx.load_data(mapped), lambda: replaced(mapped / "x.npy"))
    assert trainer.step == 30


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">i2", "u1"])
def test_rows_are_those_of_the_array(dtype: str, order: str, tmp_path: Path) -> None:
    array = np.arange(40 * 3 * 5).reshape(40, 3, 5).astype(dtype)
    np.save(tmp_path / "x.npy", np.asarray(array, order="C" if order == "C" else "F"))
    source = svgd_onnx.load_data(tmp_path).source
    for rows in ([0], [39, 0, 1, 2, 17, 18, 3], range(40), []):
        read = source.take(["x"], np.array(rows, np.int64))["x"]
        assert isinstance(read, np.ndarray) and read.dtype == array.dtype
        np.testing.assert_array_equal(read, array[np.array(rows, np.int64)])


def test_what_ends_while_it_is_read(mapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the reading."""
    data = svgd_onnx.load_data(mapped)
    monkeypatch.setattr(MappedFiles, "check", lambda self: cut_short(mapped / "x.npy"))
    with pytest.raises(svgd_onnx.UserError, match="was cut short"):
        data.source.take(["x"], np.array([COUNT - 1]))


@pytest.mark.parametrize("use", ["validation", "augment", "evaluate", "predict"])
def test_whatever_reads_looks_first(use: str, mapped: Path, tmp_path: Path) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    arrays = {each.stem: np.load(each, mmap_mode="r") for each in mapped.glob("*.npy")}
    here = models.examples(models.mlp(), 16)

    def spoil() -> None:
        cut_short(mapped / "x.npy")

    with pytest.raises(svgd_onnx.UserError, match="was cut short"):
        if use == "validation":
            trained(trainer, here, spoil, validation=arrays)
        elif use == "augment":
            trained(trainer, arrays, spoil, augment=lambda batch, random: batch)
        else:
            spoil()
            getattr(trainer, use)(arrays)


def test_what_the_user_may_write_to_changes_by_that(mapped: Path) -> None:
    array = np.load(mapped / "x.npy", mmap_mode="r+")
    files = MappedFiles([array[3:]])
    array[:] = 1
    array.flush()
    os.utime(mapped / "x.npy", ns=(0, 0))
    files.check()
    cut_short(mapped / "x.npy")
    with pytest.raises(svgd_onnx.UserError, match="was cut short"):
        files.check()


@pytest.mark.skipif(not hasattr(mmap, "MAP_PRIVATE"), reason="of POSIX")
@pytest.mark.parametrize("kind", ["of no file", "of the process", "NumPy's"])
def test_what_is_written_into_memory_alone_is_kept(kind: str, mapped: Path, tmp_path: Path) -> None:
    """Pages of a mapping that are let go come from its file again, or are zeros."""
    given = {each.stem: np.load(each) for each in mapped.glob("*.npy")}
    x = given["x"]
    if kind == "of no file":
        memory = mmap.mmap(-1, x.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        array = np.ndarray(x.shape, x.dtype, buffer=memory)
    elif kind == "of the process":
        with (mapped / "x.npy").open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        array = np.ndarray(x.shape, x.dtype, buffer=memory)
    else:
        array = np.load(mapped / "x.npy", mmap_mode="c")
    array[...] = x + 1
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    trainer.train({**given, "x": array}, steps=2, batch_size=8, learning_rate=0.1)
    np.testing.assert_array_equal(array, x + 1)


def test_a_batch_in_a_step_is_in_memory(mapped: Path, tmp_path: Path) -> None:
    """A slice of a mapped array would be read by the step, after anyone has looked."""
    from svgd_onnx.training.batches import Examples

    array = np.load(mapped / "x.npy", mmap_mode="r")
    files = MappedFiles([array])
    (taken,) = Examples((array,), (0,), files=files).take(slice(0, 8))
    cut_short(mapped / "x.npy")
    assert type(taken) is np.ndarray and taken.base is None and np.isfinite(taken).all()


def test_a_data_set_of_arrow_files(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    table, file = arrow.table({"x": np.arange(COUNT)}), tmp_path / "part.arrow"
    with arrow.OSFile(str(file), "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "part.arrow"}]}')
    data = svgd_onnx.load_data(tmp_path)
    os.truncate(file, 4096)
    with pytest.raises(svgd_onnx.UserError, match=r"\.arrow' was cut short"):
        data.source.take(["x"], np.array([COUNT - 1]))


def test_on_the_command_line(start: Start, mapped: Path, tmp_path: Path) -> None:
    folder, log = tmp_path / "a", tmp_path / "log.csv"
    svgd_onnx.convert(models.mlp(), folder, target="onnx", verify=False)
    options = ("--checkpoint-every", 20, "--log", log, "--steps", 10**6, "--workers", 2)
    process = start("train", folder, "--data", mapped, *options, *TRAIN)
    until(lambda: log.exists() and log.read_text().count("\n") > 50)
    cut_short(mapped / "x.npy")
    _, error = process.communicate(timeout=LONG)
    assert process.returncode == 2, error
    assert error.startswith("svgd-onnx: The file ") and error.count("\n") == 1
    assert svgd_onnx.Trainer(folder).step % 20 == 0


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A model whose weights lie beside it."""
    model = models.mlp()
    for tensor in model.graph.initializer:
        tensor.raw_data = np.asarray(onnx.numpy_helper.to_array(tensor)).tobytes()
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    with (tmp_path / "weights").open("ab") as file:
        file.write(bytes(1 << 16))
    return path


def test_a_conversion_of_weights_that_change_meanwhile_is_refused(
    beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be written is of two models."""
    require_room = convert_module.require_room

    def later(*arguments: Any) -> None:
        written_to(tmp_path / "weights")
        require_room(*arguments)

    monkeypatch.setattr(convert_module, "require_room", later)
    with pytest.raises(svgd_onnx.UserError, match=r"weights' was written to by another program"):
        svgd_onnx.convert(beside, tmp_path / "a", target="onnx", verify=False)
    assert not (tmp_path / "a").exists()


def test_a_prediction_by_weights_that_are_cut_short_is_refused(
    beside: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime has them mapped."""
    np.savez(tmp_path / "x.npz", x=models.examples(models.mlp(), 4)["x"])
    opened = prediction.open_session

    def and_cut(*arguments: Any) -> Any:
        session = opened(*arguments)
        os.truncate(tmp_path / "weights", 1 << 10)
        return session

    monkeypatch.setattr(prediction, "open_session", and_cut)
    arguments = ("--data", tmp_path / "x.npz", "--output", tmp_path / "y.npz")
    assert "weights' was cut short" in refused("predict", beside, *arguments)
    assert not (tmp_path / "y.npz").exists()


def test_a_checkpoint_that_is_cut_short_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "a", target="onnx", verify=False)
    path = tmp_path / "a" / "checkpoint.safetensors"
    read_progress = checkpoint._progress

    def and_cut(metadata: Any) -> Any:
        os.truncate(path, path.stat().st_size - 4)
        return read_progress(metadata)

    monkeypatch.setattr(checkpoint, "_progress", and_cut)
    with pytest.raises(svgd_onnx.UserError, match="was cut short"):
        svgd_onnx.Trainer(tmp_path / "a")


@pytest.mark.parametrize("place", [0, (1 << 20) - 4, 1 << 20])
def test_a_reference_is_found_wherever_it_stands(place: int, tmp_path: Path) -> None:
    """A file is looked through in pieces."""
    tensor = onnx.TensorProto(name="w", dims=[1], data_type=1)
    tensor.external_data.add(key="location", value="w.bin")
    head = onnx.ModelProto(ir_version=8, doc_string="d" * place).SerializeToString()
    model = onnx.ModelProto()
    model.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(head + model.SerializeToString())
    assert refers_to_files(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(head)
    assert not refers_to_files(tmp_path / "m.onnx")
