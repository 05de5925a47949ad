"""Files of artifacts that were edited or swapped: refused before they are used, by all that reads them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from safetensors.numpy import load_file, save_file

import svgd_onnx
from svgd_onnx.manifest import FORMAT, Manifest
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.ort_training import checkpoint_file
from svgd_onnx.training.export import export

MODEL = models.mlp()
WIDER = models.regression()

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each target of one model, and of another: <target>, <target>-other."""
    folder = tmp_path_factory.mktemp("artifacts")
    for target in TARGETS:
        svgd_onnx.convert(MODEL, folder / target, target=target, verify=False)
        other = {"loss": "mse", "target": target, "verify": False}
        svgd_onnx.convert(WIDER, folder / f"{target}-other", **other)
    return folder


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def folder(made: Path, target: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / target, tmp_path / "artifacts"))


def edited(folder: Path, target: str, change: Callable[[Tensors], object]) -> None:
    """Changes the checkpoint before training; a change may give a tensor another shape or type."""
    if target == "onnx":
        path = folder / "checkpoint.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, {"svgd.progress": '{"step":0,"seed":0,"batch_size":0}'})
        return
    manifest = Manifest.load(folder)
    trainer = svgd_onnx.Trainer(folder)
    states = [each.state for each in manifest.operations if each.state is not None]
    names = [*(each.name for each in manifest.parameters), *states]
    tensors = {name: trainer.tensor(name) for name in names}
    change(tensors)
    given = {name: ir.tensor(array) for name, array in tensors.items()}
    trained = {each.name for each in manifest.parameters if each.trainable}
    checkpoint_file.write(
        folder / "checkpoint",
        {name: each for name, each in given.items() if name in trained},
        {name: each for name, each in given.items() if name not in trained},
    )


def refusals(folder: Path) -> list[str]:
    """What a trainer and export say."""
    sentences = []
    for use in (svgd_onnx.Trainer, lambda path: export(path, path / "model.onnx")):
        with pytest.raises(svgd_onnx.UserError) as caught:
            use(folder)
        sentences.append(str(caught.value))
    assert not (folder / "model.onnx").exists()
    return sentences


R = "svgd.r.fc1.weight"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("fc1.weight"), "'fc1.weight' is not in it"),
        (lambda t: t.pop(R), f"'{R}' is not in it"),
        (lambda t: t.update({"bn.mean": np.zeros(7, np.float32)}), "float32 of shape (7,) in it"),
        (lambda t: t.update({"fc1.weight": t["fc1.weight"].T.copy()}), "of shape (6, 5) in it"),
        (lambda t: t.update({"fc1.weight": t["fc1.weight"][:0]}), "of shape (0, 6) in it"),
        (lambda t: t.update({R: np.zeros((), np.float32)}), "of shape () in it"),
    ],
)
def test_an_edited_checkpoint(
    folder: Path, target: str, change: Callable[[Tensors], object], what: str
) -> None:
    edited(folder, target, change)
    for sentence in refusals(folder):
        assert "is that of another model" in sentence and what in sentence


def test_a_checkpoint_with_one_byte_another_is_read_or_refused(folder: Path, target: str) -> None:
    trainer = svgd_onnx.Trainer(folder)
    trainer.train_step(models.examples(MODEL), 0.01)
    trainer.save()  # with how far it came, and what it was trained as
    path, manifest = trainer.checkpoint_file, trainer.manifest
    del trainer
    content = bytearray(path.read_bytes())
    refused = set()
    for place in range(0, len(content), 3):
        byte = content[place]
        content[place] = byte ^ 0xC6  # no letter stays one of ASCII
        path.write_bytes(content)
        content[place] = byte
        try:
            TARGETS[target].checkpoint(folder, manifest)("fc1.weight")
        except svgd_onnx.UserError as error:
            refused.add(str(error))
    assert any("is damaged" in sentence for sentence in refused)


