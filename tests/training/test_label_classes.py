"""Classes by their names, of each of several labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import Answer, Run
from models import Network

import svgd_onnx

KINDS, SIZES = ("ape", "bee", "cow"), ("large", "small")
TRAIN = ("--batch-size", 4, "--learning-rate", 0.1, "--steps", 3)


def two_heads() -> onnx.ModelProto:
    """x (batch, 2) -> kind (batch, 3) and size (batch, 2)."""
    net = Network()
    hidden = net.node("Tanh", net.node("MatMul", "x", net.weight("w", 2, 4)))
    net.node("MatMul", hidden, net.weight("a", 4, 3), output="kind")
    net.node("MatMul", hidden, net.weight("b", 4, 2), output="size")
    return net.model({"x": ("batch", 2)}, {"kind": ("batch", 3), "size": ("batch", 2)})


def table(path: Path, sizes: tuple[str, ...] = SIZES, kinds: tuple[str, ...] = KINDS) -> Path:
    """12 rows of two numbers, a kind and a size."""
    lines = ["u,v,kind_labels,size_labels"]
    for row in range(12):
        lines.append(f"{row / 12},{-row / 7},{kinds[row % len(kinds)]},{sizes[row % len(sizes)]}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("pyarrow")
    losses: dict[str, Any] = {"kind": "cross-entropy", "size": "cross-entropy"}
    svgd_onnx.convert(two_heads(), tmp_path / "a", loss=losses, target="onnx", verify=False)
    return tmp_path / "a"


def of(path: Path) -> tuple[str, ...]:
    return ("--data", str(path), "--columns", "x=u,v")


def test_texts_are_labels_of_each_loss(answer: Answer, folder: Path, tmp_path: Path) -> None:
    said = answer("train", folder, *of(table(tmp_path / "t.csv")), *TRAIN)
    assert "Classes of 'kind_labels': 0 ape, 1 bee, 2 cow." in said
    assert "Classes of 'size_labels': 0 large, 1 small." in said
    trainer = svgd_onnx.Trainer(folder)
    assert trainer.classes == KINDS
    assert trainer.label_classes == {"kind_labels": KINDS, "size_labels": SIZES}
    # what is numbered by itself is scored as what has the numbers
    rows = np.arange(12)
    numbers = {
        "x": np.stack([rows / 12, -rows / 7], axis=1).astype(np.float32),
        "kind_labels": rows % 3,
        "size_labels": rows % 2,
    }
    data = svgd_onnx.load_data(tmp_path / "t.csv", columns={"x": ["u", "v"]})
    assert trainer.evaluate(data) == pytest.approx(trainer.evaluate(numbers))


def test_data_that_lack_some_are_numbered_as_before(run: Run, folder: Path, tmp_path: Path) -> None:
    whole, part = table(tmp_path / "t.csv"), table(tmp_path / "p.csv", sizes=("small",))
    assert run("train", folder, *of(whole), "--validation", part, *TRAIN).code == 0
    scores = run("evaluate", folder, *of(part), "--json").facts
    data = svgd_onnx.load_data(
        part, columns={"x": ["u", "v"]}, classes={"kind_labels": KINDS, "size_labels": SIZES}
    )
    assert scores["size_loss"] == pytest.approx(
        svgd_onnx.Trainer(folder).evaluate(data)["size_loss"]
    )
    alone = svgd_onnx.load_data(part, columns={"x": ["u", "v"]})
    assert svgd_onnx.Trainer(folder).evaluate(alone)["size_loss"] == scores["size_loss"]


def test_each_may_be_given(run: Run, folder: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    (tmp_path / "kinds.txt").write_text("cow\nbee\nape\n")
    given = ("--classes", "size_labels=small,large")
    given = (*given, "--classes", f"kind_labels={tmp_path / 'kinds.txt'}")
    facts = run("train", folder, *of(path), *TRAIN, *given, "--json").facts
    assert facts["classes"] == ["cow", "bee", "ape"]
    assert facts["label_classes"]["size_labels"] == ["small", "large"]
    again = run("train", "--config", folder / "run.toml", "--steps", 5, "--json").facts
    assert again["label_classes"] == facts["label_classes"]


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["a,b"], "which is none of the classes a, b"),
        (["colour=a,b"], "--classes names 'colour', which is none of the labels"),
        (["a,b,c", "size_labels=a,b"], "beside LABEL=A,B"),
        (["size_labels=small,large,huge"], "There are 3 names of classes"),
        (["size_labels=small"], "'size_labels' of .* has 'large', which is none of the classes"),
        (["size_labels=small,small"], "names a class twice"),
    ],
)
def test_what_is_refused(
    classes: list[str], sentence: str, run: Run, folder: Path, tmp_path: Path
) -> None:
    options = [part for each in classes for part in ("--classes", each)]
    refused = run("train", folder, *of(table(tmp_path / "t.csv")), *TRAIN, *options)
    assert refused.code == 2
    assert re.search(sentence, refused.err)


def test_a_file_of_classes_without_a_name_is_refused(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.txt").write_text("\n")
    options = ("--classes", f"size_labels={tmp_path / 'none.txt'}")
    refused = run("train", folder, *of(table(tmp_path / "t.csv")), *TRAIN, *options)
    assert refused.code == 2 and "has no name in it: write one a line" in refused.err


def test_a_config_has_classes_as_text_or_list(run: Run, folder: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    for written in ('"cow,bee,ape"', '["cow", "bee", "ape"]', '["kind_labels=cow,bee,ape"]'):
        config = tmp_path / "run.toml"
        config.write_text(
            f"[train]\nfolder = '{folder}'\ndata = '{path}'\ncolumns = ['x=u,v']\nbatch-size = 4\n"
            f"learning-rate = 0.1\nsteps = 1\nrestart = true\nclasses = {written}\n"
        )
        assert run("train", "--config", config, "--json").facts["classes"] == ["cow", "bee", "ape"]


def test_predict_takes_names_of_one_output(run: Run, folder: Path, tmp_path: Path) -> None:
    line = ("predict", folder, *of(table(tmp_path / "t.csv")), "--output", tmp_path / "p.csv")
    refused = run(*line, "--classes", "kind_labels=a,b,c")
    assert refused.code == 2 and "give names without a label" in refused.err


def of_numbers(loss: str, columns: int = 1) -> tuple[onnx.ModelProto, dict[str, Any]]:
    net = Network()
    net.node("MatMul", "x", net.weight("w", 2, columns), output="y")
    model = net.model({"x": ("batch", 2)}, {"y": ("batch", columns)})
    return model, {"loss": loss, "target": "onnx", "verify": False}


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
@pytest.mark.parametrize("cells", ["1.5 unknown 2.5", "2020-01-01 2021-01-01 2022-01-01", "a b c"])
def test_texts_are_no_numbers_for_a_loss_to_compare(
    loss: str, cells: str, tmp_path: Path, run: Run
) -> None:
    """One such cell makes texts of a column, and these would be numbered."""
    pytest.importorskip("pyarrow")
    model, options = of_numbers(loss)
    svgd_onnx.convert(model, tmp_path / "a", **options)
    rows = "\n".join(f"1,2,{cell}" for cell in cells.split())
    (tmp_path / "t.csv").write_text(f"u,v,target\n{rows}\n")
    for command in (("train", *TRAIN), ("evaluate",)):
        name, *rest = command
        said = run(name, tmp_path / "a", *of(tmp_path / "t.csv"), *rest)
        assert said.code == 2 and f"has texts where the loss {loss} compares 'target'" in said.err


def test_folders_are_no_numbers_for_a_loss_to_compare(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    net = Network()
    flat = net.node("Flatten", "x")
    net.node("MatMul", flat, net.weight("w", 48, 1), output="y")
    model = net.model({"x": ("batch", 3, 4, 4)}, {"y": ("batch", 1)})
    svgd_onnx.convert(model, tmp_path / "a", loss="mse", target="onnx", verify=False)
    for age in ("8", "9", "10"):
        (tmp_path / "faces" / age).mkdir(parents=True)
        pil.new("RGB", (4, 4)).save(tmp_path / "faces" / age / "one.png")
    with pytest.raises(svgd_onnx.UserError, match="has texts where the loss mse compares"):
        svgd_onnx.Trainer(tmp_path / "a").evaluate(svgd_onnx.load_data(tmp_path / "faces"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_are_classes_as_texts_are(suffix: str, tmp_path: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    from pyarrow import parquet

    model, options = of_numbers("cross-entropy", 3)
    svgd_onnx.convert(model, tmp_path / "a", **options)
    days = [f"2020-0{month}-01" for month in (3, 1, 2, 1)]
    rows = "\n".join(f"{at},2,{day}" for at, day in enumerate(days))
    (tmp_path / "t.csv").write_text(f"u,v,labels\n{rows}\n")
    parquet.write_table(csv.read_csv(tmp_path / "t.csv"), tmp_path / "t.parquet")
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    table = tmp_path / f"t.{suffix}"
    data = svgd_onnx.load_data(table, columns={"x": ["u", "v"]})
    trainer.train(data, steps=1, batch_size=4, learning_rate=0.1)
    assert trainer.classes == tuple(sorted(set(days)))
    numbers = {"x": np.array([[at, 2] for at in range(4)], np.float32), "labels": [2, 0, 1, 0]}
    assert trainer.evaluate(data) == pytest.approx(trainer.evaluate(numbers))
    shared = svgd_onnx.load_data(table, columns={"x": ["u", "labels"], "labels": "labels"})
    with pytest.raises(svgd_onnx.UserError, match="is of an input and of the label"):
        trainer.evaluate(shared)


def test_yes_or_no_in_texts(tmp_path: Path) -> None:
    """Of a text that is alone nobody knows whether it is yes, nor of columns that each have their own."""
    pytest.importorskip("pyarrow")
    model, options = of_numbers("bce-with-logits", 2)
    svgd_onnx.convert(model, tmp_path / "two", **options)
    model, options = of_numbers("bce-with-logits")
    svgd_onnx.convert(model, tmp_path / "one", **options)
    (tmp_path / "t.csv").write_text("u,v,a,b,c,d\n1,2,yes,no,1,0\n3,4,yes,yes,1,1\n")

    def loss(folder: str, *of_target: str, **given: Any) -> float:
        columns = {"x": ["u", "v"], "target": of_target}
        data = svgd_onnx.load_data(tmp_path / "t.csv", columns=columns, **given)
        return float(svgd_onnx.Trainer(tmp_path / folder).evaluate(data)["loss"])

    names = {"classes": ["no", "yes"]}
    assert loss("one", "a", **names) == loss("one", "c")
    assert loss("one", "b") == loss("one", "d")
    assert loss("two", "a", "b", **names) == loss("two", "c", "d")
    with pytest.raises(svgd_onnx.UserError, match="has 'yes' where the loss .* asks yes or no"):
        loss("one", "a")
    with pytest.raises(svgd_onnx.UserError, match="nothing says which number each text has"):
        loss("two", "a", "b")


def test_names_of_outputs_change_no_numbers_of_several_columns(tmp_path: Path) -> None:
    """Whatever they are called, columns of 0 and 1 are 0 and 1; in Python and in arrays."""
    pytest.importorskip("pyarrow")
    model, options = of_numbers("bce-with-logits", 2)
    svgd_onnx.convert(model, tmp_path / "a", **options)
    (tmp_path / "t.csv").write_text("u,v,a,b\n1,2,1,0\n3,4,1,0\n")
    columns = {"x": ["u", "v"], "target": ["a", "b"]}
    losses = [
        svgd_onnx.Trainer(tmp_path / "a").evaluate(
            svgd_onnx.load_data(tmp_path / "t.csv", columns=columns, classes=names)
        )["loss"]
        for names in ((), ("1", "2"), ("2019", "2020"), ("no", "yes"))
    ]
    assert losses == losses[:1] * 4


def test_checks_take_no_texts_for_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    model, _ = of_numbers("mse")
    (tmp_path / "t.csv").write_text("u,v,target\n1,2,a\n3,4,b\n")
    data = svgd_onnx.load_data(tmp_path / "t.csv", columns={"x": ["u", "v"]})
    with pytest.raises(svgd_onnx.UserError, match="has texts where the loss mse compares"):
        svgd_onnx.check(model, loss="mse", target="onnx", arrays=data)


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_of_a_zone_that_is_not_known_are_refused_in_a_sentence(
    unit: str, tmp_path: Path
) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    model, options = of_numbers("cross-entropy", 3)
    svgd_onnx.convert(model, tmp_path / "a", **options)
    labels = arrow.array([1, 2, 3], arrow.timestamp(unit, tz="Nowhere/Town"))
    numbers = [1.0, 2.0, 3.0]
    parquet.write_table(arrow.table({"u": numbers, "labels": labels}), tmp_path / "t.parquet")
    columns = {"x": ["u", "u*"]}
    data = svgd_onnx.load_data(tmp_path / "t.parquet", columns=columns)
    with pytest.raises(svgd_onnx.UserError):
        svgd_onnx.Trainer(tmp_path / "a").evaluate(data)
