"""A training on several ranks is that of one: order, checkpoint, log, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from thread_ranks import ThreadRank, on_ranks

import svgd_onnx
from svgd_onnx.distributed.job import started_by_launcher
from svgd_onnx.distributed.mpi import MpiCommunicator
from svgd_onnx.errors import UserError
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.callbacks import Callback
from svgd_onnx.training.ranks import ShareOfOrder

OPTIONS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1}
EXAMPLES = models.examples(models.convolutional(), 50)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "artifacts"
    svgd_onnx.convert(models.convolutional(), folder, target="onnx", data_parallel=True)
    return folder


@pytest.fixture
def artifacts(converted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted, tmp_path / "artifacts"))


def train(folder: Path, rank: ThreadRank | None, **options: Any) -> dict[str, float]:
    trainer = svgd_onnx.Trainer(folder, communicator=rank, threads=1)
    return trainer.train(EXAMPLES, **{**OPTIONS, **options})


def parameters(folder: Path) -> dict[str, np.ndarray]:
    trainer = svgd_onnx.Trainer(folder, threads=1)
    return {each.name: trainer.tensor(each.name) for each in trainer.manifest.parameters}


def test_ranks_take_each_batch_of_one_trainer_in_parts() -> None:
    order = BatchOrder(50, 8, seed=3)
    shares = on_ranks(4, lambda rank: [ShareOfOrder(order, rank).rows(step) for step in range(9)])
    for step in range(9):
        rows = np.concatenate([share[step] for share in shares])
        np.testing.assert_array_equal(rows, order.rows(step))


def test_ranks_draw_different_numbers_and_the_first_those_of_one_trainer() -> None:
    order = BatchOrder(50, 8, seed=3)
    first, second = on_ranks(2, lambda rank: ShareOfOrder(order, rank).generator(5).random())
    assert first == order.generator(5).random()
    assert second != first


def test_training_goes_on_with_another_number_of_ranks(artifacts: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(artifacts, tmp_path / "alone"))
    expected = train(alone, None, steps=12, validation=EXAMPLES)
    on_ranks(2, lambda rank: train(artifacts, rank, steps=5))
    found = on_ranks(4, lambda rank: train(artifacts, rank, steps=12, validation=EXAMPLES))
    assert all(each == found[0] for each in found)
    assert found[0] == pytest.approx(expected, rel=1e-5)
    for name, tensor in parameters(alone).items():
        np.testing.assert_allclose(parameters(artifacts)[name], tensor, rtol=1e-3, atol=1e-6)


def test_the_first_rank_alone_logs_and_calls_back(artifacts: Path, tmp_path: Path) -> None:
    steps: list[int] = []

    class Notes(Callback):
        def on_step(self, record: Any) -> None:
            steps.append(record.step)

    log = tmp_path / "log.csv"
    on_ranks(2, lambda rank: train(artifacts, rank, steps=3, log=log, callbacks=[Notes()]))
    assert steps == [1, 2, 3]
    assert len(log.read_text().splitlines()) == 4


def test_a_rank_that_is_to_stop_stops_all_with_a_checkpoint(artifacts: Path) -> None:
    def run(rank: ThreadRank) -> int:
        trainer = svgd_onnx.Trainer(artifacts, communicator=rank, threads=1)

        class Stop(Callback):
            def on_step(self, record: Any) -> None:
                if record.step == 4:
                    trainer.stop()

        trainer.train(EXAMPLES, steps=50, callbacks=[Stop()], **OPTIONS)
        return trainer.step

    assert on_ranks(2, run) == [4, 4]
    assert svgd_onnx.Trainer(artifacts).step == 4


def test_ranks_that_read_different_checkpoints_are_refused(artifacts: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(artifacts, tmp_path / "other"))
    train(other, None, steps=1)
    with pytest.raises(UserError, match="is not the same on all ranks"):
        on_ranks(2, lambda rank: train([artifacts, other][rank.rank], rank, steps=3))


def test_batches_that_do_not_fall_into_parts_are_refused(artifacts: Path) -> None:
    with pytest.raises(UserError, match="give a multiple of 3"):
        on_ranks(3, lambda rank: train(artifacts, rank, steps=1))


def test_artifacts_without_pieces_are_refused(tmp_path: Path) -> None:
    svgd_onnx.convert(models.convolutional(), tmp_path / "artifacts", target="onnx")
    with pytest.raises(UserError, match="convert again with data_parallel"):
        on_ranks(2, lambda rank: train(tmp_path / "artifacts", rank, steps=1))


@pytest.mark.parametrize(
    ("environment", "is_rank"),
    [
        ({}, False),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, True),
        ({"PMI_SIZE": "2"}, True),
    ],
)
def test_a_launcher_is_known_by_what_it_sets(
    environment: dict[str, str], is_rank: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert started_by_launcher() == is_rank


def test_a_rank_without_mpi4py_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(UserError, match="pip install 'svgd-onnx\\[mpi\\]'"):
        MpiCommunicator()


def test_nobody_who_trains_alone_imports_mpi(artifacts: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **EXAMPLES)
    program = f"""
import sys
sys.modules["mpi4py"] = None
sys.argv = ["svgd-onnx", "train", {str(artifacts)!r}, "--data", {str(tmp_path / "data.npz")!r}, "--steps", "2",
            "--batch-size", "8", "--learning-rate", "0.1", "--quiet"]
from svgd_onnx.__main__ import main
main()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("steps", (4, 2)),
        ("batch_size", (8, 12)),
        ("learning_rate", (0.1, 0.2)),
        ("shuffle", (True, False)),
        ("checkpoint_every", (1, 2)),
        ("schedule", ("cosine", "linear")),
    ],
)
def test_ranks_that_were_told_different_things_are_refused(
    artifacts: Path, name: str, values: tuple[Any, Any]
) -> None:
    with pytest.raises(UserError, match=f"^{name} is not the same on all ranks, another on rank 1"):
        on_ranks(2, lambda rank: train(artifacts, rank, **{"steps": 3, name: values[rank.rank]}))


def test_so_are_ranks_that_have_different_data(artifacts: Path) -> None:
    def other(rank: ThreadRank) -> None:
        trainer = svgd_onnx.Trainer(artifacts, communicator=rank, threads=1)
        image = EXAMPLES["image"] + np.float32(rank.rank)
        trainer.train({**EXAMPLES, "image": image}, steps=3, **OPTIONS)

    with pytest.raises(UserError, match="^data is not the same on all ranks, another on rank 1: "):
        on_ranks(2, other)
