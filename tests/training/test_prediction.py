"""What a model says of examples, beside what onnxruntime says of the model that is exported."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import data_sets
import models
import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import Answer, Run
from onnx import numpy_helper

import svgd_onnx
from svgd_onnx.errors import UserError
from svgd_onnx.training import prediction

COUNT = 10


@pytest.fixture
def folder(target: str, tmp_path: Path) -> Path:
    svgd_onnx.convert(models.mlp(), tmp_path / "artifacts", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts")
    examples = models.examples(models.mlp(), COUNT)
    trainer.train(examples, steps=3, batch_size=4, learning_rate=0.1)
    return tmp_path / "artifacts"


@pytest.fixture(params=["ort-training", "onnx"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def expected(model: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: x})
    return np.asarray(result)


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_a_trainer_predicts_as_its_exported_model_does(
    batch_size: int, folder: Path, tmp_path: Path
) -> None:
    trainer = svgd_onnx.Trainer(folder)
    examples = models.examples(models.mlp(), COUNT)
    trainer.train_step(examples, 0.1)
    trainer.export(tmp_path / "now.onnx")
    wanted = expected(tmp_path / "now.onnx", examples["x"])
    del examples["labels"]
    made = trainer.predict(examples, batch_size=batch_size)
    np.testing.assert_allclose(made["probabilities"], wanted, rtol=1e-6)

    def stream() -> Iterator[tuple[np.ndarray]]:
        return ((x,) for x in examples["x"])

    np.testing.assert_allclose(trainer.predict(stream)["probabilities"], wanted, rtol=1e-6)


def test_files_have_what_is_predicted(
    folder: Path,
    tmp_path: Path,
    answer: Answer,
) -> None:
    examples = models.examples(models.mlp(), COUNT)
    np.savez(tmp_path / "data.npz", **examples)
    made = svgd_onnx.Trainer(folder).predict(examples)["probabilities"]
    common = ("predict", folder, "--data", tmp_path / "data.npz", "--batch-size", 3, "--output")
    assert "says of 10 examples" in answer(*common, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as written:
        assert list(written) == ["probabilities"]
        np.testing.assert_array_equal(written["probabilities"], made)
    answer(*common, tmp_path / "out.csv", "--classes", "a,b,c,d")
    rows = list(csv.reader((tmp_path / "out.csv").open()))
    names = [f"probabilities[{number}]" for number in range(4)]
    assert rows[0] == [*names, "class", "class name"]
    numbers = np.array([row[:4] for row in rows[1:]], np.float32)
    np.testing.assert_array_equal(numbers, made)
    assert [row[4:] for row in rows[1:]] == [
        [str(best), "abcd"[best]] for best in made.argmax(axis=1)
    ]


def doubled(*, cut: bool) -> onnx.ModelProto:
    """Two rows for each example, or as many as hold numbers other than 0."""
    net = models.Network()
    value = net.node("MatMul", "x", net.weight("w", 4, 3))
    if cut:
        net.node("Cast", net.node("Transpose", net.node("NonZero", value)), output="y", to=1)
    else:
        net.node("Concat", value, value, axis=0, output="y")
    return net.model({"x": ("N", 4)}, {"y": ("rows", None)})


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("cut", [False, True])
def test_an_output_that_has_no_row_for_each_example_is_refused(
    batch_size: int, cut: bool, tmp_path: Path
) -> None:
    onnx.save(doubled(cut=cut), tmp_path / "model.onnx")
    predictor = prediction.open_model(tmp_path / "model.onnx")
    rows = models.examples(models.mlp(), COUNT)["x"]
    with pytest.raises(UserError, match=r"'y' has shape .*, and no axis with one place for each"):
        list(predictor.predict({"x": rows[:, :4]}, batch_size=batch_size))


@pytest.mark.parametrize("of_artifacts", [False, True])
def test_an_output_beside_the_prediction_that_has_no_row_for_each_example_is_left_out(
    of_artifacts: bool, tmp_path: Path
) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    net.node("Concat", "y", "y", axis=0, output="twice")
    model = net.model({"x": ("N", 4)}, {"y": ("N", 3), "twice": ("rows", 3)})
    onnx.save(model, tmp_path / "model.onnx")
    x = models.examples(models.mlp(), COUNT)["x"][:, :4]
    with pytest.warns(UserWarning, match="Output 'twice' is left out: it has shape"):
        if of_artifacts:
            svgd_onnx.convert(model, tmp_path / "a", prediction="y", verify=False)
            said = svgd_onnx.Trainer(tmp_path / "a").predict({"x": x}, batch_size=4)
        else:
            predictor = prediction.open_model(tmp_path / "model.onnx")
            said = prediction.joined(predictor.predict({"x": x}, batch_size=4))
    assert list(said) == ["y"]
    weight = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_allclose(said["y"], x @ weight, rtol=1e-5)


def test_an_output_of_another_length_is_none_of_examples_where_they_are_as_many_by_chance(
    tmp_path: Path,
) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    net.node("ReduceMean", "y", axes=[0], keepdims=0, output="mean")
    onnx.save(net.model({"x": ("N", 4)}, {"y": ("N", 3), "mean": (3,)}), tmp_path / "model.onnx")
    predictor = prediction.open_model(tmp_path / "model.onnx")
    x = models.examples(models.mlp(), COUNT)["x"][:, :4]
    with pytest.warns(UserWarning, match="Output 'mean' is left out"):
        said = prediction.joined(predictor.predict({"x": x}, batch_size=3))
    assert list(said) == ["y"]


def test_a_batch_that_the_file_fixes_is_filled_up(target: str, tmp_path: Path) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    model = net.model({"x": (4, 4)}, {"y": (4, 3)})
    svgd_onnx.convert(model, tmp_path / "a", target=target, verify=False)
    x = models.examples(models.mlp(), COUNT)["x"][:, :4]
    said = svgd_onnx.Trainer(tmp_path / "a").predict({"x": x})
    weight = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_allclose(said["y"], x @ weight, rtol=1e-5)


def test_names_that_fit_several_outputs_are_of_none(tmp_path: Path, run: Run) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="y")
    net.node("Softmax", "y", axis=-1, output="p")
    onnx.save(net.model({"x": ("N", 4)}, {"y": ("N", 3), "p": ("N", 3)}), tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=np.ones((2, 4), np.float32))
    given = ("predict", tmp_path / "m.onnx", "--data", tmp_path / "d.npz", "--classes", "a,b,c")
    answered = run(*given, "--output", tmp_path / "o.csv")
    assert answered.code == 2
    assert "'y', 'p' have as many numbers an example" in " ".join(answered.err.split())


def test_no_two_columns_have_one_name(tmp_path: Path, answer: Answer) -> None:
    net = models.Network()
    net.node("MatMul", "x", net.weight("w", 4, 3), output="logits")
    net.node("ReduceMax", "logits", axes=[1], keepdims=1, output="class")
    model = net.model({"x": ("N", 4)}, {"logits": ("N", 3), "class": ("N", 1)})
    svgd_onnx.convert(model, tmp_path / "a", prediction="logits", verify=False)
    np.savez(tmp_path / "data.npz", x=np.ones((2, 4), np.float32))
    answer(
        "predict", tmp_path / "a", "--data", tmp_path / "data.npz", "--output", tmp_path / "o.csv"
    )
    header = next(csv.reader((tmp_path / "o.csv").open()))
    assert header == ["logits[0]", "logits[1]", "logits[2]", "class", "predicted class"]


def test_the_classes_of_images_are_named(tmp_path: Path, answer: Answer) -> None:
    onnx.save(data_sets.image_model(), tmp_path / "model.onnx")
    svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "artifacts", verify=False)
    pictures = data_sets.image_folder(tmp_path / "images")
    for number, picture in enumerate(pictures):
        data_sets.save_image(tmp_path / "unknown" / f"{number:02}.png", picture)
    options = ("--batch-size", 4, "--learning-rate", 0.1, "--steps", 2)
    answer("train", tmp_path / "artifacts", "--data", tmp_path / "images", *options)
    said = {}
    for data in ("images", "unknown"):
        output = tmp_path / f"{data}.csv"
        answer("predict", tmp_path / "artifacts", "--data", tmp_path / data, "--output", output)
        said[data] = list(csv.DictReader(output.open()))
    assert [row["file"] for row in said["unknown"]] == [f"{number:02}.png" for number in range(12)]
    for row, other in zip(said["images"], said["unknown"]):
        assert row["class name"] == other["class name"] == data_sets.CLASSES[int(row["class"])]
    answer(
        *("predict", tmp_path / "model.onnx", "--data", tmp_path / "images"),
        *("--output", tmp_path / "model.csv"),
    )
    pixels = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255
    best = expected(tmp_path / "model.onnx", pixels).argmax(axis=1)
    rows = list(csv.DictReader((tmp_path / "model.csv").open()))
    assert [row["class name"] for row in rows] == [data_sets.CLASSES[each] for each in best]


def test_a_batch_of_fixed_size_is_filled_up(tmp_path: Path, answer: Answer) -> None:
    model = models.mlp()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, tmp_path / "fixed.onnx")
    onnx.save(models.mlp(), tmp_path / "open.onnx")
    examples = models.examples(models.mlp(), COUNT)
    np.savez(tmp_path / "data.npz", x=examples["x"])
    common = ("--data", tmp_path / "data.npz", "--output", tmp_path / "out.npz")
    answer("predict", tmp_path / "fixed.onnx", *common)
    with np.load(tmp_path / "out.npz") as written:
        wanted = expected(tmp_path / "open.onnx", examples["x"])
        np.testing.assert_allclose(written["probabilities"], wanted, rtol=1e-6)


def test_what_is_no_line_of_csv_is_refused(tmp_path: Path, answer: Answer) -> None:
    net = models.Network()
    net.node("Relu", "x", output="y")
    onnx.save(net.model({"x": ("N", 2, 3)}, {"y": ("N", 2, 3)}), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.ones((5, 2, 3), np.float32))
    common = ("predict", tmp_path / "model.onnx", "--data", tmp_path / "data.npz", "--output")
    refused = answer(*common, tmp_path / "out.csv")
    assert "'y' has an array of shape (2, 3) for each example" in refused
    assert not (tmp_path / "out.csv").exists()
    answer(*common, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as written:
        assert written["y"].shape == (5, 2, 3)


def with_weights_in(path: Path, location: str) -> Path:
    """x (N, 4) + w -> y, whose w is in another file."""
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    net = models.Network()
    net.initializers.append(tensor)
    net.node("Add", "x", "w", output="y")
    model = net.model({"x": ("N", 4)}, {"y": ("N", 4)}, check=False)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../w.bin", "{}/w.bin"])
def test_a_model_that_names_files_elsewhere_is_refused(
    location: str, tmp_path: Path, answer: Answer
) -> None:
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    (tmp_path / "model").mkdir()
    model = with_weights_in(tmp_path / "model" / "model.onnx", location.format(tmp_path))
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 4), np.float32))
    common = ("--data", tmp_path / "data.npz", "--output", tmp_path / "out.npz")
    assert "'w'" in answer("predict", model, *common)
    assert not (tmp_path / "out.npz").exists()
    (tmp_path / "w.bin").rename(tmp_path / "model" / "w.bin")
    answer("predict", with_weights_in(model, "w.bin"), *common)
    with np.load(tmp_path / "out.npz") as written:
        np.testing.assert_array_equal(written["y"], [np.arange(4)] * 2)


@pytest.mark.parametrize(
    ("output", "options", "sentence"),
    [
        ("out.txt", (), "ends in none of .npz, .csv"),
        ("data.npz", (), "is a file that is read"),
        ("artifacts/svgd.json", (), "ends in none of"),
        ("out.csv", ("--classes", "a,b"), "--classes names 2 classes, but no output has as many"),
        ("out.csv", ("--batch-size", 0), "--batch-size is 0"),
        ("out.csv", ("--workers", -1), "--workers is -1"),
        ("out.csv", ("--columns", "x=y"), "--columns makes 'x' of 'y'"),
    ],
)
def test_what_does_not_fit_is_refused(
    output: str,
    options: tuple[object, ...],
    sentence: str,
    tmp_path: Path,
    answer: Answer,
) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "artifacts", verify=False)
    np.savez(tmp_path / "data.npz", **models.examples(models.mlp(), COUNT))
    data = ("--data", tmp_path / "data.npz", "--output", tmp_path / output)
    assert sentence in answer("predict", tmp_path / "artifacts", *data, *options)


def test_without_its_array_what_there_is_instead_is_named(tmp_path: Path, answer: Answer) -> None:
    svgd_onnx.convert(models.mlp(), tmp_path / "artifacts", verify=False)
    np.savez(tmp_path / "data.npz", other=np.zeros((COUNT, 4), np.float32))
    data = ("--data", tmp_path / "data.npz", "--output", tmp_path / "out.csv")
    assert "the model wants 'x', but there is 'other'" in answer(
        "predict", tmp_path / "artifacts", *data
    )


def test_nothing_temporary_stays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    trainer = svgd_onnx.Trainer(folder)
    with pytest.raises(UserError, match="is 'data.npz': give arrays by name"):
        trainer.predict("data.npz")
    with pytest.raises(UserError, match="There is no array 'x'"):
        trainer.predict({"y": np.ones(3)})
    trainer.predict(models.examples(models.mlp(), COUNT))
    assert not list((tmp_path / "temporary").iterdir())


def test_a_model_of_float16_predicts_what_its_export_does(target: str, tmp_path: Path) -> None:
    """Steps take float32, and the model as it came float16."""
    model = models.mlp()
    for each in model.graph.initializer:
        each.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(each).astype(np.float16), each.name)
        )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "artifacts", threads=1)
    data = models.examples(models.mlp(), 16)
    trainer.train(data, epochs=1, batch_size=8, learning_rate=0.1)
    found = trainer.predict({"x": data["x"]})["probabilities"]
    trainer.export(tmp_path / "trained.onnx")
    wanted = expected(tmp_path / "trained.onnx", data["x"].astype(np.float16))
    np.testing.assert_array_equal(found, wanted)


def test_scores_that_tell_no_class_are_told_of(target: str, tmp_path: Path, run: Run) -> None:
    """Else the first class would be the highest."""
    net = models.Network()
    large = net.node("Mul", "x", net.constant("ten", np.float32(10)))
    net.node("MatMul", large, net.weight("w", 6, 4), output="logits")
    model = net.model({"x": ("N", 6)}, {"logits": ("N", 4)})
    svgd_onnx.convert(model, tmp_path / "artifacts", target=target, verify=False)
    x = models.examples(model, COUNT)["x"]
    x[3] = 3e38 * np.sign(x[3])
    np.savez(tmp_path / "data.npz", x=x)
    files = "--data", tmp_path / "data.npz", "--output", tmp_path / "said.csv"
    said = run("predict", tmp_path / "artifacts", *files)
    assert said.code == 0
    assert "has NaN or infinities for example 3" in " ".join(said.err.split())
