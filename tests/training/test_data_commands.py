"""Data as people have it, on the command line."""

from __future__ import annotations

from pathlib import Path

import data_sets
import numpy as np
import onnx
import pytest
from conftest import Answer, Run

import svgd_onnx

TRAIN = ("--batch-size", 4, "--learning-rate", 0.1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(data_sets.image_model(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    svgd_onnx.convert(model, tmp_path / "artifacts", verify=False)
    return tmp_path / "artifacts"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    data_sets.image_folder(tmp_path / "images")
    return tmp_path / "images"


def test_images_train_with_a_share_set_aside(answer: Answer, folder: Path, images: Path) -> None:
    change = ("--transform", "random-crop=8,pad=1", "--transform", "flip,normalize=imagenet")
    share = ("--validation", 0.25, "--epochs", 2, "--workers", 2, "-v")
    said = answer("train", folder, "--data", images, *change, *share, *TRAIN)
    assert "Classes: 0 ape, 1 bee, 2 cat." in said
    assert "Trained from step 0 to 4" in said and "validation accuracy" in said
    assert "Steps waited for data" in said
    assert "accuracy" in answer(
        "evaluate", folder, "--data", images, "--transform", "center-crop=8"
    )


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_images_that_are_not_changed_as_in_training_are_told(
    command: str, run: Run, folder: Path, images: Path, tmp_path: Path
) -> None:
    given = ("--transform", "random-crop=8,pad=1", "--transform", "flip,normalize=imagenet")
    assert run("train", folder, "--data", images, *given, "--steps", 1, *TRAIN).code == 0
    more = ("--output", tmp_path / "said.npz") if command == "predict" else ()
    done = run(command, folder, "--data", images, *more)
    told = "Training was told --transform 'random-crop=8,pad=1,flip,normalize=imagenet', and here nothing"
    assert done.code == 0 and done.err.startswith(f"svgd-onnx: {told}")
    assert done.err.count("\n") == 1
    assert run(command, folder, "--data", images, *given, *more).err == ""
    (folder / "run.toml").write_text("[train]\ntransform = 7\n[")  # damaged: --config refuses it
    assert run(command, folder, "--data", images, *more).err == ""


def test_the_order_of_classes_is_kept(answer: Answer, folder: Path, images: Path) -> None:
    options = ("--data", images, "--steps", 2, *TRAIN)
    assert "0 cat, 1 bee, 2 ape" in answer("train", folder, *options, "--classes", "cat,bee,ape")
    assert svgd_onnx.Trainer(folder).classes == ("cat", "bee", "ape")
    assert "accuracy" in answer("evaluate", folder, "--data", images)
    refused = answer("evaluate", folder, "--data", images, "--classes", "ape,bee,cat")
    assert "those of before are cat, bee, ape: give these with --classes" in refused


def test_columns_are_named(answer: Answer, model: Path, images: Path) -> None:
    assert "0 wrong" in answer("check", model, "--data", images, "--columns", "pixels=image")
    assert "write it as x=width,height" in answer(
        "check", model, "--data", images, "--columns", "x"
    )
    refused = answer("check", model, "--data", images, "--columns", "pixels=photo")
    assert "--columns makes 'pixels' of 'photo', which is no column of" in refused
    refused = answer("check", model, "--data", images, "--columns", "pixels=image,image")
    assert "--columns makes 'pixels' of 'image' twice" in refused
    refused = answer("check", model, "--data", images, "--classes", "ape,,cat")
    assert "--classes is 'ape,,cat', in which a name is empty" in refused


def test_a_log_does_not_go_into_the_data(answer: Answer, folder: Path, images: Path) -> None:
    refused = answer(
        "train", folder, "--data", images, "--steps", 1, *TRAIN, "--log", images / "l.csv"
    )
    assert "which is read: give another place to write to" in refused
    assert not (images / "l.csv").exists()


def test_a_name_in_the_data_does_not_obey_anyone(
    answer: Answer, folder: Path, images: Path
) -> None:
    (images / "ape").rename(images / "\x1b[31mape")
    said = answer("train", folder, "--data", images, "--steps", 1, *TRAIN)
    assert "\x1b[31m" not in said and "\\x1b[31mape" in said


def test_labels_beyond_the_names_of_classes_are_refused(
    answer: Answer, folder: Path, tmp_path: Path
) -> None:
    images = np.zeros((4, 3, 8, 8), np.float32)
    np.savez(tmp_path / "data.npz", pixels=images, labels=np.array([0, 2, 1, 0]))
    line = ("train", folder, "--data", tmp_path / "data.npz", "--steps", 1, *TRAIN)
    said = answer(*line, "--classes", "ape,bee")
    assert "is 2, and there are 2 names of classes (ape, bee)" in said


def test_more_classes_than_the_model_has_are_refused(
    answer: Answer, folder: Path, images: Path
) -> None:
    line = ("--data", images, "--classes", "ape,bee,cat,dog")
    for command in (("train", folder, "--steps", 1, *TRAIN), ("evaluate", folder)):
        refused = answer(*command, *line)
        assert "There are 4 names of classes (ape, bee, cat and 1 more)" in refused
        assert "has 3: leave some out, or convert the model with --num-classes 4." in refused
