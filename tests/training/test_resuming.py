"""Training goes on where it was: from any kept checkpoint, and with another batch size."""

from __future__ import annotations

import shutil
from pathlib import Path

import models
import numpy as np
import pytest

import svgd_onnx
from svgd_onnx.targets.ort_training import checkpoint_file
from svgd_onnx.targets.training_progress import Origin
from svgd_onnx.training.batches import BatchOrder, shuffled_rows
from svgd_onnx.training.export import export

MODEL = models.dropout()
DATA = models.examples(MODEL, 40)
SETTINGS = {"batch_size": 8, "learning_rate": 0.05}

TARGETS = pytest.mark.parametrize("target", ["ort-training", "onnx"])


@pytest.fixture
def folder(tmp_path: Path, target: str) -> Path:
    svgd_onnx.convert(MODEL, tmp_path / "artifacts", target=target, verify=False)
    return tmp_path / "artifacts"


def trainer(folder: Path, **options: object) -> svgd_onnx.Trainer:
    return svgd_onnx.Trainer(folder, threads=1, **options)  # type: ignore[arg-type]


def weights(trainer: svgd_onnx.Trainer) -> bytes:
    names = [each.name for each in trainer.manifest.parameters]
    names += [each.state for each in trainer.manifest.operations if each.state is not None]
    return b"".join(trainer.tensor(name).tobytes() for name in names)


@TARGETS
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "damaged"])
def test_a_kept_checkpoint_is_there_whatever_has_become_of_the_last(
    lost: bool, folder: Path, tmp_path: Path
) -> None:
    one = trainer(folder)
    one.train(DATA, steps=6, checkpoint_every=2, checkpoint_keep=3, **SETTINGS)
    expected = weights(trainer(folder, checkpoint="step-4"))
    own = one.checkpoint_file
    own.unlink() if lost else own.write_bytes(own.read_bytes()[:100])
    with pytest.raises(svgd_onnx.UserError, match=r"begin from one that was kept \(.*step-4"):
        trainer(folder)
    assert weights(trainer(folder, checkpoint="step-4")) == expected
    export(folder, tmp_path / "two.onnx", checkpoint="step-2")
    again = trainer(folder, checkpoint="step-4")
    again.train(DATA, steps=6, **SETTINGS)
    assert weights(trainer(folder)) == weights(one)


@TARGETS
def test_a_kept_checkpoint_is_of_the_step_in_its_name(folder: Path) -> None:
    one = trainer(folder)
    one.train(DATA, steps=6, checkpoint_every=2, checkpoint_keep=3, **SETTINGS)
    for name in list(folder.glob("checkpoint.step-4*")):
        shutil.copy(name, name.with_name(name.name.replace("step-4", "step-2")))
    with pytest.raises(svgd_onnx.UserError, match="is a checkpoint of step 4, and not of the step"):
        trainer(folder, checkpoint="step-2")


@TARGETS
def test_a_file_by_the_name_of_a_later_step_takes_no_place(folder: Path) -> None:
    one = trainer(folder)
    one.train(DATA, steps=2, **SETTINGS)
    (stray,) = (folder / path.name.replace("0", "99") for path in folder.glob("checkpoint.step-0*"))
    stray.write_text("mine")
    trainer(folder).train(DATA, steps=6, checkpoint_every=1, checkpoint_keep=3, **SETTINGS)
    assert kept(folder) == [0, 4, 5, 99]
    assert stray.read_text() == "mine"


def kept(folder: Path) -> list[int]:
    """The steps of the kept checkpoints, by the names of their files."""
    steps = (path.name.split("step-")[1].split(".")[0] for path in folder.glob("checkpoint.step-*"))
    return sorted(map(int, steps))


@TARGETS
def test_training_a_trained_folder_goes_on(folder: Path) -> None:
    trainer(folder).train(DATA, steps=3, **SETTINGS)
    again = trainer(folder)
    again.train(DATA, steps=7, **SETTINGS)
    assert again.step == 7
    before = weights(again)
    assert again.train(DATA, steps=7, **SETTINGS) == {}
    assert weights(trainer(folder)) == before


