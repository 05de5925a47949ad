"""Training on data as people have it: the batches, and that they are the same however they are prepared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import data_sets
import models
import numpy as np
import pytest
from conftest import MakeTrainer

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training.examples import taken_from

COUNT, BATCH = 12, 4
RANDOM = "random-crop=8,pad=2,flip,color=0.3,normalize=imagenet"
TRAINING = {"batch_size": BATCH, "learning_rate": 0.1}


@pytest.fixture
def trainer(trainer_of: MakeTrainer) -> svgd_onnx.Trainer:
    return trainer_of(data_sets.image_model())


def weights(trainer: svgd_onnx.Trainer, name: str = "weight") -> bytes:
    return trainer.tensor(name).tobytes()


def test_images_are_what_an_array_of_their_pixels_is(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    pictures = data_sets.image_folder(tmp_path / "images")
    pixels = (pictures.astype(np.float32) / 255).transpose(0, 3, 1, 2)
    arrays = {"pixels": np.ascontiguousarray(pixels), "labels": np.repeat(np.arange(3), 4)}
    model = data_sets.image_model()
    trained = []
    for examples in (svgd_onnx.load_data(tmp_path / "images"), arrays):
        trainer = trainer_of(model)
        trainer.train(examples, epochs=2, validation=examples, **TRAINING)
        trained.append((weights(trainer), trainer.evaluate(examples)))
    assert trained[0] == trained[1]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_random_is_the_same_for_any_number_of_workers_and_when_resumed(
    workers: int, trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    data_sets.image_folder(tmp_path / "images")
    data = svgd_onnx.load_data(tmp_path / "images", transform=RANDOM)
    whole, parts = (trainer_of(data_sets.image_model()) for _ in range(2))
    whole.train(data, steps=7, workers=2, **TRAINING)
    parts.train(data, steps=3, workers=workers, **TRAINING)
    parts.train(data, steps=7, workers=workers, resume=True, **TRAINING)
    assert weights(whole) == weights(parts)
    assert 0 <= parts.waiting <= 1


def test_evaluation_has_nothing_random(trainer: svgd_onnx.Trainer, tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path / "images")
    plain, random = (
        svgd_onnx.load_data(tmp_path / "images", transform=text)
        for text in ("normalize=imagenet", RANDOM)
    )
    assert trainer.evaluate(plain) == trainer.evaluate(random)


def test_bytes_in_an_npz_file_become_pixels_by_a_transform(
    trainer: svgd_onnx.Trainer, tmp_path: Path
) -> None:
    arrays = {"pixels": data_sets.images(COUNT), "labels": np.arange(COUNT) % 3}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match="is uint8, but the model wants float32"):
        trainer.evaluate(svgd_onnx.load_data(tmp_path / "data.npz"))
    data = svgd_onnx.load_data(tmp_path / "data.npz", transform="center-crop=8")
    (pixels, _) = taken_from(data, trainer.manifest).take(slice(2))
    np.testing.assert_allclose(
        pixels, arrays["pixels"][:2].transpose(0, 3, 1, 2) / 255.0, atol=1e-7
    )


def test_a_model_with_channels_last_takes_images_so(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    pictures = data_sets.image_folder(tmp_path / "images")
    trainer = trainer_of(data_sets.image_model(last=True))
    data = svgd_onnx.load_data(tmp_path / "images")
    pixels, labels = taken_from(data, trainer.manifest).take(np.array([5, 0]))  # type: ignore[union-attr]
    np.testing.assert_allclose(pixels, pictures[[5, 0]] / 255.0, atol=1e-7)
    assert labels.tolist() == [1, 0]


def test_mnist_fits_a_model_of_rows(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    data_sets.write_idx(tmp_path / "train-images-idx3-ubyte", pixels)
    data_sets.write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([1, 3]))
    examples = taken_from(svgd_onnx.load_data(tmp_path), trainer_of(models.mlp()).manifest)
    x, labels = examples.take(slice(None))  # type: ignore[union-attr]
    np.testing.assert_allclose(x, pixels.reshape(2, 6) / 255, atol=1e-7)
    assert labels.tolist() == [1, 3] and labels.dtype == np.int64


TABLE = "a,b1,b2,b3,c,d,kind,id\n" + "\n".join(
    f"{row},{row / 2},1,2.5,{row % 2},0,{'xyz'[row % 3]},r{row}" for row in range(COUNT)
)
COLUMNS = {"x": ["a", "b*", "c", "d"], "labels": "kind"}


def table(path: Path, text: str = TABLE) -> Path:
    pytest.importorskip("pyarrow")
    path.write_text(text)
    return path


def test_columns_of_a_table_stand_next_to_each_other(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    data = svgd_onnx.load_data(table(tmp_path / "table.csv"), columns=COLUMNS)
    trainer = trainer_of(models.mlp())
    taken = taken_from(data, trainer.manifest, numbered=False)
    x, labels = taken.take(np.array([7, 2]))  # type: ignore[union-attr]
    assert x.tolist() == [[7, 3.5, 1, 2.5, 1, 0], [2, 1, 1, 2.5, 0, 0]] and x.dtype == np.float32
    assert labels.tolist() == [1, 2]
    trainer.train(data, epochs=1, validation=0.25, **{**TRAINING, "batch_size": 3})
    assert trainer.classes == ("x", "y", "z")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "no column 'x' in .* columns says which it is"),
        ({"x": "e*"}, "makes 'x' of 'e\\*', which is no column"),
        (
            {**COLUMNS, "x": ["a", "b*", "c", "id"]},
            "Column 'id' of .* has texts, which are for labels",
        ),
        ({**COLUMNS, "y": "a"}, "names 'y', which is no input of the model"),
        ({"x": "a", "labels": "kind"}, r"has shape \(12, 1\), but the model wants"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    columns: Any, sentence: str, trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    data = svgd_onnx.load_data(table(tmp_path / "table.csv"), columns=columns, classes=list("wxyz"))
    with pytest.raises(UserError, match=sentence):
        trainer_of(models.mlp()).evaluate(data)


def named(path: Path, labels: Sequence[int], names: Sequence[str]) -> Path:
    """Examples whose labels are written as names of classes."""
    rows = [f"{label},{label * 2},1,0,{label % 2},2,{names[label]}" for label in labels]
    path.write_text("\n".join(["a,b,c,d,e,f,labels", *rows]) + "\n")
    return path


LETTERS = {"x": list("abcdef")}


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["1", "2", "3", "other"], [0, 1, 2]),
        (["False", "Maybe", "True", "yes"], [0, 2]),
        (["1.50", "2", "2.50", "x"], [0, 2]),
        (["01", "02", "2", "x"], [1, 2]),
        (["0x0", "0x1", "0x2", "x"], [1, 2]),
        (["2020-01-01", "2020-01-02", "other", "x"], [0, 1]),
        (["10:30", "11:00", "2020-01-01 10:00", "x"], [0, 1]),
        (["AS", "EU", "NA", "x"], [2]),
    ],
)
def test_names_that_read_as_numbers_are_names_where_classes_have_such(
    names: list[str], part: list[int], trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    """A table that happens to have no other would be one of numbers."""
    whole = named(tmp_path / "whole.csv", [0, 1, 2, 3] * 3, names)
    rows = named(tmp_path / "part.csv", part * 3, names)
    trainer = trainer_of(models.mlp())
    trainer.train(svgd_onnx.load_data(whole, columns=LETTERS), steps=2, **TRAINING)
    assert trainer.classes == tuple(names)
    for classes in ((), names):
        data = svgd_onnx.load_data(rows, columns=LETTERS, classes=classes)
        taken = taken_from(data, trainer.manifest, known={"labels": trainer.classes})
        labels = taken.take(slice(None))[1]  # type: ignore[union-attr]
        assert labels.tolist() == part * 3
    numbers = svgd_onnx.load_data(
        named(tmp_path / "numbers.csv", part, "0123"), columns=LETTERS, classes=["a", "b", "c", "d"]
    )
    taken = taken_from(numbers, trainer.manifest)
    assert taken.take(slice(None))[1].tolist() == part  # type: ignore[union-attr]


def test_names_that_are_the_numbers_of_their_classes_leave_numbers_as_they_are(
    tmp_path: Path,
) -> None:
    """So that -1, which a loss may ignore, stays what it is."""
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 6, 4), output="y")
    model = net.model({"x": ("N", 6)}, {"y": ("N", 4)})
    settings = svgd_onnx.LossSettings(ignore_index=-1)
    svgd_onnx.convert(model, tmp_path / "a", loss_settings=settings, verify=False)
    rows = named(tmp_path / "t.csv", [0, 1, 2, 3, -1], ["0", "1", "2", "3", "-1"])
    data = svgd_onnx.load_data(rows, columns=LETTERS, classes=["0", "1", "2", "3"])
    taken = taken_from(data, svgd_onnx.Trainer(tmp_path / "a").manifest)
    assert taken.take(slice(None))[1].tolist() == [0, 1, 2, 3, -1]  # type: ignore[union-attr]


def test_numbers_stay_numbers_where_no_cell_is_a_name(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    rows = named(tmp_path / "t.csv", [0, 1, 2], ["0", "1", "2"])
    trainer = trainer_of(models.mlp())
    plain = trainer.evaluate(svgd_onnx.load_data(rows, columns=LETTERS))
    for names in (["false", "true", "no", "x"], ["2020", "2021", "2022", "x"]):
        data = svgd_onnx.load_data(rows, columns=LETTERS, classes=names)
        assert trainer.evaluate(data) == plain


def test_data_that_two_trainers_take_has_for_each_the_numbers_that_it_knows(
    target_of: Any, tmp_path: Path
) -> None:
    folder = target_of(models.mlp())
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    rows = named(tmp_path / "t.csv", [0, 1, 2, 3] * 2, ["0", "1", "2", "3"])
    data = svgd_onnx.load_data(rows, columns=LETTERS)
    before = svgd_onnx.Trainer(folder).evaluate(data)
    told = svgd_onnx.load_data(rows, columns=LETTERS, classes=["2", "0", "1", "3"])
    trainer = svgd_onnx.Trainer(other)
    trainer.train(told, steps=1, **TRAINING)
    trainer.evaluate(data)
    again = svgd_onnx.Trainer(folder)
    assert again.evaluate(data) == before
    assert again.classes == ()


def test_a_column_cannot_be_an_input_and_a_label_whose_names_read_as_numbers(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    rows = named(tmp_path / "t.csv", [0, 1, 2], ["1", "2", "3"])
    columns = {"x": [*"abcde", "labels"], "labels": "labels"}
    data = svgd_onnx.load_data(rows, columns=columns, classes=["1", "2", "3", "4"])
    with pytest.raises(UserError, match="'labels' of .* is of an input and of the label 'labels'"):
        trainer_of(models.mlp()).evaluate(data)


def test_folders_of_images_may_lack_a_class(trainer: svgd_onnx.Trainer, tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path / "train")
    data_sets.image_folder(tmp_path / "part")
    for file in (tmp_path / "part" / "ape").iterdir():
        file.unlink()
    (tmp_path / "part" / "ape").rmdir()
    trainer.train(svgd_onnx.load_data(tmp_path / "train"), steps=1, **TRAINING)
    given = svgd_onnx.load_data(tmp_path / "part", classes=data_sets.CLASSES)
    found = svgd_onnx.load_data(tmp_path / "part")
    assert trainer.evaluate(found) == trainer.evaluate(given)


def test_labels_beyond_the_names_are_refused_in_evaluation_too(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    rows = named(tmp_path / "t.csv", [0, 1, 2], ["0", "1", "2"])
    data = svgd_onnx.load_data(rows, columns=LETTERS, classes=["a", "b"])
    with pytest.raises(UserError, match="A label in .* is 2, and there are 2 names of classes"):
        trainer_of(models.mlp()).evaluate(data)


def test_numbers_that_are_no_name_of_those_are_refused(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    rows = named(tmp_path / "part.csv", [0, 1, 2], ["0", "1", "2"])
    data = svgd_onnx.load_data(rows, columns=LETTERS, classes=["1", "2", "3", "other"])
    with pytest.raises(UserError, match="has '0', which is none of the classes 1, 2, 3, other"):
        trainer_of(models.mlp()).evaluate(data)


def test_names_of_some_classes_say_no_numbers_of_those(
    trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    names = ["ape", "bee", "cat", "dog"]
    rows = named(tmp_path / "part.csv", [1, 2, 3], names)
    trainer = trainer_of(models.mlp())
    trainer.train(models.examples(models.mlp(), 16), steps=2, **TRAINING)
    part = svgd_onnx.load_data(rows, columns=LETTERS)
    for use in (
        lambda: trainer.evaluate(part),
        lambda: trainer.train(part, steps=4, **TRAINING),
        lambda: trainer.train(
            models.examples(models.mlp(), 16), steps=4, validation=part, **TRAINING
        ),
    ):
        with pytest.raises(UserError, match=r"names are 3 \(bee, cat, dog\), and .* has 4"):
            use()
    trainer.evaluate(svgd_onnx.load_data(rows, columns=LETTERS, classes=names))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_in_a_batch_is_named_by_its_row(
    workers: int, trainer_of: MakeTrainer, tmp_path: Path
) -> None:
    bad = TABLE.replace("7,3.5", "inf,3.5")
    data = svgd_onnx.load_data(table(tmp_path / "table.csv", bad), columns=COLUMNS)
    trainer = trainer_of(models.mlp())
    with pytest.raises(
        UserError, match=r"'x' in '.*table.csv' contains NaN or infinity .* in row 7"
    ):
        trainer.train(data, epochs=1, workers=workers, **TRAINING)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_stops_training_with_its_name(
    workers: int, trainer: svgd_onnx.Trainer, tmp_path: Path
) -> None:
    data_sets.image_folder(tmp_path / "images")
    (tmp_path / "images" / "bee" / "05.png").write_bytes(b"nothing")
    data = svgd_onnx.load_data(tmp_path / "images")
    with pytest.raises(UserError, match=r"bee.05.png' cannot be read"):
        trainer.train(data, epochs=1, workers=workers, **TRAINING)


def test_an_image_that_is_too_small_is_named(trainer: svgd_onnx.Trainer, tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path / "images")
    data_sets.save_image(tmp_path / "images" / "cat" / "08.png", data_sets.images(1, 4)[0])
    data = svgd_onnx.load_data(tmp_path / "images", transform="center-crop=8")
    with pytest.raises(UserError, match=r"Image 'cat.08.png' .* it has 4 x 8 pixels, too few"):
        trainer.evaluate(data)


def test_a_transform_without_images_is_refused(trainer_of: MakeTrainer, tmp_path: Path) -> None:
    data = svgd_onnx.load_data(table(tmp_path / "table.csv"), columns=COLUMNS, transform="flip")
    with pytest.raises(UserError, match="transform is of images, and .* has none"):
        trainer_of(models.mlp()).evaluate(data)


def test_validation_has_the_classes_of_training(trainer: svgd_onnx.Trainer, tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path / "train")
    data_sets.image_folder(tmp_path / "validation")
    (tmp_path / "validation" / "ape").rename(tmp_path / "validation" / "wasp")
    train, validation = (svgd_onnx.load_data(tmp_path / name) for name in ("train", "validation"))
    with pytest.raises(
        UserError,
        match=r"has the class 'wasp', which is none of ape, bee, cat",
    ):
        trainer.train(train, epochs=1, validation=validation, **TRAINING)


def test_classes_are_kept_with_the_checkpoint(target_of: Any, tmp_path: Path) -> None:
    data_sets.image_folder(tmp_path / "images")
    folder = target_of(data_sets.image_model())
    svgd_onnx.Trainer(folder).train(svgd_onnx.load_data(tmp_path / "images"), steps=1, **TRAINING)
    again = svgd_onnx.Trainer(folder)
    assert again.classes == data_sets.CLASSES
    with pytest.raises(UserError, match="classes of .* are cat, bee, ape, and those of before"):
        again.evaluate(svgd_onnx.load_data(tmp_path / "images", classes=["cat", "bee", "ape"]))


@pytest.fixture(params=["ort-training", "onnx"])
def target_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def convert(model: Any) -> Path:
        svgd_onnx.convert(model, tmp_path / "artifacts", target=request.param, verify=False)
        return tmp_path / "artifacts"

    return convert


class Rows:
    """Examples of an object of Python's."""

    def __init__(self, arrays: dict[str, np.ndarray], *, tuples: bool) -> None:
        self._arrays, self._tuples = arrays, tuples

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, row: int) -> Any:
        values = {name: array[row] for name, array in self._arrays.items()}
        return tuple(values.values()) if self._tuples else values