def test_a_checkpoint_with_nan_is_not_exported(folder: Path, target: str, tmp_path: Path) -> None:
    def without_a_number(tensors: Tensors) -> None:
        tensors["fc1.weight"][2, 3] = np.nan

    edited(folder, target, without_a_number)
    output = tmp_path / "exported.onnx"
    with pytest.raises(svgd_onnx.UserError, match="'fc1.weight' has NaN, and nothing is exported"):
        export(folder, output)
    assert not output.exists()


def test_a_checkpoint_of_another_type(folder: Path, target: str) -> None:
    if target == "ort-training":
        pytest.skip("onnxruntime writes float32 only")
    edited(folder, target, lambda t: t.update({"fc1.weight": t["fc1.weight"].astype(np.float64)}))
    for sentence in refusals(folder):
        assert "'fc1.weight' is float64 of shape (5, 6) in it" in sentence


def test_a_checkpoint_of_another_model(folder: Path, made: Path, target: str) -> None:
    name = "checkpoint.safetensors" if target == "onnx" else "checkpoint"
    shutil.copy(made / f"{target}-other" / name, folder / name)
    for sentence in refusals(folder):
        assert "is that of another model" in sentence


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"loss": "mse"}, "the loss was mse, and is cross-entropy by svgd.json"),
        ({"optimizer": "rmsprop"}, "the optimizer was rmsprop"),
        ({"rho": 0.5}, "the optimizer's rho was 0.5"),
        (
            {"loss_settings": svgd_onnx.LossSettings(reduction="sum")},
            "the loss's reduction was sum, and is mean",
        ),
    ],
)
def test_a_trained_checkpoint_of_another_conversion(
    folder: Path, target: str, tmp_path: Path, settings: dict[str, Any], what: str
) -> None:
    """Of the same shapes, so that nothing else tells."""
    if target == "ort-training" and "optimizer" in settings:
        pytest.skip("rmsprop is of the target onnx")
    for path in (folder, tmp_path / "other"):
        if path != folder:
            svgd_onnx.convert(MODEL, path, target=target, verify=False, **settings)
        trainer = svgd_onnx.Trainer(path)
        trainer.train_step(batch_of(path), 0.1)
        trainer.save()
    svgd_onnx.Trainer(folder)  # its own
    name = "checkpoint.safetensors" if target == "onnx" else "checkpoint"
    shutil.copy(tmp_path / "other" / name, folder / name)
    for sentence in refusals(folder):
        assert "was trained by another conversion" in sentence and what in sentence


def test_a_checkpoint_of_another_models_file(target: str, tmp_path: Path) -> None:
    """A copy of a folder is the same conversion, and so is a conversion anew of the same file."""
    for name, model in (("one", MODEL), ("two", reweighted(MODEL))):
        onnx.save(model, tmp_path / f"{name}.onnx")
        svgd_onnx.convert(tmp_path / f"{name}.onnx", tmp_path / name, target=target, verify=False)
        trainer = svgd_onnx.Trainer(tmp_path / name)
        trainer.train_step(batch_of(tmp_path / name), 0.1)
        trainer.save()
    name = "checkpoint.safetensors" if target == "onnx" else "checkpoint"
    svgd_onnx.convert(tmp_path / "one.onnx", tmp_path / "anew", target=target, verify=False)
    shutil.copy(tmp_path / "one" / name, tmp_path / "anew" / name)
    assert svgd_onnx.Trainer(tmp_path / "anew").step == 1
    shutil.copy(tmp_path / "two" / name, tmp_path / "anew" / name)
    for sentence in refusals(tmp_path / "anew"):
        assert "the model's SHA-256 was " in sentence


def reweighted(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with other weights."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    weight = next(each for each in other.graph.initializer if each.name == "fc1.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ones((5, 6), np.float32), weight.name))
    return other


def batch_of(folder: Path) -> Tensors:
    x = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    label = Manifest.load(folder).label
    assert label is not None
    of_classes = label.dtype == "int64"
    return {
        "x": x,
        label.name: np.zeros(8, np.int64) if of_classes else np.zeros((8, 4), np.float32),
    }


