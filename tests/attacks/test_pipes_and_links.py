"""Pipes, devices and links in folders of others: nothing waits for them, and nothing outside is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attacks import attacked
from attacks.attacked import TRAIN, Refused
from conftest import Run

import svgd_onnx
from svgd_onnx import UserError
from svgd_onnx.targets import TARGETS

model, folder, data, refused = attacked.model, attacked.folder, attacked.data, attacked.refused
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


def _npy(folder: Path) -> Path:
    np.save(folder / "x.npy", np.ones((2, 3)))
    return folder / "y.npy"


def _idx_labels(folder: Path) -> Path:
    header = b"\0\0\x08\3" + b"".join(size.to_bytes(4, "big") for size in (2, 2, 2))
    (folder / "train-images-idx3-ubyte").write_bytes(header + bytes(8))
    return folder / "train-labels-idx1-ubyte"


def _hugging_face(folder: Path) -> Path:
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (folder / "dataset_info.json").write_text("{}")
    return folder / "data.arrow"


def _hugging_face_features(folder: Path) -> Path:
    (folder / "state.json").write_text('{"_data_files": []}')
    return folder / "dataset_info.json"


_DATA = {
    "npy": _npy,
    "idx": _idx_labels,
    "hugging face": _hugging_face,
    "hugging face's features": _hugging_face_features,
    "parquet": lambda folder: folder / "a.parquet",
}


@pytest.mark.parametrize("kind", _DATA)
def test_a_pipe_in_a_folder_of_data_is_refused_and_not_waited_for(
    kind: str, tmp_path: Path
) -> None:
    if kind in ("hugging face", "hugging face's features", "parquet"):
        pytest.importorskip("pyarrow")
    pipe = _DATA[kind](tmp_path)
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="it is no file"):
        svgd_onnx.load_data(tmp_path)


def test_a_pipe_of_names_of_classes_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    os.mkfifo(tmp_path / "batches.meta.txt")
    assert len(svgd_onnx.load_data(tmp_path)) == 1


def test_a_pipe_as_a_log_is_refused(tmp_path: Path, refused: Refused) -> None:
    os.mkfifo(tmp_path / "log.csv")
    assert "it is no file" in refused("plot", tmp_path / "log.csv")


def test_a_pipe_as_names_of_classes_is_refused(
    folder: Path, data: Path, tmp_path: Path, refused: Refused
) -> None:
    os.mkfifo(tmp_path / "names.txt")
    options = ("--data", data, "--classes", tmp_path / "names.txt")
    assert "it is no file" in refused("evaluate", folder, *options)


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "device"]
)
def test_a_folder_whose_manifest_is_no_file_is_not_replaced(
    make: Callable[[Path], None], model: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "artifacts").mkdir()
    make(tmp_path / "artifacts" / "svgd.json")
    options = ("--output", tmp_path / "artifacts", "--force", "--no-verify")
    assert "no folder of training artifacts" in refused("convert", model, *options)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", [".svgd-holder.json", "run.toml", "step 0", "step 2"])
def test_training_writes_nothing_that_a_link_in_the_folder_leads_to(
    which: str, target: str, model: Path, data: Path, tmp_path: Path, run: Run
) -> None:
    folder, other = tmp_path / "trained", tmp_path / "precious.txt"
    svgd_onnx.convert(model, folder, target=target, verify=False)
    path = folder / _name(which, target)
    path.unlink(missing_ok=True)
    other.write_text("precious")
    path.symlink_to(other)
    options = ("--steps", 4, "--checkpoint-every", 2, "--checkpoint-keep", 2)
    assert run("train", folder, "--data", data, *TRAIN, *options).code == 0
    assert other.read_text() == "precious"
    assert not path.is_symlink()


def _name(which: str, target: str) -> str:
    if not which.startswith("step"):
        return which
    own = Path(TARGETS[target].checkpoint_files[0])
    return f"{own.stem}.{which.replace(' ', '-')}{own.suffix}"


def test_the_lock_empties_nothing_that_a_link_leads_to(
    folder: Path, data: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    (folder / ".svgd-lock").symlink_to(tmp_path / "precious.txt")
    assert run("train", folder, "--data", data, *TRAIN, "--steps", 1).code == 0
    assert (tmp_path / "precious.txt").read_text() == "precious"


def test_the_holders_note_waits_for_no_pipe(
    folder: Path, data: Path, tmp_path: Path, run: Run
) -> None:
    os.mkfifo(folder / ".svgd-holder.json")
    assert run("train", folder, "--data", data, *TRAIN, "--steps", 1).code == 0


def test_force_writes_nothing_that_a_link_in_the_folder_leads_to(
    folder: Path, model: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    for name in (".svgd-holder.json", "run.toml"):
        (folder / name).symlink_to(tmp_path / "precious.txt")
    assert run("convert", model, "--output", folder, "--force", "--no-verify").code == 0
    assert (tmp_path / "precious.txt").read_text() == "precious"
    shutil.rmtree(folder)