@pytest.mark.parametrize("tuples", [True, False])
def test_an_object_with_rows_trains_as_its_arrays_do(tuples: bool, trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    arrays = models.examples(model, COUNT)
    trained = []
    for examples in (arrays, Rows(arrays, tuples=tuples)):
        trainer = trainer_of(model)
        trainer.train(examples, epochs=2, **TRAINING)
        trained.append((weights(trainer, "fc1.weight"), trainer.evaluate(examples)))
    assert trained[0] == trained[1]


@pytest.mark.parametrize("size", [None, 3, 4])
def test_a_stream_of_examples_or_batches_is_taken_in_its_order(
    size: int | None, trainer_of: MakeTrainer
) -> None:
    model = models.mlp()
    arrays = models.examples(model, COUNT)

    def stream() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, COUNT, size or 1):
            rows = start if size is None else slice(start, start + size)
            yield {name: array[rows] for name, array in arrays.items()}

    whole, by_hand, resumed = (trainer_of(model) for _ in range(3))
    whole.train(stream, steps=5, **TRAINING)
    for step in range(5):
        rows = np.arange(BATCH) + step % 3 * BATCH
        by_hand.train_step({name: array[rows] for name, array in arrays.items()}, 0.1)
    resumed.train(stream, steps=2, **TRAINING)
    resumed.train(stream, steps=5, resume=True, **TRAINING)
    assert weights(whole, "fc1.weight") == weights(by_hand, "fc1.weight")
    assert weights(whole, "fc1.weight") == weights(resumed, "fc1.weight")
    assert whole.evaluate(stream) == pytest.approx(whole.evaluate(arrays), rel=1e-6)


