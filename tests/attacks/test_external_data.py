"""No model reads a file that does not lie in its folder, or more than the file holds."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from models import Network
from onnx import TensorProto, helper, numpy_helper

import svgd_onnx
from svgd_onnx.conversion.model import load_model
from svgd_onnx.training.export import export

SECRET = np.arange(16, dtype=np.float32)


def reading(location: str, **entries: str) -> onnx.ModelProto:
    """x (batch, 4) -> a product with a weight that lies in a file -> y (batch, 4)."""
    net = Network()
    net.node("MatMul", "x", "w", output="y")
    model = net.model({"x": ("batch", 4)}, {"y": ("batch", 4)}, check=False)
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=value)
    model.graph.initializer.append(weight)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a model, beside which lies what it is not to read."""
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def refuse(folder: Path, model: onnx.ModelProto) -> str:
    """The sentence with which a model in a folder is refused."""
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(svgd_onnx.UserError) as refused:
        svgd_onnx.inspect(folder / "model.onnx")
    assert "'w'" in str(refused.value)
    return str(refused.value)


class TestWaysOut:
    """One for each way that has been found out of a model's folder."""

    def test_cve_2022_25882_the_folder_above(self, folder: Path) -> None:
        assert "outside of the model's folder" in refuse(folder, reading("../secret"))

    def test_cve_2022_25882_an_absolute_path(self, folder: Path) -> None:
        assert "outside of the model's folder" in refuse(
            folder, reading(str(folder.parent / "secret"))
        )

    def test_cve_2024_27318_the_folder_above_behind_another(self, folder: Path) -> None:
        (folder / "data").mkdir()
        assert "outside of the model's folder" in refuse(folder, reading("data/../../secret"))

    def test_cve_2025_51480_nothing_is_written_where_the_model_says(self, folder: Path) -> None:
        (folder / "weights").write_bytes(SECRET.tobytes())
        onnx.save(reading("weights"), folder / "model.onnx")
        svgd_onnx.convert(folder / "model.onnx", folder / "out", loss="mse", target="onnx")
        svgd_onnx.Trainer(folder / "out").export(folder / "trained.onnx")
        assert (folder / "weights").read_bytes() == SECRET.tobytes()
        assert load_model(folder / "trained.onnx").graph.initializers["w"].const_value is not None
        assert sorted(path.name for path in folder.iterdir()) == [
            "model.onnx",
            "out",
            "trained.onnx",
            "weights",
        ]

    def test_cve_2026_27489_a_folder_that_is_a_symbolic_link(self, folder: Path) -> None:
        (folder / "data").symlink_to(folder.parent)
        assert "leads out of the model's folder" in refuse(folder, reading("data/secret"))

    def test_cve_2026_34446_a_hard_link(self, folder: Path) -> None:
        os.link(folder.parent / "secret", folder / "weights")
        assert "hard link" in refuse(folder, reading("weights"))

    def test_cve_2026_34447_a_symbolic_link(self, folder: Path) -> None:
        (folder / "weights").symlink_to(folder.parent / "secret")
        assert "leads out of the model's folder" in refuse(folder, reading("weights"))

    @pytest.mark.parametrize(
        "location", ["C:\\secret", "\\\\host\\secret", "..\\secret", "c:secret"]
    )
    def test_a_path_of_windows(self, folder: Path, location: str) -> None:
        assert "outside of the model's folder" in refuse(folder, reading(location))

    @pytest.mark.parametrize("location", ["", ".", "a\0b", "n" * 5000, "circle", "model.onnx/w"])
    def test_what_is_no_file(self, folder: Path, location: str) -> None:
        (folder / "circle").symlink_to("circle")
        refuse(folder, reading(location))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
    def test_a_pipe_is_not_waited_for(self, folder: Path) -> None:
        os.mkfifo(folder / "weights")
        assert "no file" in refuse(folder, reading("weights"))

    def test_a_link_to_a_device(self, folder: Path) -> None:
        (folder / "weights").symlink_to("/dev/zero")
        refuse(folder, reading("weights"))


class TestWhatIsInTheFile:
    """Offset and length are numbers, and lie in it."""

    @pytest.fixture(autouse=True)
    def _weights(self, folder: Path) -> None:
        (folder / "weights").write_bytes(SECRET.tobytes())

    @pytest.mark.parametrize("number", ["-1", "1e3", "", "0x10", "٣", "9" * 30, "9" * 5000])
    @pytest.mark.parametrize("key", ["offset", "length"])
    def test_no_number(self, folder: Path, key: str, number: str) -> None:
        assert f"the {key} " in refuse(folder, reading("weights", **{key: number}))

    @pytest.mark.parametrize("offset", ["1", "64", str(2**40)])
    def test_an_offset_beyond_the_end(self, folder: Path, offset: str) -> None:
        assert "which holds 64" in refuse(folder, reading("weights", offset=offset))

    @pytest.mark.parametrize("length", ["0", "63", str(2**50)])
    def test_a_length_that_is_not_the_shapes(self, folder: Path, length: str) -> None:
        assert "has 64 bytes by its shape" in refuse(folder, reading("weights", length=length))

    @pytest.mark.parametrize("dims", [[-1, 4], [2**62, 2**62], [4, 5]])
    def test_a_shape_of_other_numbers(self, folder: Path, dims: list[int]) -> None:
        model = reading("weights")
        model.graph.initializer[0].dims[:] = dims
        refuse(folder, model)

    @pytest.mark.parametrize("dtype", [0, TensorProto.STRING, 999])
    def test_a_type_without_numbers(self, folder: Path, dtype: int) -> None:
        model = reading("weights")
        model.graph.initializer[0].data_type = dtype
        refuse(folder, model)


