"""Numbers in the data that index something: tokens, positions, lengths, images, and divisors."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import svgd_onnx
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.targets import TARGETS
from svgd_onnx.training import data
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.index_ranges import index_range

WEIGHTS = {"table": (5, 4), "w": (4, 3), "long": (9, 4), "image_w": (3, 2, 3, 3)}


def network(inputs: str, body: str) -> onnx.ModelProto:
    """A model in onnx's text form, with those of WEIGHTS that it reads."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]>
        g ({inputs}) => (float[N,3] y) {{ {body} }}"""
    )
    random = np.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        if any(name in node.input for node in model.graph.node):
            array = random.normal(size=shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


EMBEDDING = network("int64[N] token", "row = Gather(table, token) y = MatMul(row, w)")


@pytest.mark.parametrize(
    ("inputs", "body", "range_"),
    [
        ("int64[N] t", "a = Gather(table, t) y = MatMul(a, w)", (-5, 4)),
        ("int32[N] t", "u = Cast<to=7>(t) a = Gather(table, u) y = MatMul(a, w)", (-5, 4)),
        (
            "int64[N] t",
            "two = Constant<value_int=2>() u = Add(t, two) a = Gather(long, u) y = MatMul(a, w)",
            (-11, 6),
        ),
        (
            "int64[N] t",
            "two = Constant<value_int=2>() u = Sub(t, two) a = Gather(long, u) y = MatMul(a, w)",
            (-7, 10),
        ),
        (
            "int64[N] t",
            "a = Gather(table, t) b = Gather(long, t) c = Add(a, b) y = MatMul(c, w)",
            (-5, 4),
        ),
        ("float[N,4] x, int64[N] t", "a = Gather(x, t) y = MatMul(a, w)", None),
        (
            "float[N,4] x, int64[N,4] t",
            "a = GatherElements<axis=1>(x, t) y = MatMul(a, w)",
            (-4, 3),
        ),
        ("float[6,4] x, int64[N,1] t", "a = GatherND(x, t) y = MatMul(a, w)", (-6, 5)),
        (
            "int64[N] t",
            """z = Constant<value_int=0>() l = Less(t, z) u = Where(l, z, t)
            a = Gather(table, u) y = MatMul(a, w)""",
            None,
        ),
    ],
)
def test_ranges_follow_from_what_is_indexed(
    inputs: str, body: str, range_: tuple[int, int] | None
) -> None:
    model = ir.from_proto(network(inputs, body))
    for node in list(model.graph):
        if node.op_type == "Constant":
            value = node.outputs[0]
            value.const_value = ir.tensor(np.array(node.attributes["value_int"].as_int()))
    InferShapes()(model)
    assert index_range(model.graph.inputs[-1]) == range_


@pytest.mark.parametrize("target", TARGETS)
def test_a_token_that_is_in_no_table(target: str, tmp_path: Path) -> None:
    svgd_onnx.convert(EMBEDDING, tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    labels = np.array([0, 1])
    for token in (5, -6, 10**12):
        sentence = f"Array 'token' in the {{}} has {token} in row 1, where only -5 to 4 is in range"
        given = {"token": np.array([0, token]), "labels": labels}
        with pytest.raises(svgd_onnx.UserError, match=sentence.format("batch")):
            trainer.train_step(given, 0.1)
        with pytest.raises(svgd_onnx.UserError, match=sentence.format("training data")):
            trainer.train(given, steps=1, batch_size=1, learning_rate=0.1)
        with pytest.raises(svgd_onnx.UserError, match=sentence.format("data")):
            trainer.evaluate(given)
    # as ONNX has it, a negative number counts from the end
    losses = [
        trainer.evaluate({"token": np.array([token, 0]), "labels": labels}) for token in (-1, 4)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("target", TARGETS)
def test_a_number_that_only_the_size_of_a_batch_bounds(target: str, tmp_path: Path) -> None:
    """The positions of an open axis."""
    model = network(
        "float[N,T,4] x, int64[N,P,4] at",
        """a = GatherElements<axis=1>(x, at) axis = Constant<value_ints=[1]>()
        b = ReduceSum<keepdims=0>(a, axis) y = MatMul(b, w)""",
    )
    svgd_onnx.convert(model, tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    random = np.random.default_rng(0)
    at = random.integers(6, size=(8, 2, 4))
    at[5, 1, 2] = 6
    given = {"x": random.normal(size=(8, 6, 4)), "at": at, "labels": np.zeros(8, int)}
    sentence = "Array 'at' in the {} has 6 in row 5, where only -6 to 5 is in range"
    with pytest.raises(svgd_onnx.UserError, match=sentence.format("training data")):
        trainer.train(given, epochs=1, batch_size=2, learning_rate=0.1)
    with pytest.raises(svgd_onnx.UserError, match=sentence.format("data")):
        trainer.evaluate(given)


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_of_images(target: str, tmp_path: Path) -> None:
    model = network(
        "float[M,2,8,8] images, float[N,4] boxes, int64[N] of",
        """f = Conv<pads=[1,1,1,1]>(images, image_w)
        a = RoiAlign<output_height=1, output_width=1>(f, boxes, of) y = Flatten(a)""",
    )
    axes = {"images": None, "boxes": 0, "of": 0}
    svgd_onnx.convert(model, tmp_path / "a", target=target, batch_axis=axes, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    given = {
        "images": np.ones((2, 2, 8, 8)),
        "boxes": np.array([[0, 0, 4, 4]] * 2, np.float32),
        "labels": np.zeros(2, int),
    }
    for number in (2, 10**6, -1):
        with pytest.raises(
            svgd_onnx.UserError, match=f"Array 'of' in the batch has {number} in row 1"
        ):
            trainer.train_step({**given, "of": np.array([0, number])}, 0.1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("far", [4 * 128.5, 1e9, -1e9, 1e30, np.inf, np.nan])
def test_boxes_that_reach_beyond_all_images(target: str, far: float, tmp_path: Path) -> None:
    """Each pixel of a box is a sample, which takes memory and time, whether it is on the image or not."""
    model = network(
        "float[M,2,8,8] images, float[N,4] boxes, int64[N] of",
        """f = Conv<pads=[1,1,1,1]>(images, image_w)
        a = RoiAlign<output_height=1, output_width=1, spatial_scale=0.25>(f, boxes, of) y = Flatten(a)""",
    )
    axes = {"images": None, "boxes": 0, "of": 0}
    svgd_onnx.convert(model, tmp_path / "a", target=target, batch_axis=axes, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    given = {
        "images": np.ones((2, 2, 8, 8)),
        "boxes": np.array([[0, 0, 4, 4], [0, 0, 4 * 127, 4]], np.float32),
        "of": np.array([0, 1]),
        "labels": np.zeros(2, int),
    }
    assert np.isfinite(trainer.train_step(given, 0.1))
    given["boxes"][1, 2] = far
    why = "is not finite|farther from the image than boxes may reach"
    with pytest.raises(svgd_onnx.UserError, match=rf"Array 'boxes' .*row 1.*({why})|NaN") as error:
        trainer.train_step(given, 0.1)
    assert "onnxruntime" not in str(error.value)


@pytest.mark.parametrize("target", TARGETS)
def test_places_of_an_unpooling(target: str, tmp_path: Path) -> None:
    model = network(
        "float[N,2,2,2] x, int64[N,2,2,2] at",
        """f = Conv<pads=[1,1,1,1]>(x, image_w) h = Slice(f, zero, two, one)
        a = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(h, at) y = ReduceMean<axes=[2,3], keepdims=0>(a)""",
    )
    for name, number in (("zero", 0), ("two", 2), ("one", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([number]), name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    svgd_onnx.convert(model, tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    at = np.arange(16).reshape(2, 2, 2, 2)
    given = {"x": np.ones((2, 2, 2, 2)), "at": at, "labels": np.zeros(2, int)}
    assert np.isfinite(trainer.train_step(given, 0.1))
    for place in (64, 10**6, -1):
        at[1, 1, 1, 1] = place
        with pytest.raises(
            svgd_onnx.UserError, match=f"Array 'at' in the batch has {place} in row 1"
        ):
            trainer.train_step(given, 0.1)
        with pytest.raises(svgd_onnx.UserError, match=f"'at' in the data has {place} in row 1"):
            trainer.predict(given)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_a_division_of_integers_by_zero(target: str, operator: str, tmp_path: Path) -> None:
    model = network(
        "int64[N] t, int64[N] by", f"u = {operator}(t, by) a = Gather(table, u) y = MatMul(a, w)"
    )
    svgd_onnx.convert(model, tmp_path / "a", target=target, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    given = {"t": np.array([2, 4]), "labels": np.zeros(2, int)}
    assert np.isfinite(trainer.train_step({**given, "by": np.array([2, 3])}, 0.1))
    with pytest.raises(svgd_onnx.UserError, match="'by' in the batch has 0 in row 1, by which"):
        trainer.train_step({**given, "by": np.array([2, 0])}, 0.1)
    with pytest.raises(svgd_onnx.UserError, match="'by' in the data has 0 in row 1, by which"):
        trainer.predict({**given, "by": np.array([2, 0])}, batch_size=1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_diagonal_farther_away_than_any(target: str, tmp_path: Path) -> None:
    """Trilu adds sizes to its number: it would read beside the matrix."""
    model = network("float[N,4] x, int64 k", "u = MatMul(x, w) y = Trilu(u, k)")
    svgd_onnx.convert(model, tmp_path / "a", target=target, batch_axis={"k": None}, verify=False)
    trainer = svgd_onnx.Trainer(tmp_path / "a", threads=1)
    given = {"x": np.ones((5, 4)), "labels": np.zeros(5, int)}
    for near, far in ((9, 2**63 - 1), (-9, -(2**63))):
        for outcome in (trainer.evaluate, trainer.predict):
            of_near, of_far = (outcome({**given, "k": np.array(k)}) for k in (near, far))
            np.testing.assert_equal(of_far, of_near)
        assert np.isfinite(trainer.train_step({**given, "k": np.array(far)}, 0.1))


def test_integers_that_the_models_type_does_not_hold(tmp_path: Path) -> None:
    model = network("int32[N] t", "a = Gather(table, t) y = MatMul(a, w)")
    svgd_onnx.convert(model, tmp_path / "a", target="onnx", verify=False)
    manifest = Manifest.load(tmp_path / "a")
    with pytest.raises(svgd_onnx.UserError, match="has 4294967297 in row 0"):
        data.check({"t": np.array([2**32 + 1]), "labels": np.array([0])}, manifest)


def test_a_large_mapped_file_is_looked_at_in_bounded_memory(tmp_path: Path) -> None:
    """A gigabyte of labels, of which the last but one is wrong; `tools.bench.index_checks` has six."""
    count = 2**30 // 4
    labels = np.lib.format.open_memmap(tmp_path / "labels.npy", "w+", np.int32, (count,))
    labels[-2] = 9
    labels.flush()
    wanted = [Tensor("labels", "int64", ["N"], 0, 0, 8)]
    mapped = np.load(tmp_path / "labels.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        with pytest.raises(
            svgd_onnx.UserError, match=f"has 9 in row {count - 2}, where only 0 to 8"
        ):
            data.check_arrays({"labels": mapped}, wanted, "the data")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20