def test_a_stream_needs_steps_and_to_begin_again(trainer_of: MakeTrainer) -> None:
    arrays = models.examples(models.mlp(), COUNT)
    trainer = trainer_of(models.mlp())
    with pytest.raises(UserError, match="how many examples the data has, so epochs says nothing"):
        trainer.train(lambda: [arrays], epochs=1, **TRAINING)
    with pytest.raises(UserError, match="ended after 3 batches of 4, and cannot be gone through"):
        trainer.train(iter([arrays]), steps=4, **TRAINING)
    with pytest.raises(UserError, match="ended before it filled a batch of 4"):
        trainer_of(models.mlp()).train(lambda: [], steps=4, **TRAINING)
    with pytest.raises(UserError, match="no 'labels': the model wants 'x', 'labels'"):
        trainer.evaluate(iter([{"x": arrays["x"]}]))
    with pytest.raises(UserError, match="no example in the data"):
        trainer.evaluate(iter([]))


@pytest.mark.parametrize("batch_size", [4, 8])
def test_the_arrays_of_each_batch_of_a_stream_are_of_one_length(
    batch_size: int, trainer_of: MakeTrainer
) -> None:
    arrays = models.examples(models.mlp(), COUNT)
    wrong = [
        {"x": arrays["x"][:4], "labels": arrays["labels"][:3]},
        {"x": arrays["x"][4:8], "labels": arrays["labels"][3:8]},
    ]
    trainer = trainer_of(models.mlp())
    for use in (
        lambda: trainer.train(lambda: wrong, steps=1, batch_size=batch_size, learning_rate=0.1),
        lambda: trainer.evaluate(lambda: wrong),
    ):
        with pytest.raises(
            UserError, match=r"batch of the data differ in length \(x: 4, labels: 3"
        ):
            use()