def in_a_body(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer.pop()
    body = helper.make_graph([], "body", [], [], [weight])
    model.graph.node.append(helper.make_node("If", ["w"], ["z"], "branch", then_branch=body))


def in_an_attribute(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=weight))


def in_a_function(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer.pop()
    node = helper.make_node("Constant", [], ["w"], value=weight)
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("f", "f", [], ["w"], [node], opsets))


HOLDERS = (lambda model: None, in_a_body, in_an_attribute, in_a_function)


@pytest.mark.parametrize("put", HOLDERS, ids=["initializer", "body", "attribute", "function"])
def test_tensors_are_looked_at_wherever_they_are(
    folder: Path, put: Callable[[onnx.ModelProto], None]
) -> None:
    model = reading("../secret")
    put(model)
    assert "outside of the model's folder" in refuse(folder, model)


@pytest.mark.parametrize("put", HOLDERS, ids=["initializer", "body", "attribute", "function"])
def test_a_model_in_memory_reads_no_file(
    folder: Path, put: Callable[[onnx.ModelProto], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "weights").write_bytes(SECRET.tobytes())
    monkeypatch.chdir(folder)
    model = reading("weights")
    put(model)
    with pytest.raises(svgd_onnx.UserError, match="'w' of the model is in external data"):
        svgd_onnx.convert(model, folder / "out", loss="mse")


def test_a_model_in_memory_with_its_folder_is_the_file(folder: Path, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((40, 40), np.float32)
    net = Network()
    net.node("MatMul", "x", "w", output="y")
    model = net.model({"x": ("batch", 40)}, {"y": ("batch", 40)}, check=False)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights")
    in_memory = onnx.load(folder / "model.onnx", load_external_data=False)
    options = {"loss": "mse", "target": "onnx"}
    svgd_onnx.convert(in_memory, tmp_path / "a", external_data=folder, **options)
    svgd_onnx.convert(folder / "model.onnx", tmp_path / "b", **options)
    checkpoints = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in "ab"]
    assert checkpoints[0] == checkpoints[1]
    assert (
        max(each.error for each in svgd_onnx.check(in_memory, loss="mse", external_data=folder))
        < 1e-5
    )


def test_no_way_leads_out_of_the_folder_of_a_model_in_memory(folder: Path) -> None:
    with pytest.raises(svgd_onnx.UserError, match="outside of the model's folder"):
        svgd_onnx.check(reading("../secret"), loss="mse", external_data=folder)


def test_a_file_has_its_data_beside_it(folder: Path) -> None:
    onnx.save(reading("weights"), folder / "model.onnx")
    with pytest.raises(svgd_onnx.UserError, match="external_data is of models in memory"):
        svgd_onnx.check(folder / "model.onnx", loss="mse", external_data=folder)


def test_an_old_model_reads_beside_itself_and_not_where_one_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """onnx's converter writes the model anew, without its folder."""
    (folder / "weights").write_bytes(SECRET.tobytes())
    (tmp_path / "weights").write_bytes(bytes(64))
    monkeypatch.chdir(tmp_path)
    model = reading("weights")
    model.opset_import[0].version = 13
    onnx.save(model, folder / "model.onnx")
    svgd_onnx.convert(folder / "model.onnx", folder / "out", loss="mse", target="onnx")
    np.testing.assert_array_equal(svgd_onnx.Trainer(folder / "out").tensor("w").ravel(), SECRET)


def without_hashes(folder: Path) -> None:
    """As a folder of format 1 has none."""
    path = folder / "svgd.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": {}, "format": 1}))


class TestArtifacts:
    """Those refer to no file: what an edited one names is not opened."""

    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            svgd_onnx.convert(models.mlp(), tmp_path / "artifacts", target="onnx", verify=False)
        return tmp_path / "artifacts"

    def edit(self, path: Path, name: str = "location") -> None:
        model = onnx.load(path)
        model.graph.initializer.append(reading("../../secret").graph.initializer[0])
        model.graph.initializer[-1].external_data[0].key = name
        path.write_bytes(model.SerializeToString())
        without_hashes(path.parent)

    def test_by_a_training_step(self, artifacts: Path) -> None:
        self.edit(artifacts / "training_step.onnx")
        with pytest.raises(svgd_onnx.UserError, match="refers to other files"):
            svgd_onnx.Trainer(artifacts)

    def test_by_an_export(self, artifacts: Path, tmp_path: Path) -> None:
        self.edit(artifacts / "model_without_weights.onnx")
        with pytest.raises(svgd_onnx.UserError, match="refers to other files"):
            export(artifacts, tmp_path / "trained.onnx")
        assert not (tmp_path / "trained.onnx").exists()

    def test_a_name_may_be_location(self, tmp_path: Path) -> None:
        model = models.mlp()
        model.graph.node[0].name = "location"
        model.doc_string = "location"
        svgd_onnx.convert(model, tmp_path / "out", target="onnx", verify=False)
        assert svgd_onnx.Trainer(tmp_path / "out").tensor("fc1.weight").size