def test_the_optimizers_state_of_another_shape(tmp_path: Path) -> None:
    svgd_onnx.convert(MODEL, tmp_path / "a", target="onnx", optimizer="adamw", verify=False)
    name = "fc1.weight.first_moment"
    edited(tmp_path / "a", "onnx", lambda t: t.update({name: np.zeros((5, 7), np.float32)}))
    with pytest.raises(svgd_onnx.UserError, match=name):
        svgd_onnx.Trainer(tmp_path / "a")


@pytest.mark.parametrize("content", ['{"step": "1", "seed": 0, "batch_size": 0}', "[]", "0", "{"])
def test_a_progress_that_is_none(tmp_path: Path, made: Path, content: str) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    path = folder / "checkpoint.safetensors"
    save_file(load_file(path), path, {"svgd.progress": content})
    for sentence in refusals(folder):
        assert "is damaged" in sentence


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"seed": -1},
        {"seed": 2**64},
        {"batch_size": -1},
        {"batch_size": 2**70},
        {"skipped": 3},
        {"best_step": 3},
        {"origin": {"first_step": 3}},
        {"origin": {"epoch": 2**70}},
        {"validations": [{"after_step": 3, "values": {}}]},
    ],
    ids=str,
)
def test_a_progress_that_no_training_makes(
    tmp_path: Path, made: Path, change: dict[str, object]
) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    path = folder / "checkpoint.safetensors"
    progress = {"step": 2, "seed": 0, "batch_size": 8, **change}
    save_file(load_file(path), path, {"svgd.progress": json.dumps(progress)})
    for sentence in refusals(folder):
        assert "is damaged" in sentence