@TARGETS
def test_a_restart_is_what_a_fresh_training_is(folder: Path) -> None:
    initial = weights(trainer(folder))
    first = trainer(folder, seed=5)
    first.train(DATA, steps=7, **SETTINGS)
    expected = weights(first)
    trainer(folder).train(DATA, steps=12, checkpoint_every=2, **SETTINGS)
    again = trainer(folder, checkpoint="initial", seed=5)
    assert again.step == 0 and again.saved_step == 12 and weights(again) == initial
    again.train(DATA, steps=7, **SETTINGS)
    assert weights(trainer(folder)) == weights(again) == expected
    assert weights(trainer(folder, checkpoint="initial", seed=2)) == initial


@TARGETS
def test_the_last_few_checkpoints_are_kept_and_go_on_as_they_did(
    folder: Path, tmp_path: Path
) -> None:
    whole = trainer(folder)
    whole.train(DATA, steps=10, checkpoint_every=2, checkpoint_keep=3, **SETTINGS)
    assert kept(folder) == [0, 6, 8]
    other = trainer(folder, checkpoint="step-6")
    assert (other.step, other.saved_step) == (6, 10)
    other.train(DATA, steps=10, **SETTINGS)
    assert weights(other) == weights(whole)
    assert kept(folder) == [0, 6]  # step 8 was of the training that was given up
    assert weights(trainer(folder, checkpoint="step-10")) == weights(trainer(folder))
    other.export(tmp_path / "last.onnx")
    export(folder, tmp_path / "named.onnx", checkpoint="step-10")
    assert (tmp_path / "last.onnx").read_bytes() == (tmp_path / "named.onnx").read_bytes()
    export(folder, tmp_path / "earlier.onnx", checkpoint="step-6")
    assert (tmp_path / "last.onnx").read_bytes() != (tmp_path / "earlier.onnx").read_bytes()


def test_a_checkpoint_of_two_files_is_kept_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_file, "_LARGEST_FILE", 8)
    svgd_onnx.convert(MODEL, tmp_path, target="ort-training", verify=False)
    initial = weights(trainer(tmp_path))
    trainer(tmp_path).train(DATA, steps=2, **SETTINGS)
    assert (tmp_path / "checkpoint.step-0.data").is_file()
    again = trainer(tmp_path, checkpoint="initial")
    assert weights(again) == initial


@TARGETS
def test_a_checkpoint_that_is_not_there_is_refused(folder: Path) -> None:
    trainer(folder).train(DATA, steps=2, **SETTINGS)
    for name in ("step-1", "step-x", "newest"):
        with pytest.raises(
            svgd_onnx.UserError, match=f"'{name}': choose from last, step-2, step-0"
        ):
            trainer(folder, checkpoint=name)
    with pytest.raises(svgd_onnx.UserError, match="keeps no best checkpoint"):
        trainer(folder, checkpoint="best")
    for path in folder.glob("checkpoint.step-0*"):
        path.unlink()
    with pytest.raises(svgd_onnx.UserError, match="convert the model again to begin anew"):
        trainer(folder, checkpoint="initial")


@pytest.mark.parametrize("target", ["onnx"])
def test_without_room_the_initial_checkpoint_is_not_kept_which_a_warning_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svgd_onnx.training.kept_checkpoints.has_room", lambda folder, size: False)
    with pytest.warns(UserWarning, match="no room to keep the initial checkpoint"):
        trainer(folder).train(DATA, steps=2, **SETTINGS)
    assert kept(folder) == []
    monkeypatch.setattr("svgd_onnx.training.state.has_room", lambda folder, size: False)
    with pytest.raises(svgd_onnx.UserError, match="no room for 2 more checkpoints"):
        trainer(folder).train(DATA, steps=4, checkpoint_keep=3, **SETTINGS)