@pytest.mark.parametrize("count", [1, BATCH])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_may_fill_one_buffer_again_and_again(
    count: int, workers: int, trainer_of: MakeTrainer
) -> None:
    model = models.mlp()
    arrays = models.examples(model, COUNT)
    buffers = {name: array[:count].copy() for name, array in arrays.items()}

    def stream() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, COUNT, count):
            for name, array in arrays.items():
                buffers[name][:] = array[start : start + count]
            yield buffers

    trained = []
    for data in (stream, lambda: [arrays]):
        trainer = trainer_of(model)
        trainer.train(data, steps=6, workers=workers, **TRAINING)
        trained.append((weights(trainer, "fc1.weight"), trainer.evaluate(data)))
    assert trained[0][0] == trained[1][0]
    assert trained[0][1] == pytest.approx(trained[1][1], rel=1e-6)


def test_rows_may_be_one_buffer(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    arrays = models.examples(model, COUNT)

    class Reused:
        def __init__(self) -> None:
            self.row = {name: array[0].copy() for name, array in arrays.items()}
            self.x = arrays["x"][0].copy()

        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, at: int) -> dict[str, np.ndarray]:
            self.x[:] = arrays["x"][at]
            self.row.update(x=self.x, labels=arrays["labels"][at])
            return self.row

    trainer = trainer_of(model)
    assert trainer.evaluate(Reused()) == trainer.evaluate(arrays)