@pytest.mark.parametrize(("state", "number"), [("first_moment", np.nan), ("second_moment", -1)])
def test_what_an_optimizer_cannot_have_kept(tmp_path: Path, state: str, number: float) -> None:
    """Of the target ort-training it is in onnxruntime's own hands."""
    svgd_onnx.convert(MODEL, tmp_path / "a", target="onnx", optimizer="adamw", verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    name = next(each.name for each in trainer.manifest.states if each.state == state)
    edited(tmp_path / "a", "onnx", lambda tensors: tensors[name].fill(number))
    trainer = svgd_onnx.Trainer(tmp_path / "a")
    with pytest.raises(svgd_onnx.UserError, match=f"'{name}' is .* in the checkpoint"):
        trainer.train_step(models.examples(MODEL), 0.1)


def test_r_is_never_set_below_zero(folder: Path) -> None:
    trainer = svgd_onnx.Trainer(folder)
    name = next(each.state for each in trainer.manifest.operations if each.state)
    before = trainer.tensor(name)
    with pytest.raises(svgd_onnx.UserError, match="is to become negative"):
        trainer.set_tensors({name: np.full(before.shape, -1, np.float32)})
    np.testing.assert_array_equal(trainer.tensor(name), before)


def test_a_swapped_model(folder: Path, made: Path, target: str) -> None:
    """Of every model that there is, that of another folder, and one with a byte more."""
    for path in sorted((made / target).glob("*.onnx")):
        other = made / f"{target}-other" / path.name
        contents = [
            path.read_bytes() + b"\x12\x00",
            *([other.read_bytes()] if other.exists() else []),
        ]
        if path.read_bytes() in contents:
            continue  # the optimizer's
        kernels = "fast" if ".fast." in path.name else "standard"
        for content in contents:
            (folder / path.name).write_bytes(content)
            with pytest.raises(svgd_onnx.UserError, match="is not the file that was made with"):
                if path.name == "model_without_weights.onnx":
                    export(folder, folder / "model.onnx")
                else:
                    svgd_onnx.Trainer(folder, kernels=kernels)
        shutil.copy(path, folder / path.name)


def test_a_folder_that_is_gone_since_it_was_opened(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    trainer = svgd_onnx.Trainer(folder)
    shutil.rmtree(folder)
    with pytest.raises(svgd_onnx.UserError, match=r"has no eval_model\.onnx"):
        trainer.evaluate(models.examples(MODEL))


def test_a_missing_model(folder: Path) -> None:
    (folder / "eval_model.onnx").unlink()
    with pytest.raises(svgd_onnx.UserError, match=r"has no eval_model\.onnx"):
        svgd_onnx.Trainer(folder)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "svgd.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_folder_of_format_1_trains(folder: Path) -> None:
    """It says nothing of files, the source, and ranges."""

    def older(content: dict[str, Any]) -> None:
        content["format"] = 1
        del content["files"], content["source"], content["sha256"]
        for tensor in (*content["inputs"], content["label"], *content["outputs"]):
            del tensor["lowest"], tensor["highest"]

    rewrite(folder, older)
    trainer = svgd_onnx.Trainer(folder)
    assert np.isfinite(trainer.train_step(models.examples(MODEL), 0.1))


def test_a_folder_of_format_3_trains(folder: Path) -> None:
    """It has no SHA-256 of itself."""
    rewrite(folder, lambda content: (content.update(format=3), content.pop("sha256")))
    trainer = svgd_onnx.Trainer(folder)
    assert np.isfinite(trainer.train_step(models.examples(MODEL), 0.1))


def test_a_manifest_that_is_laid_out_anew_trains(folder: Path) -> None:
    path = folder / "svgd.json"
    text = json.dumps(json.loads(path.read_text()), sort_keys=True)
    assert ": 1.0," in text
    path.write_text(text.replace(": 1.0,", ": 1,"))  # as some programs write it
    trainer = svgd_onnx.Trainer(folder)
    assert np.isfinite(trainer.train_step(models.examples(MODEL), 0.1))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(accumulation_steps=2),
        lambda c: c["loss_settings"].update(ignore_index=1),
        lambda c: c["hyper_parameters"].update(scale=0.5),
        lambda c: c.pop("sha256"),
    ],
)
def test_a_manifest_that_says_something_else_that_could_be(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(folder, change)
    for sentence in refusals(folder):
        assert "is damaged (its contents are not those that it has the SHA-256 of)" in sentence


@pytest.mark.parametrize("left", [0, 1])
def test_a_manifest_that_leaves_parameters_out(folder: Path, left: int) -> None:
    rewrite(folder, lambda content: content.update(parameters=content["parameters"][:left]))
    for sentence in refusals(folder):
        assert "of which svgd.json says nothing" in sentence or "is damaged" in sentence


def test_a_manifest_without_hashes(folder: Path) -> None:
    replace(Manifest.load(folder), files={}).save(folder)
    for sentence in refusals(folder):
        assert "svgd.json' has no SHA-256 of " in sentence


def test_a_newer_format(folder: Path) -> None:
    rewrite(folder, lambda content: content.update(format=FORMAT + 1, novelty=[]))
    for sentence in refusals(folder):
        assert f"has format {FORMAT + 1}, and this version of svgd-onnx reads up to" in sentence


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c.pop("parameters"), "'parameters' is missing"),
        (lambda c: c.update(label=None), "the loss 'cross-entropy' has no labels, which it reads"),
        (lambda c: c.update(num_classes=-5), "'num_classes' is -5"),
        (lambda c: c.update(parameters={}), "'parameters' is no list"),
        (lambda c: c["parameters"][0].update(shape=["6", 5]), "'parameters[0].shape[0]' is '6'"),
        (lambda c: c["inputs"][0].update(batch_axis=9), "the tensor 'x' has no axis 9"),
        (lambda c: c["inputs"][0].update(dtype="float33"), "float33"),
        (lambda c: c.update(prediction="other"), "'prediction' is no output"),
        (lambda c: c.update(accumulation_steps=True), "'accumulation_steps' is True"),
        (lambda c: c.update(accumulation_steps=0), "'accumulation_steps' is 0"),
        (lambda c: c["parameters"][0].update(stored_as="a.new"), "is stored as 'a.new'"),
        (lambda c: c["parameters"][0].update(stored_as="int8"), "is stored as 'int8'"),
        (lambda c: c["inputs"][0].update(shape=[-2, 6]), "the tensor 'x' is of shape [-2, 6]"),
        (lambda c: c["inputs"][0].update(shape=[0, 6]), "the tensor 'x' has no examples"),
        (lambda c: c["loss_settings"].pop("class_axis"), "'loss_settings.class_axis' has no axis"),
        (lambda c: c.update(label=3), "'label' is no object"),
        (lambda c: c.update(format="2"), "'format' is 2"),
        (lambda c: c["loss_settings"].update(class_axis=5), "the logits have no axis 5"),
        (
            lambda c: c["loss_settings"].update(class_axis=0),
            "class_axis' is 0, the axis of examples",
        ),
        (lambda c: c["parameters"].append(c["parameters"][0]), "'fc1.weight' is there twice"),
        (lambda c: c["loss_settings"].update(class_weights=[]), "class_weights' has 0 weights"),
        (lambda c: c.update(surprise=1), "'surprise' is unknown"),
        (lambda c: c.update(rates={"fc1.*": -1.0}), "the number for 'fc1.*' is -1.0"),
        (
            lambda c: c.update(rates={"*": -1.0}, weight_decays={"*": 0.1}),
            "the number for '*' is -1.0",
        ),
        (
            lambda c: c["states"].append(
                {"name": "a", "shape": [2], "state": "average", "parameter": "fc1.weight"}
            ),
            "'a' has not the shape of 'fc1.weight'",
        ),
    ],
)
def test_a_manifest_that_is_not_what_is_written(
    made: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    rewrite(folder, change)
    for sentence in refusals(folder):
        assert "is damaged" in sentence and what in sentence


@pytest.mark.parametrize("content", [{"name": "something"}, [], {"format": 7, "name": "other"}])
def test_a_manifest_of_another_program(made: Path, tmp_path: Path, content: object) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    (folder / "svgd.json").write_text(json.dumps(content))
    for sentence in refusals(folder):
        assert "svgd.json' is none of svgd-onnx's" in sentence


@pytest.mark.parametrize(("key", "value"), [("target", "tpu"), ("loss", "other")])
def test_a_manifest_of_what_there_is_not(made: Path, tmp_path: Path, key: str, value: str) -> None:
    folder = Path(shutil.copytree(made / "onnx", tmp_path / "a"))
    replace(Manifest.load(folder), **{key: value}).save(folder)
    with pytest.raises(svgd_onnx.UserError, match=f"Unknown {key} '{value}'"):
        trainer = svgd_onnx.Trainer(folder)
        trainer.evaluate(models.examples(MODEL))


def test_the_source_is_known_by_its_hash(tmp_path: Path) -> None:
    onnx.save(MODEL, tmp_path / "model.onnx")
    svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "a", target="onnx", verify=False)
    assert [*(Manifest.load(tmp_path / "a").source or {})] == ["model.onnx"]