@pytest.mark.parametrize("target", ["onnx"])
def test_where_a_file_has_one_name_only_kept_checkpoints_are_copies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    initial = weights(trainer(folder))
    trainer(folder).train(DATA, steps=2, **SETTINGS)
    assert weights(trainer(folder, checkpoint="initial")) == initial


@pytest.mark.parametrize("target", ["onnx"])
def test_a_folder_with_kept_checkpoints_is_replaced_by_force(folder: Path) -> None:
    trainer(folder).train(DATA, steps=4, checkpoint_every=1, checkpoint_keep=2, **SETTINGS)
    svgd_onnx.convert(MODEL, folder, target="onnx", verify=False, force=True)
    assert kept(folder) == []


@TARGETS
def test_epochs_go_on_with_another_number_of_examples(folder: Path) -> None:
    fewer = {name: array[:17] for name, array in DATA.items()}  # two steps an epoch, and not five
    steps = []
    for data, epochs in ((DATA, 2), (fewer, 3), (fewer, 5), (DATA, 6)):
        one = trainer(folder)
        one.train(data, epochs=epochs, **SETTINGS)
        steps.append(one.step)
    assert steps == [10, 12, 16, 21]


def test_another_batch_size_goes_on_with_what_is_left_of_the_epoch() -> None:
    before = BatchOrder(20, 4, seed=3)
    origin = before.changed(7)  # two batches of the second epoch were taken
    assert origin == Origin(7, 1, 8)
    after = BatchOrder(20, 5, seed=3, origin=origin)
    epochs = [shuffled_rows(20, 3, epoch) for epoch in range(4)]
    np.testing.assert_array_equal(after.rows(7), epochs[1][8:13])
    np.testing.assert_array_equal(after.rows(8), epochs[1][13:18])  # of 12 left, 10
    np.testing.assert_array_equal(after.rows(9), epochs[2][:5])
    assert [after.epoch(step) for step in (7, 8, 9, 12, 13)] == [1, 1, 2, 2, 3]
    assert [after.ends_epoch(step) for step in (7, 8, 9, 12)] == [False, True, False, True]
    assert [after.steps(epochs) for epochs in (1, 2, 3)] == [7, 9, 13]
    # too few are left for a batch: the next epoch begins
    larger = BatchOrder(20, 16, seed=3, origin=origin)
    np.testing.assert_array_equal(larger.rows(7), epochs[2][:16])
    # a change back and forth at once changes nothing
    there = BatchOrder(20, 4, seed=3, origin=after.changed(7))
    assert all((there.rows(step) == before.rows(step)).all() for step in range(7, 20))


@TARGETS
def test_a_training_may_change_its_batch_size(folder: Path) -> None:
    """Interrupted afterwards it goes on from where the change was."""
    taken: list[list[int]] = []

    def note(batch: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
        taken.append(batch.pop("row").tolist())
        return batch

    examples = {**DATA, "row": np.arange(40)}
    trainer(folder, seed=1).train(examples, steps=7, augment=note, **SETTINGS)
    for epochs in (2, 3):
        again = trainer(folder)
        again.train(examples, epochs=epochs, batch_size=6, learning_rate=0.05, augment=note)
    orders = [shuffled_rows(40, 1, epoch).tolist() for epoch in range(3)]
    assert taken[:7] == [(orders[0] + orders[1])[at : at + 8] for at in range(0, 56, 8)]
    second = [orders[1][at : at + 6] for at in range(16, 40, 6)]
    assert taken[7:11] == second and taken[11:] == [
        orders[2][at : at + 6] for at in range(0, 36, 6)
    ]


@pytest.mark.parametrize("target", ["onnx"])
def test_without_shuffling_each_epoch_takes_the_examples_as_they_lie(folder: Path) -> None:
    taken: list[int] = []

    def note(batch: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
        taken.extend(batch.pop("row").tolist())
        return batch

    examples = {**DATA, "row": np.arange(40)}
    trainer(folder).train(examples, epochs=2, augment=note, shuffle=False, **SETTINGS)
    assert taken == [*range(40), *range(40)]