def test_an_augmentation_may_fill_one_buffer(trainer_of: MakeTrainer) -> None:
    arrays = models.examples(models.mlp(), COUNT)
    buffer = np.empty_like(arrays["x"][:BATCH])

    def augment(batch: dict[str, np.ndarray], random: np.random.Generator) -> Any:
        buffer[:] = batch["x"] + random.normal()
        return {**batch, "x": buffer}

    trained = []
    for workers in (0, 1):
        trainer = trainer_of(models.mlp())
        trainer.train(arrays, epochs=4, augment=augment, workers=workers, **TRAINING)
        trained.append(weights(trainer, "fc1.weight"))
    assert trained[0] == trained[1]


@pytest.mark.parametrize("masked", ["x", "labels"])
def test_masked_numbers_are_refused(masked: str, trainer_of: MakeTrainer) -> None:
    arrays: dict[str, Any] = models.examples(models.mlp(), COUNT)
    hidden = np.zeros(arrays[masked].shape, bool)
    hidden[3] = True
    arrays[masked] = np.ma.masked_array(arrays[masked], hidden)
    trainer = trainer_of(models.mlp())
    for use in (
        lambda: trainer.train(arrays, epochs=1, **TRAINING),
        lambda: trainer.train_step(arrays, 0.1),
        lambda: trainer.evaluate(lambda: [arrays]),
        lambda: trainer.evaluate(svgd_onnx.load_data(arrays)),
        lambda: trainer.evaluate({name: list(array) for name, array in arrays.items()}),
    ):
        with pytest.raises(UserError, match=f"'{masked}' .* has masked numbers"):
            use()


def test_masked_numbers_of_a_parameter_are_refused(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(models.mlp())
    before = trainer.tensor("fc1.bias")
    hidden = np.ma.masked_array(before, before >= 0)
    with pytest.raises(UserError, match="'fc1.bias' has masked numbers"):
        trainer.set_tensors({"fc1.bias": hidden})
    np.testing.assert_array_equal(trainer.tensor("fc1.bias"), before)


@pytest.mark.parametrize("workers", [-1, 65])
def test_a_number_of_workers_beyond_reason_is_refused(
    workers: int, trainer: svgd_onnx.Trainer
) -> None:
    with pytest.raises(UserError, match="workers is"):
        trainer.train({}, epochs=1, workers=workers, **TRAINING)