def test_the_source_is_known_by_the_hash_of_its_external_data_too(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    options = {"save_as_external_data": True, "location": "weights/w.bin", "size_threshold": 0}
    onnx.save(MODEL, tmp_path / "model.onnx", **options)
    svgd_onnx.convert(tmp_path / "model.onnx", tmp_path / "a", target="onnx", verify=False)
    source = Manifest.load(tmp_path / "a").source or {}
    assert source == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "weights/w.bin")
    }


@pytest.mark.parametrize("target", TARGETS)
def test_an_open_trainer_never_evaluates_by_the_model_of_another_conversion(
    target: str, tmp_path: Path
) -> None:
    """It says what its own model says, or that the folder's is another by now."""
    folder = tmp_path / "artifacts"
    examples = models.examples(models.mlp(), 8)
    svgd_onnx.convert(models.mlp(), folder, target=target, verify=False)
    expected = svgd_onnx.Trainer(folder).evaluate(examples)["loss"]
    trainer = svgd_onnx.Trainer(folder)
    other = models.mlp()
    for node in other.graph.node:
        node.op_type = "Tanh" if node.op_type == "Relu" else node.op_type
    svgd_onnx.convert(other, folder, target=target, verify=False, force=True)
    assert svgd_onnx.Trainer(folder).evaluate(examples)["loss"] != expected
    try:
        assert trainer.evaluate(examples)["loss"] == expected
    except svgd_onnx.UserError as refusal:
        assert "eval_model.onnx" in str(refusal)
