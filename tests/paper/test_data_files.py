"""The loaders take what the data sets are, and say what is wrong with anything else."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.paper import cifar10, mnist
from tools.paper.errors import told_in_a_sentence
from tools.paper.experiment import DataError

ROOT = Path(__file__).parents[2]
many_files = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Three records of CIFAR-10, and a loader that expects three."""
    monkeypatch.setattr(cifar10, "RECORDS", 3)
    content = np.random.default_rng(0).integers(0, 256, (3, 3073), np.uint8)
    content[:, 0] = 0, 9, 4
    return content


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_is_read_packed_or_not(tmp_path: Path, suffix: str) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    np.testing.assert_array_equal(mnist.read_idx(path, (2, 3, 4)), array)


@many_files
@given(length=st.integers(0, 24 + 16 - 1), packed=st.booleans())
def test_an_idx_file_that_is_cut_short_is_refused(
    tmp_path: Path, length: int, packed: bool
) -> None:
    content = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))[:length]
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="file"):
        mnist.read_idx(path, (2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros(24, np.uint8)), "starts with the bytes '00000801' and not '00000803'"),
        (idx(np.zeros((3, 2, 4), np.uint8)), r"holds an array of shape \(3, 2, 4\)"),
        (idx(np.zeros((2, 3, 4), np.uint8)) + b"x", "too long"),
    ],
)
def test_another_idx_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        mnist.read_idx(tmp_path / "file", (2, 3, 4))


def test_a_damaged_gz_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(gzip.compress(idx(np.zeros(24, np.uint8)))[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        mnist.read_idx(tmp_path / "file.gz", (24,))


def test_a_digit_above_nine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "TRAIN_EXAMPLES", 2)
    (tmp_path / mnist.TRAIN_IMAGES).write_bytes(idx(np.zeros((2, 28, 28), np.uint8)))
    (tmp_path / mnist.TRAIN_LABELS).write_bytes(idx(np.array([3, 10], np.uint8)))
    with pytest.raises(DataError, match="label 10"):
        mnist.load(tmp_path)


def test_planes_of_cifar10_are_red_green_blue(tmp_path: Path, records: np.ndarray) -> None:
    (tmp_path / "batch.bin").write_bytes(records.tobytes())
    images, labels = cifar10.read_batch(tmp_path / "batch.bin")
    assert labels.tolist() == [0, 9, 4]
    assert images.shape == (3, 3, 32, 32)
    assert images[1, 2, 5, 7] == records[1, 1 + 2 * 1024 + 5 * 32 + 7]


@many_files
@given(length=st.integers(0, 2 * 3 * 3073).filter(lambda length: length != 3 * 3073))
def test_a_file_of_another_length_is_refused(
    tmp_path: Path, records: np.ndarray, length: int
) -> None:
    (tmp_path / "batch.bin").write_bytes((2 * records.tobytes())[:length])
    with pytest.raises(DataError, match=f"is {length:,} bytes"):
        cifar10.read_batch(tmp_path / "batch.bin")


def test_a_class_above_nine_is_refused(tmp_path: Path, records: np.ndarray) -> None:
    records[2, 0] = 10
    (tmp_path / "batch.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match=r"Record 2 of .* label 10"):
        cifar10.read_batch(tmp_path / "batch.bin")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp_mnist", "--data", "."], "train-images-idx3-ubyte"),
        (["vgg_cifar10", "--data", "."], "data_batch_1.bin"),
        (["resnet20_cifar10"], "--data"),
        (["study", "mlp_mnist", "--data", "."], "train-images-idx3-ubyte"),
        (["report", "--results", "nowhere"], "nowhere"),
        (["lemma", "--pairs", "3", "--matrices", "1", "--output", __file__], "cannot be made"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments: list[str], message: str) -> None:
    name, *options = arguments
    process = subprocess.run(
        [sys.executable, "-m", f"tools.paper.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert message in process.stderr
    assert process.stderr.count("\n") == 1


def test_ctrl_c_is_one_sentence_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, told_in_a_sentence("Interrupted: go on."):
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == "Interrupted: go on.\n"
